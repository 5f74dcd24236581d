-- The archive's index, what was shown before a deployment was read again, and months whose flows were dropped.

CREATE TABLE archive_question (
    chain_id bigint NOT NULL,
    question bytea NOT NULL CHECK (length(question) = 32),
    filters jsonb NOT NULL,
    PRIMARY KEY (chain_id, question)
);
COMMENT ON TABLE archive_question IS 'What files of the archive answer, but for their blocks: many files answer the same.';
COMMENT ON COLUMN archive_question.chain_id IS 'Chain.';
COMMENT ON COLUMN archive_question.question IS 'sha256 of the filters.';
COMMENT ON COLUMN archive_question.filters IS 'Filters of eth_getLogs: emitters (null: any contract) and topics by position (null: any).';

CREATE TABLE archive (
    chain_id bigint NOT NULL,
    file text NOT NULL,
    holds text NOT NULL CHECK (holds IN ('logs', 'history', 'facts', 'state')),
    question bytea,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL CHECK (last_block >= first_block),
    logs bigint NOT NULL,
    octets bigint NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, file),
    CHECK ((question IS NOT NULL) = (holds IN ('logs', 'history')))
);
CREATE INDEX archive_blocks ON archive (chain_id, holds, last_block);
COMMENT ON TABLE archive IS 'Files of the archive: all that endpoints told, so that it can be classified again without asking them.';
COMMENT ON COLUMN archive.chain_id IS 'Chain.';
COMMENT ON COLUMN archive.file IS 'Name in the archive, which holds the sha256 of the file.';
COMMENT ON COLUMN archive.holds IS 'logs, with their times; history (logs of parameter events, without times); facts (answers to eth_call that hold at any block) or state (answers that hold at their block).';
COMMENT ON COLUMN archive.question IS 'What logs it answers for; NULL for eth_calls.';
COMMENT ON COLUMN archive.first_block IS 'First block answered for; of eth_calls the block they were made at.';
COMMENT ON COLUMN archive.last_block IS 'Last block answered for, included.';
COMMENT ON COLUMN archive.logs IS 'Logs in it, or answers to eth_call.';
COMMENT ON COLUMN archive.octets IS 'Size of the file.';
COMMENT ON COLUMN archive.kept_at IS 'When it was written.';

CREATE TABLE archive_call (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL,
    file text NOT NULL,
    PRIMARY KEY (chain_id, contract, file)
);
COMMENT ON TABLE archive_call IS 'Which files hold facts that a contract told.';
COMMENT ON COLUMN archive_call.chain_id IS 'Chain.';
COMMENT ON COLUMN archive_call.contract IS 'Contract asked, 20 octets.';
COMMENT ON COLUMN archive_call.file IS 'File of the archive.';

CREATE TABLE range_archive (
    chain_id bigint NOT NULL,
    range_id bigint NOT NULL,
    file text NOT NULL,
    PRIMARY KEY (chain_id, range_id, file)
);
COMMENT ON TABLE range_archive IS 'The files that hold all logs of a range: written when it was read, or those it was read from.';
COMMENT ON COLUMN range_archive.chain_id IS 'Chain.';
COMMENT ON COLUMN range_archive.range_id IS 'Range.';
COMMENT ON COLUMN range_archive.file IS 'File of the archive.';

CREATE TABLE retired_span (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL CHECK (last_block >= first_block),
    PRIMARY KEY (chain_id, deployment, first_block)
);
COMMENT ON TABLE retired_span IS 'Blocks that a deployment held before its family or its manifest changed: they are to be read again.';
COMMENT ON COLUMN retired_span.chain_id IS 'Chain.';
COMMENT ON COLUMN retired_span.deployment IS 'Deployment.';
COMMENT ON COLUMN retired_span.first_block IS 'First block.';
COMMENT ON COLUMN retired_span.last_block IS 'Last block, included.';

CREATE TABLE restated_day (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    restated_at timestamptz NOT NULL,
    reason text NOT NULL,
    known text[] NOT NULL,
    blocks_held bigint NOT NULL,
    closed_at timestamptz,
    PRIMARY KEY (chain_id, deployment, day, restated_at)
);
CREATE INDEX restated_day_open ON restated_day (chain_id, day) WHERE closed_at IS NULL;
COMMENT ON TABLE restated_day IS 'Closed days of deployments that were read again by another version or manifest.';
COMMENT ON COLUMN restated_day.chain_id IS 'Chain.';
COMMENT ON COLUMN restated_day.deployment IS 'Deployment.';
COMMENT ON COLUMN restated_day.day IS 'UTC day.';
COMMENT ON COLUMN restated_day.restated_at IS 'When the old figures were given up.';
COMMENT ON COLUMN restated_day.reason IS 'Why.';
COMMENT ON COLUMN restated_day.known IS 'Kinds with a basis (kind.basis) of which the old figures knew, so that a sum they lacked was 0 and not unknown.';
COMMENT ON COLUMN restated_day.blocks_held IS 'Blocks of the day that the old figures covered: the new ones count once they cover as many, or all that the deployment now has.';
COMMENT ON COLUMN restated_day.closed_at IS 'When the day was closed again with such coverage; NULL until then.';

CREATE TABLE restatement (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    column_name text NOT NULL,
    token bytea NOT NULL,
    restated_at timestamptz NOT NULL,
    old numeric,
    new numeric,
    PRIMARY KEY (chain_id, deployment, day, column_name, token, restated_at)
);
COMMENT ON TABLE restatement IS 'Old and new sums of restated days, in raw units, equal ones included.';
COMMENT ON COLUMN restatement.chain_id IS 'Chain.';
COMMENT ON COLUMN restatement.deployment IS 'Deployment.';
COMMENT ON COLUMN restatement.day IS 'UTC day.';
COMMENT ON COLUMN restatement.column_name IS 'What was summed: kind.source.side.basis.';
COMMENT ON COLUMN restatement.token IS 'Token of the amounts, 20 octets.';
COMMENT ON COLUMN restatement.restated_at IS 'The restated_day it belongs to.';
COMMENT ON COLUMN restatement.old IS 'Sum before; 0 if there was none though the kind was known on this basis, NULL if it was not known.';
COMMENT ON COLUMN restatement.new IS 'Sum after; 0 if there is none though the kind is known, NULL if it no longer is, or while the day is not closed again.';

CREATE TABLE dropped_month (
    chain_id bigint NOT NULL,
    month date NOT NULL,
    flows bigint NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, month)
);
COMMENT ON TABLE dropped_month IS 'Months whose flows were dropped once they were closed and archived; sums, prices and coverage stay.';
COMMENT ON COLUMN dropped_month.chain_id IS 'Chain.';
COMMENT ON COLUMN dropped_month.month IS 'First day of the UTC month.';
COMMENT ON COLUMN dropped_month.flows IS 'Flows that were dropped.';
COMMENT ON COLUMN dropped_month.dropped_at IS 'When they were dropped last.';

ALTER TABLE range_day ADD COLUMN dropped boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN range_day.dropped IS 'Whether these flows were dropped with their month: the archive makes them again.';
CREATE INDEX range_day_dropped ON range_day (chain_id, deployment, day) WHERE dropped;

CREATE FUNCTION drop_flow_month(month date) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    following date := (month + interval '1 month')::date;
    partition text := 'flow_' || to_char(month, 'YYYY_MM');
    patience text := current_setting('lock_timeout');
    gone bigint;
BEGIN
    IF month <> date_trunc('month', month)::date THEN
        RAISE EXCEPTION '% is not the first day of a month', month;
    END IF;
    IF to_regclass(partition) IS NULL OR NOT flow_month_droppable(month) THEN
        RETURN NULL;
    END IF;
    -- Who reads flow for long is not pushed away, nor do others queue behind us: another time will do.
    PERFORM set_config('lock_timeout', '2s', true);
    BEGIN
        LOCK TABLE ONLY flow IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', partition);
    EXCEPTION WHEN lock_not_available THEN
        PERFORM set_config('lock_timeout', patience, true);
        RETURN NULL;
    END;
    PERFORM set_config('lock_timeout', patience, true);
    -- Again, now that nobody can write: a commit may have come in between.
    IF NOT flow_month_droppable(month) THEN
        RETURN NULL;
    END IF;
    WITH marked AS (
        UPDATE range_day SET dropped = true
        WHERE day >= month AND day < following AND NOT dropped
        RETURNING chain_id, flows
    ),
    counted AS (
        INSERT INTO dropped_month (chain_id, month, flows)
        SELECT chain_id, drop_flow_month.month, sum(flows) FROM marked GROUP BY chain_id
        ON CONFLICT ON CONSTRAINT dropped_month_pkey
        DO UPDATE SET flows = greatest(excluded.flows, dropped_month.flows), dropped_at = now()
    )
    SELECT coalesce(sum(flows), 0) INTO gone FROM marked;
    EXECUTE format('DROP TABLE %I', partition);
    RETURN gone;
END $$;
COMMENT ON FUNCTION drop_flow_month(date) IS 'Drops the flows of a month that is closed and archived; their number, or NULL if the month may not be dropped now.';

CREATE FUNCTION flow_month_droppable(month date) RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT NOT EXISTS (
            SELECT FROM dirty_day AS d
            WHERE d.day >= flow_month_droppable.month AND d.day < flow_month_droppable.month + interval '1 month'
        )
        AND NOT EXISTS (
            SELECT FROM range_day AS part
            LEFT JOIN deployment_day AS closed USING (chain_id, deployment, day)
            WHERE part.day >= flow_month_droppable.month AND part.day < flow_month_droppable.month + interval '1 month'
                AND NOT part.dropped
                AND (
                    closed.day IS NULL
                    OR NOT EXISTS (
                        SELECT FROM range_archive AS a
                        WHERE a.chain_id = part.chain_id AND a.range_id = part.range_id
                    )
                )
        )
$$;
COMMENT ON FUNCTION flow_month_droppable(date) IS 'Whether all days of a month are closed, and all ranges with flows in it archived, on every chain.';

CREATE FUNCTION forget_archived(forgotten text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM retired_span AS s USING deployment AS d
    WHERE d.deployment = forgotten AND s.chain_id = d.chain_id AND s.deployment = forgotten;
    DELETE FROM restated_day AS r USING deployment AS d
    WHERE d.deployment = forgotten AND r.chain_id = d.chain_id AND r.deployment = forgotten;
    DELETE FROM restatement AS r USING deployment AS d
    WHERE d.deployment = forgotten AND r.chain_id = d.chain_id AND r.deployment = forgotten;
$$;
COMMENT ON FUNCTION forget_archived(text) IS 'The part of forget_deployment for restatements; the archive keeps its files. The deployment must still be known.';

CREATE OR REPLACE FUNCTION forget_deployment(forgotten text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known deployment;
BEGIN
    SELECT * INTO known FROM deployment WHERE deployment = forgotten;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no deployment %', forgotten USING HINT = 'SELECT deployment FROM deployment lists them.';
    END IF;
    PERFORM forget_answers(forgotten);
    PERFORM forget_streams(forgotten);
    PERFORM forget_archived(forgotten);
    DELETE FROM flow WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM quarantine WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_deployment WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_trade WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM trade_daily WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM flow_daily WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM lease WHERE chain_id = known.chain_id AND forgotten = ANY(deployments);
    -- Its pools or its answers may have told prices, which are carried for seven days.
    INSERT INTO dirty_value (chain_id, day)
    SELECT DISTINCT later.chain_id, later.day
    FROM deployment_day AS gone
    JOIN deployment_day AS later ON later.chain_id = gone.chain_id AND later.day BETWEEN gone.day AND gone.day + 7
    WHERE gone.chain_id = known.chain_id AND gone.deployment = forgotten
    ON CONFLICT (chain_id, day) DO UPDATE SET day = excluded.day;
    DELETE FROM deployment_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM dirty_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM contract WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM history WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM counted WHERE deployment = forgotten;
    DELETE FROM deployment WHERE deployment = forgotten;
END $$;
