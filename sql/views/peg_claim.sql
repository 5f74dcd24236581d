-- Which pegs are believed on a day, and what speaks against the others.
CREATE OR REPLACE FUNCTION peg_claim(of_chain bigint, of_day date)
RETURNS TABLE (token bytea, usd numeric, refused boolean, witness bytea, witness_usd numeric, confirming bigint, contradicting bigint)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH told AS (
        -- Quote tokens whose price of the day comes from outside, and how far it is from the day before's.
        SELECT p.token, p.usd, p.age_days, abs(p.usd / before.usd - 1) AS moved
        FROM price_daily AS p
        LEFT JOIN price_daily AS before ON before.chain_id = p.chain_id AND before.token = p.token AND before.day = of_day - 1
        WHERE p.chain_id = of_chain AND p.day = of_day AND p.source IN ('file', 'feed')
    ),
    heard AS (
        -- Pools of the day against quote tokens whose own price stands on something.
        SELECT
            m.token,
            m.quote,
            m.pool,
            q.peg_usd IS NOT NULL AS pegged,
            told.token IS NOT NULL AS told,
            m.rate * coalesce(told.usd, q.peg_usd) AS usd,
            m.depth * coalesce(told.usd, q.peg_usd) AS depth_usd,
            abs(m.rate * coalesce(told.usd, q.peg_usd) / t.peg_usd - 1) > c.depeg_ppm / 1000000.0 + coalesce(told.moved, 0) AS against
        FROM market_rate(of_chain, of_day, of_day, NULL) AS m
        JOIN quote_token AS t ON t.chain_id = of_chain AND t.token = m.token AND t.peg_usd IS NOT NULL
        JOIN quote_token AS q ON q.chain_id = of_chain AND q.token = m.quote
        JOIN chain AS c ON c.chain_id = of_chain
        LEFT JOIN told ON told.token = m.quote
        WHERE m.old
            AND m.depth * coalesce(told.usd, q.peg_usd) >= c.min_liquidity_usd
            AND (told.token IS NULL OR (told.age_days = 0 AND (told.moved IS NOT NULL OR q.peg_usd IS NOT NULL)))
    ),
    agreed AS (
        -- Three quarters of the depth must speak against a peg: one pool with a wild day is not enough.
        SELECT
            h.token,
            h.quote,
            coalesce(sum(h.depth_usd) FILTER (WHERE h.against) >= 0.75 * sum(h.depth_usd), false) AS against
        FROM heard AS h
        GROUP BY h.token, h.quote
    ),
    witness AS (
        -- What the pools against one quote token say, by the deepest of those that prevail.
        SELECT DISTINCT ON (h.token, h.quote) h.*
        FROM heard AS h
        JOIN agreed USING (token, quote, against)
        ORDER BY h.token, h.quote, h.depth_usd DESC, h.pool
    ),
    judged AS (
        SELECT DISTINCT ON (w.token) w.token, w.pool, w.usd, w.against
        FROM witness AS w
        WHERE w.told
        ORDER BY w.token, w.pegged DESC, w.depth_usd DESC, w.pool
    ),
    polled AS (
        SELECT
            w.token,
            count(*) FILTER (WHERE NOT w.against) AS confirming,
            count(*) FILTER (WHERE w.against) AS contradicting
        FROM witness AS w
        LEFT JOIN judged AS voter ON voter.token = w.quote
        WHERE NOT w.told AND voter.against IS NOT TRUE
        GROUP BY w.token
    )
    SELECT
        t.token,
        t.peg_usd,
        coalesce(judged.against, polled.contradicting >= greatest(polled.confirming, 1), false),
        judged.pool,
        judged.usd,
        coalesce(polled.confirming, 0),
        coalesce(polled.contradicting, 0)
    FROM quote_token AS t
    LEFT JOIN judged ON judged.token = t.token
    LEFT JOIN polled ON polled.token = t.token
    WHERE t.chain_id = of_chain AND t.peg_usd IS NOT NULL
$$;
COMMENT ON FUNCTION peg_claim(bigint, date) IS 'Per pegged token of the list whether its peg is refused on a day. Witnesses are the pools of the day against other quote tokens that are deep and old enough to tell a price; those against one quote token speak as one, against the peg only if three quarters of their depth do. The deepest one against a quote token whose price of that very day a file or a feed tells decides (pegged ones first; the allowance grows by how far that price moved since the day before). Without one, the pools against other pegs vote, those left out whose own peg is refuted: a peg is refused unless more of them confirm it than contradict it, so that of two that contradict one another, alone, neither is believed. Without any witness it is believed.';
