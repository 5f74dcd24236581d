-- A lease that its holder has not renewed, or whose holder is gone, is a dead worker's: the next run takes its blocks.
SELECT chain_id, fence, first_block, last_block, deployments, holder, expires_at
FROM lease
WHERE expires_at < now() OR (guard IS NOT NULL AND guard NOT IN (SELECT guard FROM live_guard))
ORDER BY chain_id, fence;
