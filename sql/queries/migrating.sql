-- Views, made anew when this program's differ from those of the database.

-- name: standing_views
-- Those of the named views that are there, with the statement that drops each.
SELECT c.relname AS name, format('DROP VIEW %I', c.relname) AS dropping
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'v' AND c.relname = ANY ($1::text[])
ORDER BY c.relname;

-- name: taken_names
-- Those of the names that a table, view, index or sequence has.
SELECT c.relname AS name
FROM pg_class AS c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relname = ANY ($1::text[])
ORDER BY c.relname;

-- name: view_grants
-- What was granted on the named views to others than their owner, as the statements that grant it again.
SELECT
    c.relname AS name,
    format(
        'GRANT %s ON %I TO %s%s', a.privilege_type, c.relname,
        CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END,
        CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
    ) AS granting
FROM pg_class AS c
CROSS JOIN LATERAL aclexplode(c.relacl) AS a
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'v' AND c.relname = ANY ($1::text[])
    AND a.grantee <> c.relowner
ORDER BY c.relname, a.grantee, a.privilege_type;

-- name: forget_views
-- Drops the record of all views.
DELETE FROM migration WHERE migration LIKE 'view:%';

-- name: record_view
-- Records that a view was made, with the digest of its text.
INSERT INTO migration (migration, sha256) VALUES ('view:' || $1::text, $2);
