-- Closing and showing a day cost the same however long the history is.

-- What a deployment holds around a block, by one descent: its ranges do not overlap, so they end in the order they begin.
CREATE INDEX range_deployment_blocks ON range_deployment (chain_id, deployment, last_block, first_block);

-- A day's prices stand side by side: by token first, each of thousands would be written into another page of the index.
ALTER TABLE price_daily DROP CONSTRAINT price_daily_pkey;
DROP INDEX price_daily_day;
ALTER TABLE price_daily ADD PRIMARY KEY (chain_id, day, token);

-- The key finds a protocol's days as well, and a refresh makes every index anew.
DROP INDEX yield_daily_protocol;

-- It has an argument more now, see sql/views.
DROP FUNCTION IF EXISTS market_rate(bigint, date, date);

-- Days are alike. If the most common ones of a short history were all of them, a new one would be taken for empty.
ALTER TABLE trade_daily ALTER COLUMN day SET STATISTICS 10;
ALTER TABLE flow_daily ALTER COLUMN day SET STATISTICS 10;
ALTER TABLE price_daily ALTER COLUMN day SET STATISTICS 10;
ALTER TABLE deployment_day ALTER COLUMN day SET STATISTICS 10;

CREATE FUNCTION learn_statistics() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    outgrown regclass;
BEGIN
    FOR outgrown IN
        SELECT c.oid
        FROM pg_class AS c
        WHERE c.oid = ANY(ARRAY['trade_daily', 'flow_daily', 'price_daily', 'deployment_day']::regclass[])
            AND (
                pg_relation_size(c.oid) > 1.1 * c.relpages * current_setting('block_size')::bigint
                OR NOT EXISTS (
                    SELECT FROM pg_stats AS s
                    WHERE s.schemaname = c.relnamespace::regnamespace::text AND s.tablename = c.relname AND s.attname = 'day'
                )
            )
    LOOP
        EXECUTE format('ANALYZE %s', outgrown);
    END LOOP;
END $$;
COMMENT ON FUNCTION learn_statistics() IS 'Statistics of the tables of closed days that have none, or grew by a tenth since: a backfill is not planned as if they were empty, and one more day costs nothing.';

CREATE TABLE shown_day (
    chain text NOT NULL,
    day date NOT NULL,
    version numeric NOT NULL,
    PRIMARY KEY (chain, day)
);
COMMENT ON TABLE shown_day IS 'Which rows of protocol_day yield_daily shows: a refresh looks for differences on days whose rows were written since, and tells them. A day without a row here is looked at.';
COMMENT ON COLUMN shown_day.chain IS 'Chain, by name.';
COMMENT ON COLUMN shown_day.day IS 'UTC day.';
COMMENT ON COLUMN shown_day.version IS 'Sum over its rows of a hash of the transaction that wrote them (xmin) and of the protocol''s methodology.';
