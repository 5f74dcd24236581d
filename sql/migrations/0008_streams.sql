-- Rewards that accrue with time, not by logs; closing cuts them at UTC days.

CREATE TABLE stream_span (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL CHECK (last_block >= first_block),
    PRIMARY KEY (chain_id, deployment, first_block)
);
COMMENT ON TABLE stream_span IS 'Spans of blocks in which a deployment''s streams are known: no event is missing since its start, or since a block whose state was asked.';
COMMENT ON COLUMN stream_span.chain_id IS 'Chain.';
COMMENT ON COLUMN stream_span.deployment IS 'Deployment.';
COMMENT ON COLUMN stream_span.first_block IS 'First block: the deployment''s start or before, or the block whose state was asked.';
COMMENT ON COLUMN stream_span.last_block IS 'Last block whose events are known.';

CREATE TABLE stream (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    span_first_block bigint NOT NULL,
    contract bytea NOT NULL,
    token bytea NOT NULL,
    kind flow_kind NOT NULL,
    source flow_source NOT NULL,
    side flow_side NOT NULL,
    basis flow_basis NOT NULL,
    begins timestamptz NOT NULL,
    ends timestamptz NOT NULL CHECK (ends > begins),
    numerator numeric(78, 0) NOT NULL CHECK (numerator > 0),
    denominator numeric(78, 0) NOT NULL CHECK (denominator > 0),
    block_number bigint NOT NULL,
    tx_hash bytea,
    log_index integer,
    PRIMARY KEY (chain_id, deployment, contract, token, kind, source, side, basis, begins, span_first_block)
);
COMMENT ON TABLE stream IS 'Rewards that accrue with time: numerator / denominator raw units a second. Made anew from the parameters before days are closed.';
COMMENT ON COLUMN stream.chain_id IS 'Chain.';
COMMENT ON COLUMN stream.deployment IS 'Deployment.';
COMMENT ON COLUMN stream.span_first_block IS 'The stream_span whose events made it: it says nothing of blocks after that span''s last.';
COMMENT ON COLUMN stream.contract IS 'Contract that owes the reward, 20 octets.';
COMMENT ON COLUMN stream.token IS 'Token of the reward, 20 octets.';
COMMENT ON COLUMN stream.kind IS 'Kind of flow it becomes.';
COMMENT ON COLUMN stream.source IS 'Source.';
COMMENT ON COLUMN stream.side IS 'Side entitled.';
COMMENT ON COLUMN stream.basis IS 'Basis: accrued.';
COMMENT ON COLUMN stream.begins IS 'First second in which it accrues, UTC.';
COMMENT ON COLUMN stream.ends IS 'The second after the last one, at most the end of the year 9998; later events may end it before.';
COMMENT ON COLUMN stream.numerator IS 'Raw units that accrue in denominator seconds.';
COMMENT ON COLUMN stream.denominator IS 'Seconds in which numerator raw units accrue.';
COMMENT ON COLUMN stream.block_number IS 'Block of the log, or of the eth_call, that told the rate.';
COMMENT ON COLUMN stream.tx_hash IS 'Transaction of the log that told the rate; NULL for an eth_call.';
COMMENT ON COLUMN stream.log_index IS 'Index of that log; NULL for an eth_call.';

COMMENT ON TABLE flow_daily IS 'Flows of closed days summed per contract and token, in raw units, and what streams accrued on them.';
COMMENT ON COLUMN flow_daily.contract IS 'Contract that emitted the logs, or that owes what accrued.';
COMMENT ON COLUMN flow_daily.flows IS 'Number of flows summed; of what accrued, the number of stream_piece rows.';
COMMENT ON COLUMN deployment_day.flows IS 'Number of flows, pieces of streams included.';
COMMENT ON COLUMN deployment_day.digest IS 'Sum mod 2^256 of sha256 over each flow''s and each stream piece''s natural columns: the same wherever the same blocks were read by the same versions.';

CREATE FUNCTION forget_streams(forgotten text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM stream USING deployment AS d
    WHERE d.deployment = forgotten AND stream.chain_id = d.chain_id AND stream.deployment = forgotten;
    DELETE FROM stream_span USING deployment AS d
    WHERE d.deployment = forgotten AND stream_span.chain_id = d.chain_id AND stream_span.deployment = forgotten;
$$;
COMMENT ON FUNCTION forget_streams(text) IS 'The part of forget_deployment for what accrued with time; the deployment must still be known.';

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
