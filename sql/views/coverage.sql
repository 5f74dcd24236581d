-- Which blocks each deployment has been read for: those of closed days that were read whole and not touched since, which
-- are few runs, and those of its ranges outside of them.
CREATE OR REPLACE VIEW coverage AS
SELECT
    d.deployment,
    d.protocol,
    c.name AS chain,
    held.blocks AS blocks_held,
    lower(held.blocks) AS first_block,
    upper(held.blocks) - 1 AS last_block
FROM deployment AS d
JOIN chain AS c USING (chain_id)
LEFT JOIN (
    SELECT chain_id, deployment, range_agg(daterange(day, day + 1)) FILTER (WHERE blocks_held = blocks) AS days
    FROM deployment_day
    GROUP BY chain_id, deployment
) AS closed USING (chain_id, deployment)
LEFT JOIN (
    SELECT chain_id, deployment, range_agg(daterange(day, day + 1)) AS days FROM dirty_day GROUP BY chain_id, deployment
) AS dirty USING (chain_id, deployment)
CROSS JOIN LATERAL (
    SELECT coalesce(range_agg(
        int8range(least(greatest(b.block_number, d.start_block), n.block_number), n.block_number)), '{}') AS blocks
    FROM unnest(closed.days - coalesce(dirty.days, '{}')) AS run
    JOIN day_start AS b ON b.chain_id = d.chain_id AND b.day = lower(run)
    JOIN day_start AS n ON n.chain_id = d.chain_id AND n.day = upper(run)
) AS whole
CROSS JOIN LATERAL (
    SELECT range_agg(span) AS blocks
    FROM (
        SELECT unnest(whole.blocks) AS span
        UNION ALL
        SELECT int8range(r.first_block, r.last_block, '[]')
        FROM unnest(int8multirange '{[0,9223372036854775807)}' - whole.blocks) AS rest
        CROSS JOIN LATERAL (
            SELECT first_block, last_block
            FROM range_deployment
            WHERE chain_id = d.chain_id AND deployment = d.deployment
                AND last_block >= lower(rest) AND last_block < upper(rest)
            UNION ALL
            -- The one that reaches into what follows, if any does: a deployment's ranges do not overlap.
            (
                SELECT first_block, last_block
                FROM range_deployment
                WHERE chain_id = d.chain_id AND deployment = d.deployment AND last_block >= upper(rest)
                ORDER BY last_block
                LIMIT 1
            )
        ) AS r
    ) AS part
) AS held;

COMMENT ON VIEW coverage IS 'Which blocks each deployment has been read for, as one set of ranges.';
COMMENT ON COLUMN coverage.deployment IS 'Deployment.';
COMMENT ON COLUMN coverage.protocol IS 'Protocol.';
COMMENT ON COLUMN coverage.chain IS 'Chain, by name.';
COMMENT ON COLUMN coverage.blocks_held IS 'Blocks held, upper bounds excluded; NULL if none.';
COMMENT ON COLUMN coverage.first_block IS 'First block held.';
COMMENT ON COLUMN coverage.last_block IS 'Last block held.';
