-- A lease that its holder has not renewed belongs to a worker that died: the next run takes its blocks over.
SELECT chain_id, fence, first_block, last_block, deployments, holder, expires_at
FROM lease
WHERE expires_at < now()
ORDER BY chain_id, fence;
