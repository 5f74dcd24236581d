-- What coverage says of a deployment must be what its ranges hold, all of them put together.
SELECT shown.deployment, shown.blocks_held AS blocks_shown, held.blocks AS blocks_held
FROM coverage AS shown
LEFT JOIN (
    SELECT deployment, range_agg(int8range(first_block, last_block, '[]')) AS blocks FROM range_deployment GROUP BY deployment
) AS held USING (deployment)
WHERE shown.blocks_held IS DISTINCT FROM held.blocks
ORDER BY shown.deployment;
