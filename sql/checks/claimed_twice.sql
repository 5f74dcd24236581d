-- No log may be booked by two deployments, under two contracts, transactions or times, or twice for one leg.
SELECT
    chain_id,
    block_number,
    log_index,
    array_agg(DISTINCT deployment) AS deployments,
    count(DISTINCT contract) AS contracts,
    count(DISTINCT tx_hash) AS transactions,
    count(DISTINCT block_time) AS times
FROM flow
GROUP BY chain_id, block_number, log_index
HAVING count(DISTINCT deployment) > 1
    OR count(DISTINCT contract) > 1
    OR count(DISTINCT tx_hash) > 1
    OR count(DISTINCT block_time) > 1
    OR count(DISTINCT leg) < count(*)
ORDER BY chain_id, block_number, log_index;
