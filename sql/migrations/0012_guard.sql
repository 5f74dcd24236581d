-- Leases that are void the moment their holder dies: each process holds a lock on a number that its leases name.

CREATE SEQUENCE guard AS integer CYCLE;
COMMENT ON SEQUENCE guard IS 'Numbers of processes that read ranges: each holds a shared advisory lock on its own while it lives.';

ALTER TABLE lease ADD COLUMN guard integer;
COMMENT ON COLUMN lease.guard IS 'Number of the process that holds it, see live_guard: without a lock on it the lease is void. NULL: it ends by time alone.';
COMMENT ON COLUMN lease.expires_at IS 'When others may take it over at the latest, unless its holder renews it.';
