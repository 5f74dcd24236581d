-- What a range says of a day must be the number and the digest of the flows that the ledger holds of it.
SELECT chain_id, deployment, day, range_id, told.flows AS flows_told, held.flows AS flows_held
FROM range_day AS told
FULL JOIN (
    SELECT
        r.chain_id,
        r.deployment,
        (f.block_time AT TIME ZONE 'UTC')::date AS day,
        r.range_id,
        count(*) AS flows,
        min(f.block_number) AS first_block,
        max(f.block_number) AS last_block,
        uint256_octets(mod(sum(octets_uint256(sha256(flow_octets(f)))), 2::numeric ^ 256)) AS digest
    FROM range_deployment AS r
    JOIN flow AS f
        ON f.chain_id = r.chain_id AND f.deployment = r.deployment AND f.block_number BETWEEN r.first_block AND r.last_block
    GROUP BY r.chain_id, r.deployment, day, r.range_id
) AS held USING (chain_id, deployment, day, range_id)
WHERE told.dropped IS NOT TRUE
    AND (told.flows, told.first_block, told.last_block, told.digest)
    IS DISTINCT FROM (held.flows, held.first_block, held.last_block, held.digest)
ORDER BY chain_id, deployment, day, range_id;
