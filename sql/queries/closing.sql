-- Closing: dirty days that are over are summed again, then valued.

-- name: dirty_days
-- Days of a chain touched since they were last closed and over before the final head ($2), oldest first.
SELECT day, array_agg(deployment ORDER BY deployment) AS deployments
FROM dirty_day
WHERE chain_id = $1 AND day < $2::date
GROUP BY day
ORDER BY day;

-- name: lock_closing
-- One closer a chain at a time: the others wait until its transaction ends.
SELECT pg_advisory_xact_lock(hashtext('closing'), hashtext($1::bigint::text));

-- name: day_bounds
-- First blocks of a day and of the next one, where known.
SELECT day, block_number FROM day_start WHERE chain_id = $1 AND day IN ($2::date, $2::date + 1);

-- name: put_day_start
-- Records the first block of a day.
INSERT INTO day_start (chain_id, day, block_number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: day_neighbours
-- The last flow before a moment and the first one from it on, among the ranges' records of their days.
SELECT
    (SELECT max(last_block) FROM range_day WHERE chain_id = $1 AND day = $2::date - 1) AS before,
    (SELECT min(first_block) FROM range_day WHERE chain_id = $1 AND day = $2::date) AS after;

-- name: mark_unclosed
-- Days whose bounds are known, that a deployment holds blocks of and that were never closed.
INSERT INTO dirty_day (chain_id, deployment, day)
SELECT $1, d.deployment, bound.day
FROM deployment AS d
CROSS JOIN (
    SELECT day, block_number AS first, lead(block_number) OVER (ORDER BY day) AS next, lead(day) OVER (ORDER BY day) AS next_day
    FROM day_start
    WHERE chain_id = $1
) AS bound
LEFT JOIN deployment_day AS closed
    ON closed.chain_id = $1 AND closed.deployment = d.deployment AND closed.day = bound.day
WHERE d.chain_id = $1 AND bound.next_day = bound.day + 1 AND closed.day IS NULL
    AND EXISTS (
        SELECT FROM range_deployment AS r
        WHERE r.chain_id = $1 AND r.deployment = d.deployment AND r.first_block < bound.next AND r.last_block >= bound.first
    )
ORDER BY d.deployment, bound.day
ON CONFLICT DO NOTHING;

-- name: held_blocks
-- Merged spans of blocks that any deployment of the chain holds.
SELECT lower(span) AS first_block, upper(span) - 1 AS last_block
FROM unnest((
    SELECT range_agg(int8range(first_block, last_block, '[]')) FROM range_deployment WHERE chain_id = $1
)) AS span;

-- name: day_starts
-- Days of a chain whose first block is known.
SELECT day, block_number FROM day_start WHERE chain_id = $1 ORDER BY day;

-- name: drop_flow_daily
-- Takes back a day's sums before they are made again.
DELETE FROM flow_daily WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: sum_flow_daily
-- Sums a day's flows per contract, token and label; $4 and $5 are the first blocks of the day and of the next.
INSERT INTO flow_daily (chain_id, protocol, deployment, day, contract, token, kind, source, side, basis, amount, flows)
SELECT chain_id, protocol, deployment, $2, contract, token, kind, source, side, basis, sum(amount), count(*)
FROM flow
WHERE chain_id = $1
    AND deployment = ANY($3::text[])
    AND block_number >= $4 AND block_number < $5
    AND block_time >= $2::date::timestamp AT TIME ZONE 'UTC' AND block_time < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY chain_id, protocol, deployment, contract, token, kind, source, side, basis;

-- name: drop_trade_daily
-- Takes back a day's trades before they are made again.
DELETE FROM trade_daily WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: sum_trade_daily
-- Adds up the ranges' parts of a day's trades; the last swap of the day tells the depth.
INSERT INTO trade_daily (
    chain_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, depth0, depth1)
SELECT
    chain_id, deployment, day, pool, token0, token1, sum(swaps), sum(in0), sum(in1), sum(out0), sum(out1),
    (array_agg(depth0 ORDER BY close_block DESC, close_log_index DESC))[1],
    (array_agg(depth1 ORDER BY close_block DESC, close_log_index DESC))[1]
FROM range_trade
WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[])
GROUP BY chain_id, deployment, day, pool, token0, token1;

-- name: range_digests
-- What the ranges say of a day: their digests are added up outside, mod 2^256.
SELECT deployment, flows, digest FROM range_day WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: put_deployment_day
-- Records a closed day: $4 flows, $5 digest; coverage counts the blocks between $6 and $7 (the next day's first).
INSERT INTO deployment_day (chain_id, deployment, day, flows, digest, blocks_held, blocks)
SELECT
    $1, d.deployment, $3, $4, $5,
    (
        SELECT coalesce(sum(upper(held) - lower(held)), 0)
        FROM unnest((
            SELECT range_agg(int8range(r.first_block, r.last_block, '[]'))
            FROM range_deployment AS r
            WHERE r.chain_id = $1 AND r.deployment = d.deployment AND r.first_block < $7 AND r.last_block >= $6
        ) * int8multirange(int8range($6, $7))) AS held
    ),
    greatest($7 - greatest($6, d.start_block), 0)
FROM deployment AS d
WHERE d.deployment = $2
ON CONFLICT (chain_id, deployment, day)
DO UPDATE SET flows = excluded.flows, digest = excluded.digest, blocks_held = excluded.blocks_held, blocks = excluded.blocks;

-- name: clear_dirty_days
-- The day is closed.
DELETE FROM dirty_day WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: mark_dirty_value
-- Prices of a day may be carried for seven days, so these are to be valued again.
INSERT INTO dirty_value (chain_id, day)
SELECT DISTINCT $1::bigint, touched.day
FROM generate_series(0, 7) AS later
JOIN LATERAL (SELECT $2::date + later AS day) AS touched ON true
WHERE later = 0 OR EXISTS (SELECT FROM deployment_day AS d WHERE d.chain_id = $1 AND d.day = touched.day)
ON CONFLICT DO NOTHING;

-- name: dirty_values
-- Days to be valued again, oldest first.
SELECT day FROM dirty_value WHERE chain_id = $1 ORDER BY day;

-- name: clear_dirty_value
-- The day is valued.
DELETE FROM dirty_value WHERE chain_id = $1 AND day = $2;

-- name: refresh
-- Shows the closed days to everybody; plain, since it takes a fraction of what CONCURRENTLY does.
REFRESH MATERIALIZED VIEW yield_daily;
