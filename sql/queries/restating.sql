-- Restatements: what closed days said before their deployment was read again, and what they say now.

-- name: retire_spans
-- Remembers every block that a deployment held, so that it is read again.
WITH old AS (
    DELETE FROM retired_span WHERE chain_id = $1 AND deployment = $2 RETURNING first_block, last_block
),
span AS (
    SELECT unnest(range_agg(int8range(first_block, last_block, '[]'))) AS span
    FROM (
        SELECT first_block, last_block FROM old
        UNION ALL
        SELECT first_block, last_block FROM range_deployment WHERE chain_id = $1 AND deployment = $2
    ) AS held
)
INSERT INTO retired_span (chain_id, deployment, first_block, last_block)
SELECT $1, $2, lower(span), upper(span) - 1 FROM span;

-- name: remember_reason
-- Days that wait for their new figures already are restated for this reason, too, unless it is the latest one they have.
UPDATE restated_day SET reason = reason || '; ' || $3
WHERE chain_id = $1 AND deployment = $2 AND closed_at IS NULL AND right('; ' || reason, length($3) + 2) <> '; ' || $3;

-- name: remember_days
-- Remembers the closed days of a deployment, and of which kinds and bases their figures know.
INSERT INTO restated_day (chain_id, deployment, day, restated_at, reason, known, blocks_held)
SELECT
    d.chain_id, d.deployment, d.day, now(), $3,
    array(
        SELECT kind || '.' || basis FROM counted WHERE deployment = $2 AND basis IS NOT NULL
        UNION
        SELECT kind || '.' || any_basis
        FROM counted CROSS JOIN unnest(enum_range(NULL::flow_basis)) AS any_basis
        WHERE deployment = $2 AND basis IS NULL
        UNION
        SELECT kind || '.' || basis FROM flow_daily WHERE chain_id = $1 AND deployment = $2
    ),
    d.blocks_held
FROM deployment_day AS d
WHERE d.chain_id = $1 AND d.deployment = $2
    AND NOT EXISTS (
        SELECT FROM restated_day AS r
        WHERE r.chain_id = $1 AND r.deployment = $2 AND r.day = d.day AND r.closed_at IS NULL
    );

-- name: remember_sums
-- Remembers their sums.
INSERT INTO restatement (chain_id, deployment, day, column_name, token, restated_at, old)
SELECT
    f.chain_id, f.deployment, f.day, concat_ws('.', f.kind, f.source, f.side, f.basis), f.token, r.restated_at, sum(f.amount)
FROM flow_daily AS f
JOIN restated_day AS r USING (chain_id, deployment, day)
WHERE r.chain_id = $1 AND r.deployment = $2 AND r.restated_at = now()
GROUP BY f.chain_id, f.deployment, f.day, f.kind, f.source, f.side, f.basis, f.token, r.restated_at
ON CONFLICT DO NOTHING;

-- name: restate_sums
-- Sets the new sums of a day beside the old ones, once it covers as much as it did or as the deployment now has.
INSERT INTO restatement (chain_id, deployment, day, column_name, token, restated_at, old, new)
SELECT
    r.chain_id, r.deployment, r.day, f.column_name, f.token, r.restated_at,
    CASE WHEN f.kind_basis = ANY(r.known) THEN 0 END, f.amount
FROM restated_day AS r
JOIN deployment_day AS d USING (chain_id, deployment, day)
CROSS JOIN LATERAL (
    SELECT
        concat_ws('.', kind, source, side, basis) AS column_name, kind || '.' || basis AS kind_basis, token,
        sum(amount) AS amount
    FROM flow_daily
    WHERE chain_id = $1 AND day = $2 AND deployment = r.deployment
    GROUP BY kind, source, side, basis, token
) AS f
WHERE r.chain_id = $1 AND r.day = $2 AND r.deployment = ANY($3::text[]) AND r.closed_at IS NULL
    AND d.blocks_held >= least(r.blocks_held, d.blocks)
ON CONFLICT (chain_id, deployment, day, column_name, token, restated_at) DO UPDATE SET new = excluded.new;

-- name: restate_vanished
-- A sum that is gone is 0 while its kind is known, and unknown if it is not.
UPDATE restatement AS s
SET new = CASE WHEN EXISTS (
    SELECT FROM counted AS c WHERE c.deployment = s.deployment AND c.kind::text = split_part(s.column_name, '.', 1)
) THEN 0 END
FROM restated_day AS r
JOIN deployment_day AS d USING (chain_id, deployment, day)
WHERE (s.chain_id, s.deployment, s.day, s.restated_at) = (r.chain_id, r.deployment, r.day, r.restated_at)
    AND r.chain_id = $1 AND r.day = $2 AND r.deployment = ANY($3::text[]) AND r.closed_at IS NULL
    AND d.blocks_held >= least(r.blocks_held, d.blocks)
    AND s.new IS NULL;

-- name: close_restated
-- The day has its new figures.
UPDATE restated_day AS r SET closed_at = now()
FROM deployment_day AS d
WHERE (d.chain_id, d.deployment, d.day) = (r.chain_id, r.deployment, r.day)
    AND r.chain_id = $1 AND r.day = $2 AND r.deployment = ANY($3::text[]) AND r.closed_at IS NULL
    AND d.blocks_held >= least(r.blocks_held, d.blocks);

-- name: restatements_of
-- Restated figures that differ, of one protocol or of all (NULL), newest restatement first.
SELECT
    day, chain, deployment, column_name, symbol, old_tokens, new_tokens, old_usd, new_usd, reason, restated_at
FROM restatements
WHERE $1::text IS NULL OR protocol = $1
ORDER BY restated_at DESC, chain, deployment, day, column_name, token;
