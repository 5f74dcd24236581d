-- Reading whole tables and views for files.

-- name: relations
-- Tables and views of this schema that may be named, months of flow left out.
SELECT c.relname AS relation
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
ORDER BY c.relname;

-- name: whole_relation
-- The statement that reads a table or view ($1) in the order of its key, if it has one; no row if there is none.
SELECT format('SELECT * FROM %I.%I%s', n.nspname, c.relname, ' ORDER BY ' || key.columns) AS statement
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (
    SELECT i.indexrelid, i.indkey
    FROM pg_index AS i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL
    ORDER BY i.indisprimary DESC, i.indexrelid
    LIMIT 1
) AS i ON true
LEFT JOIN LATERAL (
    SELECT string_agg(format('%I', a.attname), ', ' ORDER BY place.number) AS columns
    FROM unnest(i.indkey) WITH ORDINALITY AS place (attnum, number)
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = place.attnum
) AS key ON true
WHERE c.relname = $1 AND n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm');

-- name: declared_columns
-- What a table or view ($1) declares of its columns: a numeric's digits and decimals (NULL: not told), and the comment.
SELECT
    a.attname AS name,
    CASE WHEN a.atttypid = 'numeric'::regtype AND a.atttypmod > 4 THEN (a.atttypmod - 4) >> 16 & 65535 END AS digits,
    CASE WHEN a.atttypid = 'numeric'::regtype AND a.atttypmod > 4 THEN (a.atttypmod - 4) & 2047 END AS decimals,
    col_description(a.attrelid, a.attnum) AS comment
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relname = $1 AND c.relnamespace = current_schema()::regnamespace AND a.attnum > 0 AND NOT a.attisdropped;

-- name: digests_by_day
-- The digest of each closed day over all deployments: the sum of theirs mod 2^256.
SELECT day, uint256_octets(mod(sum(octets_uint256(digest)), 2::numeric ^ 256)) AS digest
FROM deployment_day
GROUP BY day
ORDER BY day;
