-- The archive's index: which files answer what.

-- name: put_archive_question
-- Makes a set of filters known by its fingerprint.
INSERT INTO archive_question (chain_id, question, filters) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: put_archive
-- Makes a file of the archive known.
INSERT INTO archive (chain_id, file, holds, question, first_block, last_block, logs, octets)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT DO NOTHING;

-- name: put_archive_calls
-- Says which contracts a file of facts tells of.
INSERT INTO archive_call (chain_id, contract, file)
SELECT $1, contract, $3 FROM unnest($2::bytea[]) AS contract ORDER BY contract
ON CONFLICT DO NOTHING;

-- name: put_range_archive
-- Says which files hold a range's logs.
INSERT INTO range_archive (chain_id, range_id, file) SELECT $1, $2, unnest($3::text[]) ON CONFLICT DO NOTHING;

-- name: archived
-- Files with logs of some blocks ($2 to $3).
SELECT file, holds, question, first_block, last_block, logs
FROM archive
WHERE chain_id = $1 AND holds IN ('logs', 'history') AND last_block >= $2 AND first_block <= $3
ORDER BY first_block, last_block, file;

-- name: archive_questions
-- What files of the archive answer, by fingerprint.
SELECT question, filters FROM archive_question WHERE chain_id = $1 AND question = ANY($2::bytea[]);

-- name: archived_facts
-- Files with facts that these contracts told, oldest first.
SELECT DISTINCT a.file, a.first_block
FROM archive_call AS c
JOIN archive AS a USING (chain_id, file)
WHERE c.chain_id = $1 AND c.contract = ANY($2::bytea[])
ORDER BY a.first_block, a.file;

-- name: archived_state
-- Files with answers about the state at a block.
SELECT file FROM archive WHERE chain_id = $1 AND holds = 'state' AND last_block = $2 AND first_block = $2 ORDER BY file;

-- name: archives_state
-- Whether any answer about the state was kept.
SELECT EXISTS (SELECT FROM archive WHERE chain_id = $1 AND holds = 'state');

-- name: forget_file
-- A file can no longer be read: what it held was never asked, and ranges that it held are no longer archived.
WITH gone AS (
    DELETE FROM archive WHERE chain_id = $1 AND file = $2
),
calls AS (
    DELETE FROM archive_call WHERE chain_id = $1 AND file = $2
)
DELETE FROM range_archive
WHERE chain_id = $1 AND range_id IN (SELECT range_id FROM range_archive WHERE chain_id = $1 AND file = $2);

-- name: retired_spans
-- Blocks that deployments held before they were retired.
SELECT deployment, first_block, last_block FROM retired_span WHERE chain_id = $1 AND deployment = ANY($2::text[]);

-- name: read_spans
-- Blocks that deployments hold, merged.
SELECT deployment, lower(span) AS first_block, upper(span) - 1 AS last_block
FROM (
    SELECT deployment, unnest(range_agg(int8range(first_block, last_block, '[]'))) AS span
    FROM range_deployment
    WHERE chain_id = $1 AND deployment = ANY($2::text[])
    GROUP BY deployment
) AS merged;

-- name: ranges_between
-- A deployment's ranges that touch some blocks ($3 to $4).
SELECT first_block, last_block
FROM range_deployment
WHERE chain_id = $1 AND deployment = $2 AND first_block <= $4 AND last_block >= $3
ORDER BY first_block;

-- name: stored_versions
-- The family versions and manifests that deployments' coverage counts for.
SELECT deployment, family, family_version, manifest_digest FROM deployment WHERE deployment = ANY($1::text[]);

-- name: dropped_ranges
-- Ranges without their flows of which a day is to be closed again.
SELECT r.range_id, r.deployment, r.first_block, r.last_block
FROM range_deployment AS r
WHERE r.chain_id = $1 AND r.deployment = ANY($2::text[])
    AND EXISTS (
        SELECT FROM range_day AS part
        JOIN dirty_day AS dirty USING (chain_id, deployment, day)
        WHERE part.chain_id = $1 AND part.deployment = r.deployment AND part.range_id = r.range_id AND part.dropped
    )
ORDER BY r.first_block, r.deployment, r.range_id;

-- name: lock_dropped_days
-- What a range without its flows says of its days; nobody changes it until the transaction ends.
SELECT day, flows, digest
FROM range_day
WHERE chain_id = $1 AND deployment = $2 AND range_id = $3 AND dropped
ORDER BY day
FOR UPDATE;

-- name: put_back_days
-- The range has its flows again.
UPDATE range_day SET dropped = false WHERE chain_id = $1 AND deployment = $2 AND range_id = $3 AND dropped;

-- name: flow_months
-- Months that have a partition and end before a day, oldest first.
SELECT to_date(right(c.relname, 7), 'YYYY_MM') AS month
FROM pg_inherits AS i
JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'flow'::regclass AND c.relname ~ '^flow_[0-9]{4}_[0-9]{2}$'
    AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= $1::date
ORDER BY month;

-- name: drop_flow_month
-- Drops a month's flows if it is closed and archived; their number, NULL if it may not be dropped now.
SELECT drop_flow_month($1::date) AS flows;
