-- The sums of a closed day that nothing has touched since must be those of its flows and of what its streams accrued.
WITH part AS (
    SELECT
        chain_id, protocol, deployment, (block_time AT TIME ZONE 'UTC')::date AS day, contract, token, kind, source, side,
        basis, amount
    FROM flow
    UNION ALL
    SELECT chain_id, protocol, deployment, day, contract, token, kind, source, side, basis, amount
    FROM stream_piece
),
held AS (
    SELECT
        chain_id, protocol, deployment, day, contract, token, kind, source, side, basis, sum(amount) AS amount,
        count(*) AS flows
    FROM part
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
    AND NOT EXISTS (
        SELECT FROM range_day AS gone
        WHERE (gone.chain_id, gone.deployment, gone.day) = (summed.chain_id, summed.deployment, summed.day) AND gone.dropped
    )
    AND (closed IS NOT NULL OR summed.flows IS NOT NULL)
    AND (summed.amount, summed.flows) IS DISTINCT FROM (held.amount, held.flows)
ORDER BY chain_id, deployment, day;
