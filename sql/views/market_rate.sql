-- What pools said of tokens in listed quote tokens.
CREATE OR REPLACE FUNCTION market_rate(of_chain bigint, first_day date, last_day date, unpriced_on date)
RETURNS TABLE (
    token bytea, listed boolean, quote bytea, day date, deployment text, pool bytea, rate numeric, depth numeric, old boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH seen AS MATERIALIZED (
        -- born_before: what was created before this block had stood long enough on the day.
        SELECT
            d.deployment,
            d.day,
            c.min_pool_age_days AS needed,
            (
                SELECT s.block_number
                FROM day_start AS s
                WHERE s.chain_id = of_chain AND s.day <= d.day - c.min_pool_age_days + 1
                ORDER BY s.day DESC
                LIMIT 1
            ) AS born_before,
            held_whole(of_chain, d.deployment, d.day, c.min_pool_age_days) AS whole
        FROM deployment_day AS d
        JOIN chain AS c ON c.chain_id = d.chain_id
        WHERE d.chain_id = of_chain AND d.day BETWEEN first_day AND last_day
    )
    SELECT
        d.token,
        listed.token IS NOT NULL,
        d.quote,
        d.day,
        d.deployment,
        d.pool,
        d.quote_amount * power(10::numeric, t.decimals) / (d.amount * power(10::numeric, q.decimals)),
        d.quote_depth / power(10::numeric, q.decimals),
        seen.needed = 0
            OR CASE WHEN c.contract IS NULL THEN seen.whole ELSE coalesce(c.block_number < seen.born_before, false) END
    FROM (
        SELECT day, deployment, pool, token0, in0 + out0, token1, in1 + out1, depth1
        FROM trade_daily
        WHERE chain_id = of_chain AND day BETWEEN first_day AND last_day AND in0 + out0 > 0 AND in1 + out1 > 0
            AND token0 NOT IN (SELECT token FROM price_daily WHERE chain_id = of_chain AND day = unpriced_on)
        UNION ALL
        SELECT day, deployment, pool, token1, in1 + out1, token0, in0 + out0, depth0
        FROM trade_daily
        WHERE chain_id = of_chain AND day BETWEEN first_day AND last_day AND in0 + out0 > 0 AND in1 + out1 > 0
            AND token1 NOT IN (SELECT token FROM price_daily WHERE chain_id = of_chain AND day = unpriced_on)
    ) AS d (day, deployment, pool, token, amount, quote, quote_amount, quote_depth)
    JOIN seen ON seen.deployment = d.deployment AND seen.day = d.day
    JOIN quote_token AS q ON q.chain_id = of_chain AND q.token = d.quote
    JOIN token AS t ON t.chain_id = of_chain AND t.token = d.token AND t.decimals IS NOT NULL
    LEFT JOIN quote_token AS listed ON listed.chain_id = of_chain AND listed.token = d.token
    -- Where all days before were read whole, older creations need not be looked at.
    LEFT JOIN contract AS c
        ON c.chain_id = of_chain AND c.deployment = d.deployment AND c.contract = d.pool AND c.tx_hash IS NOT NULL
        AND c.block_number >= (SELECT CASE WHEN bool_and(whole) THEN min(born_before) ELSE 0 END FROM seen)
$$;
COMMENT ON FUNCTION market_rate(bigint, date, date, date) IS 'What each pool''s trades of closed days said of its tokens in listed quote tokens: rate (whole quote tokens per whole token, volume-weighted over both directions), depth (whole quote tokens provably in the pool after the last swap, NULL where unknown), and whether the pool is known to be old enough, by its creation log or, without one, by days that were read whole and did not hold it. Of all tokens (unpriced_on NULL), or of those without a price on a day.';
