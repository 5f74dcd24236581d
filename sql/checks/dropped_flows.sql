-- Flows may be gone only of closed days, and only if the ranges that made them are archived.
SELECT part.chain_id, part.deployment, part.day, part.range_id, closed.day IS NOT NULL AS closed
FROM range_day AS part
LEFT JOIN deployment_day AS closed USING (chain_id, deployment, day)
WHERE part.dropped
    AND (
        closed.day IS NULL
        OR NOT EXISTS (SELECT FROM range_archive AS a WHERE a.chain_id = part.chain_id AND a.range_id = part.range_id)
    )
ORDER BY part.chain_id, part.deployment, part.day, part.range_id;
