-- Figures of closed days that changed when their deployment was read again by another version or manifest.
CREATE OR REPLACE VIEW restatements AS
SELECT
    s.day,
    c.name AS chain,
    p.protocol,
    s.deployment,
    s.column_name,
    s.token,
    t.symbol,
    s.old,
    s.new,
    s.old / power(10::numeric, t.decimals) AS old_tokens,
    s.new / power(10::numeric, t.decimals) AS new_tokens,
    s.old / power(10::numeric, t.decimals) * price.usd AS old_usd,
    s.new / power(10::numeric, t.decimals) * price.usd AS new_usd,
    r.reason,
    s.restated_at,
    r.closed_at
FROM restatement AS s
JOIN restated_day AS r USING (chain_id, deployment, day, restated_at)
JOIN chain AS c USING (chain_id)
JOIN deployment AS p USING (chain_id, deployment)
LEFT JOIN token AS t ON t.chain_id = s.chain_id AND t.token = s.token
LEFT JOIN LATERAL (
    SELECT near.usd
    FROM generate_series(0, 7) AS back
    CROSS JOIN LATERAL (
        SELECT one.usd, one.age_days
        FROM price_daily AS one
        WHERE one.chain_id = s.chain_id AND one.token = s.token AND one.day = s.day - back
        LIMIT 1
    ) AS near
    WHERE back + near.age_days <= 7
    ORDER BY back
    LIMIT 1
) AS price ON true
WHERE r.closed_at IS NOT NULL AND s.old IS DISTINCT FROM s.new;

COMMENT ON VIEW restatements IS 'Figures of closed days that changed when their deployment was read again by another version or manifest. Both are in dollars of the day at its present price.';
COMMENT ON COLUMN restatements.day IS 'UTC day.';
COMMENT ON COLUMN restatements.chain IS 'Chain, by name.';
COMMENT ON COLUMN restatements.protocol IS 'Protocol.';
COMMENT ON COLUMN restatements.deployment IS 'Deployment.';
COMMENT ON COLUMN restatements.column_name IS 'What was summed: kind.source.side.basis.';
COMMENT ON COLUMN restatements.token IS 'Token of the amounts.';
COMMENT ON COLUMN restatements.symbol IS 'Symbol of the token, made safe to show.';
COMMENT ON COLUMN restatements.old IS 'Sum before in raw units; 0 if there was none though the kind was known on this basis, NULL if it was not known.';
COMMENT ON COLUMN restatements.new IS 'Sum after in raw units; 0 if there is none though the kind is known, NULL if it no longer is.';
COMMENT ON COLUMN restatements.old_tokens IS 'Sum before in whole tokens; NULL where decimals are unknown.';
COMMENT ON COLUMN restatements.new_tokens IS 'Sum after in whole tokens.';
COMMENT ON COLUMN restatements.old_usd IS 'Sum before in dollars of the day; NULL without a price.';
COMMENT ON COLUMN restatements.new_usd IS 'Sum after in dollars of the day.';
COMMENT ON COLUMN restatements.reason IS 'Why the deployment was read again.';
COMMENT ON COLUMN restatements.restated_at IS 'When the old figures were given up.';
COMMENT ON COLUMN restatements.closed_at IS 'When the day was closed again.';
