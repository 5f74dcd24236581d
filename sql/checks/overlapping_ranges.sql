-- No block may be read twice for one deployment.
SELECT chain_id, deployment, range_id, first_block, last_block, earlier_last_block
FROM (
    SELECT
        *,
        max(last_block) OVER (
            PARTITION BY chain_id, deployment ORDER BY first_block, last_block, range_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earlier_last_block
    FROM range_deployment
) AS r
WHERE first_block <= earlier_last_block
ORDER BY chain_id, deployment, first_block;
