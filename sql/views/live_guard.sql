-- Processes that live: Postgres lets go of a session's locks when its client dies.
CREATE OR REPLACE VIEW live_guard AS
SELECT DISTINCT objid::bigint::integer AS guard
FROM pg_locks
WHERE locktype = 'advisory' AND classid = hashtext('guard')::oid AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
COMMENT ON VIEW live_guard IS 'Numbers of the processes that read ranges now: each has a session that holds an advisory lock on its number.';
COMMENT ON COLUMN live_guard.guard IS 'Number, as in lease.guard.';
