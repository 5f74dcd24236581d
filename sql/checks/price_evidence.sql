-- A price must still stand on what told it: at most seven days old, from a file, answer, peg or trade that is there on the
-- day that its age names, and from a pool only with enough quote tokens in it.
SELECT p.chain_id, p.token, p.day, p.source, p.age_days, p.evidence
FROM price_daily AS p
JOIN chain AS c USING (chain_id)
LEFT JOIN dirty_value AS dirty USING (chain_id, day)
WHERE dirty IS NULL
    AND (
        p.age_days > 7
        OR NOT CASE p.source
            WHEN 'file' THEN EXISTS (
                SELECT FROM price_file AS f
                WHERE f.chain_id = p.chain_id AND f.day = p.day - p.age_days AND f.token = p.token AND f.usd = p.usd
            )
            WHEN 'feed' THEN EXISTS (
                SELECT FROM answer_daily AS a
                WHERE a.chain_id = p.chain_id AND a.day = p.day - p.age_days AND a.token = p.token AND a.contract = p.evidence
            )
            WHEN 'peg' THEN EXISTS (
                SELECT FROM quote_token AS q WHERE q.chain_id = p.chain_id AND q.token = p.token AND q.peg_usd = p.usd
            )
            -- The age is that of the trades and of their quote token's price together.
            WHEN 'pool' THEN p.depth_usd >= c.min_liquidity_usd AND EXISTS (
                SELECT FROM trade_daily AS d
                WHERE d.chain_id = p.chain_id AND d.pool = p.evidence AND p.token IN (d.token0, d.token1)
                    AND d.day BETWEEN p.day - p.age_days AND p.day
            )
            ELSE false
        END
    )
ORDER BY p.chain_id, p.day, p.token;
