-- A pool's price must not be older than seven days, and its pool must have traded on the day that its age names or later.
SELECT p.chain_id, p.token, p.day, p.age_days, p.evidence
FROM price_daily AS p
LEFT JOIN dirty_value AS dirty USING (chain_id, day)
WHERE dirty IS NULL
    AND p.source = 'pool'
    AND (
        p.age_days > 7
        OR NOT EXISTS (
            SELECT FROM trade_daily AS d
            WHERE d.chain_id = p.chain_id AND d.pool = p.evidence AND p.token IN (d.token0, d.token1)
                AND d.day BETWEEN p.day - p.age_days AND p.day
        )
    )
ORDER BY p.chain_id, p.day, p.token;
