-- Streams: rewards that accrue with time, made from parameters and cut at the days that are closed.

-- name: known_spans
-- Spans in which no event of a deployment is missing since its start ($3), or since a state asked of its contracts ($4).
SELECT CASE WHEN lower(span) <= $3 THEN lower(span) ELSE opened.block END AS first_block, upper(span) - 1 AS last_block
FROM unnest((
    SELECT range_agg(int8range(first_block, last_block, '[]'))
    FROM (
        SELECT first_block, last_block FROM history WHERE chain_id = $1 AND deployment = $2
        UNION ALL
        SELECT first_block, last_block FROM range_deployment WHERE chain_id = $1 AND deployment = $2
    ) AS read
)) AS span
CROSS JOIN LATERAL (
    SELECT min(block_number) AS block
    FROM parameter
    WHERE chain_id = $1 AND contract = ANY($4::bytea[]) AND name = 'opening'
        AND block_number >= lower(span) AND block_number < upper(span)
) AS opened
WHERE lower(span) <= $3 OR opened.block IS NOT NULL
ORDER BY span;

-- name: streams
-- A deployment's streams as they are stored.
SELECT
    span_first_block, contract, token, kind, source, side, basis, begins, ends, numerator, denominator, block_number,
    tx_hash, log_index
FROM stream
WHERE chain_id = $1 AND deployment = $2;

-- name: drop_stream
-- Takes back a stream that is no longer what the parameters make.
DELETE FROM stream
WHERE chain_id = $1 AND deployment = $2 AND span_first_block = $3 AND contract = $4 AND token = $5
    AND kind = $6::text::flow_kind AND source = $7::text::flow_source AND side = $8::text::flow_side
    AND basis = $9::text::flow_basis AND begins = $10;

-- name: put_stream
-- A stream that the parameters make.
INSERT INTO stream (
    chain_id, deployment, span_first_block, contract, token, kind, source, side, basis, begins, ends, numerator,
    denominator, block_number, tx_hash, log_index)
VALUES (
    $1, $2, $3, $4, $5, $6::text::flow_kind, $7::text::flow_source, $8::text::flow_side, $9::text::flow_basis, $10, $11,
    $12, $13, $14, $15, $16);

-- name: drop_stream_spans
-- Takes back what is known of a deployment's streams before it is said again.
DELETE FROM stream_span WHERE chain_id = $1 AND deployment = $2;

-- name: put_stream_span
-- A span in which a deployment's streams are known.
INSERT INTO stream_span (chain_id, deployment, first_block, last_block) VALUES ($1, $2, $3, $4);

-- name: stored_stream_spans
-- Spans in which a deployment's streams were known when they were made.
SELECT first_block, last_block FROM stream_span WHERE chain_id = $1 AND deployment = $2 ORDER BY first_block;

-- name: stream_days
-- What a deployment's streams make of each closed day, as one number a day: from the day of a moment ($3) or block ($4) on.
SELECT day, count(*) AS pieces, sum(octets_uint256(digest)) AS digests
FROM stream_piece
WHERE chain_id = $1 AND deployment = $2
    AND day >= least(
        ($3::timestamptz AT TIME ZONE 'UTC')::date,
        CASE WHEN $4::bigint IS NOT NULL THEN coalesce(
            (SELECT max(day) FROM day_start WHERE chain_id = $1 AND block_number <= $4), '0001-01-01'::date) END)
GROUP BY day;

-- name: mark_days
-- Days of a deployment to be closed again; a mark that stands is written anew, so that who closes the day meanwhile waits.
INSERT INTO dirty_day (chain_id, deployment, day)
SELECT $1, $2, unnest($3::date[])
ON CONFLICT (chain_id, deployment, day) DO UPDATE SET day = excluded.day;

-- name: close_streams
-- Adds what streams accrued on a day to its sums, and their pieces to its number of flows and to its digest, mod 2^256.
WITH piece AS MATERIALIZED (
    SELECT * FROM stream_piece WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[])
),
summed AS (
    INSERT INTO flow_daily (
        chain_id, protocol, deployment, day, contract, token, kind, source, side, basis, amount, flows)
    SELECT chain_id, protocol, deployment, day, contract, token, kind, source, side, basis, sum(amount), count(*)
    FROM piece
    GROUP BY chain_id, protocol, deployment, day, contract, token, kind, source, side, basis
    ON CONFLICT (chain_id, deployment, day, contract, token, kind, source, side, basis)
    DO UPDATE SET amount = flow_daily.amount + excluded.amount, flows = flow_daily.flows + excluded.flows
)
UPDATE deployment_day AS closed
SET flows = closed.flows + added.pieces,
    digest = uint256_octets(mod(octets_uint256(closed.digest) + added.digests, 2::numeric ^ 256))
FROM (
    SELECT chain_id, deployment, day, count(*) AS pieces, sum(octets_uint256(digest)) AS digests
    FROM piece
    GROUP BY chain_id, deployment, day
) AS added
WHERE (closed.chain_id, closed.deployment, closed.day) = (added.chain_id, added.deployment, added.day);
