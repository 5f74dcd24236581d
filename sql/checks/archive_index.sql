-- Every archive file that a range was read from must be listed, with blocks of that range.
SELECT used.chain_id, used.range_id, used.file, r.first_block, r.last_block
FROM range_archive AS used
LEFT JOIN range AS r USING (chain_id, range_id)
LEFT JOIN archive AS listed USING (chain_id, file)
WHERE r.range_id IS NULL OR listed.file IS NULL
    OR listed.holds <> 'logs' OR listed.first_block > r.last_block OR listed.last_block < r.first_block
ORDER BY used.chain_id, used.range_id, used.file;
