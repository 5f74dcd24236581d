-- What pools claim of prices in dollars.
CREATE OR REPLACE FUNCTION pool_claim(of_chain bigint, of_day date)
RETURNS TABLE (
    token bytea, listed boolean, quote bytea, traded_on date, deployment text, pool bytea, usd numeric, age_days integer,
    depth_usd numeric, deep boolean, old boolean)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
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
    FROM market_rate(of_chain, of_day - 7, of_day) AS m
    JOIN chain AS c ON c.chain_id = of_chain
    LEFT JOIN price_daily AS p
        ON p.chain_id = of_chain AND p.token = m.quote AND p.day = m.day AND p.day BETWEEN of_day - 7 AND of_day
        AND (p.source IN ('file', 'feed', 'peg') OR NOT m.listed)
$$;
COMMENT ON FUNCTION pool_claim(bigint, date) IS 'What each pool says a token is worth on a day, by its trades of that day and of each of the seven before, with the price its quote token had then: a listed quote token is priced against those with a file, feed or peg only, all others against any that is priced, so that two steps are the most. It counts if deep, old and at most seven days of age.';
