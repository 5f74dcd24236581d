-- A day that nothing has touched since it was closed must have the flows and the digest of its ranges and streams together.
SELECT chain_id, deployment, day, closed.flows AS flows_closed, coalesce(parts.flows, 0) AS flows_of_parts
FROM deployment_day AS closed
FULL JOIN (
    SELECT
        chain_id, deployment, day, sum(flows) AS flows,
        uint256_octets(mod(sum(octets_uint256(digest)), 2::numeric ^ 256)) AS digest
    FROM (
        SELECT chain_id, deployment, day, flows, digest FROM range_day
        UNION ALL
        SELECT chain_id, deployment, day, 1, digest FROM stream_piece
    ) AS part
    GROUP BY chain_id, deployment, day
) AS parts USING (chain_id, deployment, day)
LEFT JOIN dirty_day AS dirty USING (chain_id, deployment, day)
WHERE dirty IS NULL
    AND (closed.flows, closed.digest)
    IS DISTINCT FROM (coalesce(parts.flows, 0), coalesce(parts.digest, uint256_octets(0)))
ORDER BY chain_id, deployment, day;
