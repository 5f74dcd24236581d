-- The sums of a closed day that nothing has touched since must be those of its flows.
WITH held AS (
    SELECT
        chain_id, protocol, deployment, (block_time AT TIME ZONE 'UTC')::date AS day, contract, token, kind, source, side,
        basis, sum(amount) AS amount, count(*) AS flows
    FROM flow
    GROUP BY chain_id, protocol, deployment, day, contract, token, kind, source, side, basis
)
SELECT
    chain_id, deployment, day, contract, token, kind, source, side, basis, summed.amount AS amount_closed,
    held.amount AS amount_of_flows
FROM flow_daily AS summed
FULL JOIN held USING (chain_id, protocol, deployment, day, contract, token, kind, source, side, basis)
LEFT JOIN deployment_day AS closed USING (chain_id, deployment, day)
LEFT JOIN dirty_day AS dirty USING (chain_id, deployment, day)
WHERE dirty IS NULL
    AND (closed IS NOT NULL OR summed.flows IS NOT NULL)
    AND (summed.amount, summed.flows) IS DISTINCT FROM (held.amount, held.flows)
ORDER BY chain_id, deployment, day;
