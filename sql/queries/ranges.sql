-- Ranges: what is held, what is being read, and the one transaction that commits.

-- name: held
-- Spans held, per deployment, merged.
SELECT deployment, lower(span) AS first_block, upper(span) - 1 AS last_block
FROM (
    SELECT deployment, unnest(range_agg(int8range(first_block, last_block, '[]'))) AS span
    FROM range_deployment
    WHERE chain_id = $1 AND deployment = ANY($2::text[])
    GROUP BY deployment
) AS merged;

-- name: latest_fence
-- The highest fencing number that is committed or being read: any later claim has a higher one.
SELECT greatest(
    (SELECT max(fence) FROM range WHERE chain_id = $1), (SELECT max(fence) FROM lease WHERE chain_id = $1), 0
) AS fence;

-- name: held_since
-- What was committed under one of the fencing numbers $2 or under one above $3, and all that is being read.
SELECT part.deployment, part.first_block, part.last_block, r.fence, false AS leased
FROM range AS r
JOIN range_deployment AS part USING (chain_id, range_id)
WHERE r.chain_id = $1 AND (r.fence = ANY($2::bigint[]) OR r.fence > $3)
UNION ALL
SELECT taken.deployment, lease.first_block, lease.last_block, lease.fence, true
FROM lease
CROSS JOIN LATERAL unnest(lease.deployments) AS taken (deployment)
WHERE lease.chain_id = $1;

-- name: held_hull
-- The lowest and the highest block that one of the deployments holds, or held before it was retired.
SELECT min(first_block) AS first_block, max(last_block) AS last_block
FROM (
    SELECT first_block, last_block FROM range_deployment WHERE chain_id = $1 AND deployment = ANY($2::text[])
    UNION ALL
    SELECT first_block, last_block FROM retired_span WHERE chain_id = $1 AND deployment = ANY($2::text[])
) AS held;

-- name: lock_claims
-- One claim a chain at a time.
SELECT pg_advisory_xact_lock(hashtext('claim'), hashtext($1::bigint::text));

-- name: drop_dead_leases
-- Leases whose holders died or did not renew them: what they read is missing again; those of the process itself ($2)
-- end by time alone; one that is just being committed is left.
DELETE FROM lease
WHERE chain_id = $1 AND fence IN (
    SELECT fence
    FROM lease
    WHERE chain_id = $1 AND (
        expires_at < now()
        OR guard IS NOT NULL AND guard IS DISTINCT FROM $2::integer AND guard NOT IN (SELECT guard FROM live_guard)
    )
    FOR UPDATE SKIP LOCKED
);

-- name: take_lease
-- Takes a range for deployments; the number it returns must still stand when the range commits.
INSERT INTO lease (chain_id, first_block, last_block, deployments, holder, expires_at, guard)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6::int), $7)
RETURNING fence;

-- name: lease_stands
-- Whether a range is still taken.
SELECT EXISTS (SELECT FROM lease WHERE chain_id = $1 AND fence = $2);

-- name: leases_of_others
-- Leases of these deployments between two blocks ($4, $5) that are not this process's own, and whether they still hold.
SELECT fence, expires_at >= now() AND (guard IS NULL OR guard IN (SELECT guard FROM live_guard)) AS alive
FROM lease
WHERE chain_id = $1 AND deployments && $2::text[] AND fence <> ALL($3::bigint[])
    AND first_block <= $5 AND last_block >= $4;

-- name: new_guard
-- A number of its own for a process that reads ranges.
SELECT nextval('guard');

-- name: hold_guard
-- The session holds the number as long as it lasts.
SELECT pg_advisory_lock_shared(hashtext('guard'), $1::integer);

-- name: ask_guard
-- Whether the session still answers.
SELECT 1;

-- name: renew_leases
-- The holder is alive: its leases last longer.
UPDATE lease SET expires_at = now() + make_interval(secs => $3::int) WHERE chain_id = $1 AND fence = ANY($2::bigint[]);

-- name: end_lease
-- Gives a range back; also the fence of a commit: without a row nothing may be written.
DELETE FROM lease WHERE chain_id = $1 AND fence = $2 RETURNING fence;

-- name: drop_flows
-- Takes back what the ledger holds of these deployments in a range.
DELETE FROM flow WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3 AND deployment = ANY($4::text[]);

-- name: drop_quarantine
-- The same for logs that could not be decoded.
DELETE FROM quarantine WHERE chain_id = $1 AND block_number BETWEEN $2 AND $3 AND deployment = ANY($4::text[]);

-- name: drop_range_parts
-- The same for what ranges inside of these blocks said of the deployments' coverage, days, trades and answers.
WITH gone AS (
    DELETE FROM range_deployment
    WHERE chain_id = $1 AND first_block >= $2 AND last_block <= $3 AND deployment = ANY($4::text[])
    RETURNING chain_id, deployment, range_id
),
days AS (
    DELETE FROM range_day AS part USING gone
    WHERE (part.chain_id, part.deployment, part.range_id) = (gone.chain_id, gone.deployment, gone.range_id)
),
answers AS (
    DELETE FROM range_answer AS part USING gone
    WHERE (part.chain_id, part.deployment, part.range_id) = (gone.chain_id, gone.deployment, gone.range_id)
)
DELETE FROM range_trade AS part USING gone
WHERE (part.chain_id, part.deployment, part.range_id) = (gone.chain_id, gone.deployment, gone.range_id);

-- name: held_beyond
-- Whether a range holds some of these blocks for one of the deployments: it cannot be replaced in part.
SELECT EXISTS (
    SELECT FROM range_deployment
    WHERE chain_id = $1 AND first_block <= $3 AND last_block >= $2 AND deployment = ANY($4::text[])
);

-- name: put_range
-- Records a range.
INSERT INTO range (
    chain_id, first_block, last_block, anchor_block, anchor_hash, logs_received, logs_used, flows, endpoint, fence,
    requests, octets)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
RETURNING range_id;

-- name: put_range_deployments
-- A range holds all flows of these deployments; each is covered from its own start block on.
INSERT INTO range_deployment (chain_id, range_id, deployment, first_block, last_block)
SELECT $1, $2, unnest($3::text[]), $4, $5;

-- name: put_range_day
-- What a range adds to a deployment's day.
INSERT INTO range_day (chain_id, range_id, deployment, day, first_block, last_block, flows, digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: put_range_trades
-- What a range adds to pools' days (since 1970), by column; amounts come as text, which costs the client least.
INSERT INTO range_trade (
    chain_id, range_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1,
    close_block, close_log_index, depth0, depth1)
SELECT
    $1, $2, deployment, DATE '1970-01-01' + day, pool, token0, token1, swaps,
    in0::numeric, in1::numeric, out0::numeric, out1::numeric, close_block, close_log_index,
    depth0::numeric, depth1::numeric
FROM unnest(
    $3::text[], $4::integer[], $5::bytea[], $6::bytea[], $7::bytea[], $8::bigint[], $9::text[], $10::text[],
    $11::text[], $12::text[], $13::bigint[], $14::integer[], $15::text[], $16::text[]
) AS trade (
    deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, close_block, close_log_index, depth0, depth1
);

-- name: put_range_answer
-- What a range adds to a feed's day: its answers, each with its log.
INSERT INTO range_answer (
    chain_id, range_id, deployment, day, contract, token, decimals, blocks, log_indexes, answers)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: mark_dirty
-- Touched: the days with flows or answers ($3), and those whose bounds are known and lie in the range ($4 to $5), where
-- coverage grew; a mark that stands is written anew, so that who closes the day meanwhile waits for this commit.
INSERT INTO dirty_day (chain_id, deployment, day)
SELECT $1, deployment, touched.day
FROM unnest($2::text[]) AS deployment
CROSS JOIN (
    SELECT unnest($3::date[]) AS day
    UNION
    SELECT day
    FROM (
        SELECT day, block_number, lead(block_number) OVER (ORDER BY day) AS next, lead(day) OVER (ORDER BY day) AS next_day
        FROM day_start
        WHERE chain_id = $1
    ) AS bound
    WHERE bound.next_day = bound.day + 1 AND bound.block_number <= $5 AND bound.next > $4
) AS touched
ORDER BY deployment, touched.day
ON CONFLICT (chain_id, deployment, day) DO UPDATE SET day = excluded.day;

-- name: committed
-- Whether a lease's range went through.
SELECT range_id FROM range WHERE chain_id = $1 AND fence = $2;

-- name: put_quarantine
-- A log that could not be decoded.
INSERT INTO quarantine (chain_id, block_number, log_index, deployment, tx_hash, contract, topic0, reason, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT DO NOTHING;

-- name: ensure_flow_month
-- Makes the partition for a month.
SELECT ensure_flow_month($1);
