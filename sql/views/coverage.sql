-- Which blocks each deployment has been read for.
CREATE OR REPLACE VIEW coverage AS
SELECT
    d.deployment,
    d.protocol,
    c.name AS chain,
    range_agg(int8range(r.first_block, r.last_block, '[]')) AS blocks_held,
    min(r.first_block) AS first_block,
    max(r.last_block) AS last_block
FROM deployment AS d
JOIN chain AS c USING (chain_id)
LEFT JOIN range_deployment AS r USING (chain_id, deployment)
GROUP BY d.deployment, d.protocol, c.name;

COMMENT ON VIEW coverage IS 'Which blocks each deployment has been read for, as one set of ranges.';
COMMENT ON COLUMN coverage.deployment IS 'Deployment.';
COMMENT ON COLUMN coverage.protocol IS 'Protocol.';
COMMENT ON COLUMN coverage.chain IS 'Chain, by name.';
COMMENT ON COLUMN coverage.blocks_held IS 'Blocks held, upper bounds excluded; NULL if none.';
COMMENT ON COLUMN coverage.first_block IS 'First block held.';
COMMENT ON COLUMN coverage.last_block IS 'Last block held.';
