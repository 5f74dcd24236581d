-- What pools claim of prices in dollars.
CREATE OR REPLACE FUNCTION pool_claim(of_chain bigint, of_day date, first_day date, last_day date, unpriced_on date)
RETURNS TABLE (
    token bytea, listed boolean, quote bytea, traded_on date, deployment text, pool bytea, usd numeric, age_days integer,
    depth_usd numeric, deep boolean, old boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH quoted AS MATERIALIZED (
        -- One row by its key at a time: most prices are of tokens that nothing is quoted in.
        SELECT q.token, p.day, p.usd, p.source, p.age_days
        FROM quote_token AS q
        CROSS JOIN generate_series(0, last_day - first_day) AS back
        CROSS JOIN LATERAL (
            SELECT price.day, price.usd, price.source, price.age_days
            FROM price_daily AS price
            WHERE price.chain_id = of_chain AND price.token = q.token AND price.day = last_day - back
            LIMIT 1
        ) AS p
        WHERE q.chain_id = of_chain
    )
    SELECT
        m.token,
        m.listed,
        m.quote,
        m.day,
        m.deployment,
        m.pool,
        m.rate * p.usd,
        of_day - m.day + p.age_days,
        m.depth * p.usd,
        m.depth * p.usd >= c.min_liquidity_usd,
        m.old
    FROM market_rate(of_chain, first_day, last_day, unpriced_on) AS m
    JOIN chain AS c ON c.chain_id = of_chain
    LEFT JOIN quoted AS p
        ON p.token = m.quote AND p.day = m.day AND (p.source IN ('file', 'feed', 'peg') OR NOT m.listed)
$$;
COMMENT ON FUNCTION pool_claim(bigint, date, date, date, date) IS 'The part of pool_claim(chain, day) that trades between two days tell, at most seven days back: of all tokens (unpriced_on NULL), or of those without a price on a day.';

CREATE OR REPLACE FUNCTION pool_claim(of_chain bigint, of_day date)
RETURNS TABLE (
    token bytea, listed boolean, quote bytea, traded_on date, deployment text, pool bytea, usd numeric, age_days integer,
    depth_usd numeric, deep boolean, old boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT * FROM pool_claim(of_chain, of_day, of_day - 7, of_day, NULL)
$$;
COMMENT ON FUNCTION pool_claim(bigint, date) IS 'What each pool says a token is worth on a day, by its trades of that day and of each of the seven before, with the price its quote token had then: a listed quote token is priced against those with a file, feed or peg only, all others against any that is priced, so that two steps are the most. It counts if deep, old and at most seven days of age.';
