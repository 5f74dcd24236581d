-- A figure of yield_daily walked down: to sums, prices, flows and pieces of streams.

-- name: dollar_columns
-- The figures that yield_daily has, each with its formula in words.
SELECT a.attname AS metric, col_description(a.attrelid, a.attnum) AS words
FROM pg_attribute AS a
WHERE a.attrelid = 'yield_daily'::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attname LIKE '%\_usd'
ORDER BY a.attnum;

-- name: explained_days
-- What yield_daily shows of a protocol ($1) on a day ($2), on a chain ($3) or on all, and whether it is to be made again.
SELECT
    c.chain_id,
    y.chain,
    to_jsonb(y) ->> $4 AS usd,
    y.unpriced,
    y.coverage,
    y.exactness,
    EXISTS (SELECT FROM dirty_value AS v WHERE v.chain_id = c.chain_id AND v.day = y.day)
    OR EXISTS (
        SELECT FROM dirty_day AS d JOIN deployment AS p USING (deployment)
        WHERE d.chain_id = c.chain_id AND d.day = y.day AND p.protocol = y.protocol
    ) AS touched
FROM yield_daily AS y
JOIN chain AS c ON c.name = y.chain
WHERE y.protocol = $1 AND y.day = $2 AND ($3::text IS NULL OR y.chain = $3)
ORDER BY y.chain;

-- name: closed_days
-- Closed days of a protocol ($1) per chain: the first, the last, and the nearest to a day ($2); without $1 of all.
SELECT
    y.protocol, y.chain, min(y.day) AS first, max(y.day) AS last,
    (array_agg(y.day ORDER BY abs(y.day - $2), y.day))[1] AS nearest
FROM yield_daily AS y
WHERE $1::text IS NULL OR y.protocol = $1
GROUP BY y.protocol, y.chain
ORDER BY y.protocol, y.chain;

-- name: explained_deployments
-- The deployments of a protocol ($2) that were read on a day ($3): kinds they count, and whether their flows were dropped.
SELECT
    d.deployment, p.family, p.family_version,
    ARRAY(SELECT c.kind::text FROM counted AS c WHERE c.deployment = d.deployment) AS kinds,
    EXISTS (
        SELECT FROM range_day AS r
        WHERE r.chain_id = d.chain_id AND r.deployment = d.deployment AND r.day = d.day AND r.dropped
    ) AS dropped
FROM deployment_day AS d
JOIN deployment AS p USING (deployment)
WHERE d.chain_id = $1 AND p.protocol = $2 AND d.day = $3 AND d.blocks_held > 0
ORDER BY d.deployment;

-- name: explained_sums
-- What a protocol's figures of a day are summed from: its sums on the counted basis, valued as closing does, with what
-- their price stands on: unit_usd and the quote token are of the other side of a pool's trades, told_by of files and feeds.
SELECT
    v.deployment, v.contract, v.token, t.symbol, t.decimals, v.kind, v.source, v.side, v.basis, v.amount, v.flows,
    own.token IS NOT NULL AS own,
    v.usd IS NOT NULL AS priced, v.price_source, v.price_age_days AS age_days, p.usd AS price_usd, p.evidence, told.told_by,
    o.unit_usd, q.symbol AS quote, o.quote_source
FROM flow_daily_usd AS v
JOIN counted AS c ON c.deployment = v.deployment AND c.kind = v.kind AND c.basis = v.basis
LEFT JOIN token AS t ON t.chain_id = v.chain_id AND t.token = v.token
LEFT JOIN price_daily AS p ON p.chain_id = v.chain_id AND p.token = v.token AND p.day = v.day
LEFT JOIN outside_claim($1, $3) AS told ON told.token = v.token AND told.source = p.source
LEFT JOIN counter_price AS o
    ON v.price_source = 'trade' AND o.chain_id = v.chain_id AND o.deployment = v.deployment AND o.day = v.day
    AND o.pool = v.contract AND o.token = v.token
LEFT JOIN quote_token AS q ON q.chain_id = v.chain_id AND q.token = o.quote
LEFT JOIN own_token AS own ON own.chain_id = v.chain_id AND own.protocol = v.protocol AND own.token = v.token
WHERE v.chain_id = $1 AND v.protocol = $2 AND v.day = $3;

-- name: explained_flows
-- The largest flows ($4 a sum) of a day's sums ($5 to $11, one array a column), each with the number and total of its sum's.
SELECT *
FROM (
    SELECT
        s.number, f.block_number AS block, f.block_time AS time, f.tx_hash, f.log_index, f.leg, f.contract, f.amount,
        row_number() OVER largest AS place,
        count(*) OVER (PARTITION BY s.number) AS flows,
        sum(f.amount) OVER (PARTITION BY s.number) AS total
    FROM unnest(
        $5::text[], $6::bytea[], $7::bytea[], $8::flow_kind[], $9::flow_source[], $10::flow_side[], $11::flow_basis[]
    ) WITH ORDINALITY AS s (deployment, contract, token, kind, source, side, basis, number)
    JOIN flow AS f USING (deployment, contract, token, kind, source, side, basis)
    WHERE f.chain_id = $1 AND f.protocol = $2
        AND f.block_time >= $3::date::timestamp AT TIME ZONE 'UTC'
        AND f.block_time < ($3::date + 1)::timestamp AT TIME ZONE 'UTC'
        AND f.block_number >= (SELECT block_number FROM day_start WHERE chain_id = $1 AND day = $3)
        AND f.block_number < (SELECT block_number FROM day_start WHERE chain_id = $1 AND day = $3::date + 1)
    WINDOW largest AS (PARTITION BY s.number ORDER BY f.amount DESC, f.block_number, f.log_index, f.leg)
) AS found
WHERE place <= $4
ORDER BY number, place;

-- name: explained_pieces
-- What streams accrued on a day for a protocol, largest first.
SELECT
    deployment, contract, token, kind, source, side, basis, begins, ends, numerator, denominator, amount,
    block_number AS block, tx_hash, log_index
FROM stream_piece
WHERE chain_id = $1 AND protocol = $2 AND day = $3
ORDER BY amount DESC, begins, contract;
