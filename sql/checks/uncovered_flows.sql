-- Every flow must lie in a range that was read for its deployment.
SELECT f.chain_id, f.deployment, f.block_number, f.log_index, f.leg
FROM flow AS f
WHERE NOT EXISTS (
    SELECT FROM range_deployment AS r
    WHERE r.chain_id = f.chain_id AND r.deployment = f.deployment AND f.block_number BETWEEN r.first_block AND r.last_block
)
ORDER BY f.chain_id, f.deployment, f.block_number, f.log_index, f.leg;
