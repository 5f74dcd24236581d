-- The ledger: flows, the ranges they came with, what closing makes of them.

CREATE TABLE flow (
    chain_id bigint NOT NULL,
    block_number bigint NOT NULL,
    block_time timestamptz NOT NULL,
    log_index integer NOT NULL,
    kind flow_kind NOT NULL,
    source flow_source NOT NULL,
    side flow_side NOT NULL,
    basis flow_basis NOT NULL,
    leg smallint NOT NULL,
    tx_hash bytea,
    contract bytea NOT NULL,
    protocol text NOT NULL,
    deployment text NOT NULL,
    token bytea NOT NULL,
    amount numeric(78, 0) NOT NULL CHECK (amount > 0),
    PRIMARY KEY (chain_id, block_number, log_index, leg, contract, block_time)
) PARTITION BY RANGE (block_time);
COMMENT ON TABLE flow IS 'Every fee and every emission: one row per recognised movement of value, traceable to its log. Partitioned by month.';
COMMENT ON COLUMN flow.chain_id IS 'Chain.';
COMMENT ON COLUMN flow.block_number IS 'Block of the log.';
COMMENT ON COLUMN flow.block_time IS 'Time of the block, UTC.';
COMMENT ON COLUMN flow.log_index IS 'Index of the log in its block.';
COMMENT ON COLUMN flow.kind IS 'What it is: fee, incentive, ...';
COMMENT ON COLUMN flow.source IS 'Where it comes from: swap, liquidity_mining, ...';
COMMENT ON COLUMN flow.side IS 'Who is entitled to it.';
COMMENT ON COLUMN flow.basis IS 'Accrued, paid or budgeted: never add different ones.';
COMMENT ON COLUMN flow.leg IS 'Number of the flow among those of its log, given by the family.';
COMMENT ON COLUMN flow.tx_hash IS 'Transaction of the log, 32 octets.';
COMMENT ON COLUMN flow.contract IS 'Contract that emitted the log, 20 octets.';
COMMENT ON COLUMN flow.protocol IS 'Protocol.';
COMMENT ON COLUMN flow.deployment IS 'Deployment of the protocol.';
COMMENT ON COLUMN flow.token IS 'Token of the amount, 20 octets.';
COMMENT ON COLUMN flow.amount IS 'Amount in raw units of the token.';

-- A partition is made beside the table and then attached: CREATE TABLE ... PARTITION OF would lock out every reader.
CREATE FUNCTION ensure_flow_month(moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    month timestamptz := date_trunc('month', moment, 'UTC');
    next_month timestamptz := month + interval '1 month';
    partition text := 'flow_' || to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF to_regclass(partition) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('ensure_flow_month'));
    -- Asked of the catalogue itself: to_regclass may still answer from before the wait.
    IF EXISTS (SELECT FROM pg_class WHERE relname = partition AND relnamespace = current_schema()::regnamespace) THEN
        RETURN;
    END IF;
    next_month := date_trunc('month', (month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    EXECUTE format('CREATE TABLE %I (LIKE flow INCLUDING ALL)', partition);
    EXECUTE format('ALTER TABLE %I ADD CONSTRAINT month CHECK (block_time >= %L AND block_time < %L)', partition, month, next_month);
    EXECUTE format('ALTER TABLE flow ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', partition, month, next_month);
    EXECUTE format('COMMENT ON TABLE %I IS %L', partition, 'Flows of ' || to_char(month AT TIME ZONE 'UTC', 'YYYY-MM') || ', UTC.');
    EXECUTE format('ALTER TABLE %I DROP CONSTRAINT month', partition);
END $$;
COMMENT ON FUNCTION ensure_flow_month(timestamptz) IS 'Makes the partition of flow for the UTC month of a moment, if it is not there.';

CREATE TABLE range (
    chain_id bigint NOT NULL,
    range_id bigint GENERATED ALWAYS AS IDENTITY,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL CHECK (last_block >= first_block),
    state text NOT NULL DEFAULT 'final' CHECK (state IN ('final', 'provisional')),
    proof text NOT NULL DEFAULT 'one_witness' CHECK (proof IN ('proved', 'two_witnesses', 'one_witness')),
    anchor_block bigint,
    anchor_hash bytea,
    logs_received bigint NOT NULL,
    logs_used bigint NOT NULL,
    flows bigint NOT NULL,
    endpoint text NOT NULL,
    fence bigint NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, range_id)
);
CREATE INDEX range_fence ON range (chain_id, fence);
COMMENT ON TABLE range IS 'Runs of blocks read and committed, each as one transaction with its flows.';
COMMENT ON COLUMN range.chain_id IS 'Chain.';
COMMENT ON COLUMN range.range_id IS 'Number of the range.';
COMMENT ON COLUMN range.first_block IS 'First block.';
COMMENT ON COLUMN range.last_block IS 'Last block, included.';
COMMENT ON COLUMN range.state IS 'final, or provisional while the chain may still change its mind.';
COMMENT ON COLUMN range.proof IS 'How well the answer is known to be whole: proved, two_witnesses or one_witness.';
COMMENT ON COLUMN range.anchor_block IS 'The last block of the range that held a log; NULL if none did.';
COMMENT ON COLUMN range.anchor_hash IS 'Hash of the anchor block, to compare with the chain later.';
COMMENT ON COLUMN range.logs_received IS 'Logs the endpoint sent.';
COMMENT ON COLUMN range.logs_used IS 'Logs that belonged to a deployment.';
COMMENT ON COLUMN range.flows IS 'Flows they made.';
COMMENT ON COLUMN range.endpoint IS 'Host that answered; never a URL.';
COMMENT ON COLUMN range.fence IS 'Fencing number of the lease it was read under: tells after a lost answer whether the commit went through.';
COMMENT ON COLUMN range.committed_at IS 'When it was committed.';

CREATE TABLE range_deployment (
    chain_id bigint NOT NULL,
    range_id bigint NOT NULL,
    deployment text NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL,
    PRIMARY KEY (chain_id, deployment, range_id)
);
COMMENT ON TABLE range_deployment IS 'For which deployments a range holds all flows: coverage derives from this.';
COMMENT ON COLUMN range_deployment.chain_id IS 'Chain.';
COMMENT ON COLUMN range_deployment.range_id IS 'Range.';
COMMENT ON COLUMN range_deployment.deployment IS 'Deployment covered.';
COMMENT ON COLUMN range_deployment.first_block IS 'First block covered.';
COMMENT ON COLUMN range_deployment.last_block IS 'Last block covered, included.';

CREATE TABLE range_day (
    chain_id bigint NOT NULL,
    range_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL,
    flows bigint NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (chain_id, deployment, day, range_id)
);
COMMENT ON TABLE range_day IS 'What a range added to a deployment''s day, with the digest of those flows.';
COMMENT ON COLUMN range_day.chain_id IS 'Chain.';
COMMENT ON COLUMN range_day.range_id IS 'Range.';
COMMENT ON COLUMN range_day.deployment IS 'Deployment.';
COMMENT ON COLUMN range_day.day IS 'UTC day.';
COMMENT ON COLUMN range_day.first_block IS 'First block of the day with a flow in this range.';
COMMENT ON COLUMN range_day.last_block IS 'Last block of the day with a flow in this range.';
COMMENT ON COLUMN range_day.flows IS 'Number of flows.';
COMMENT ON COLUMN range_day.digest IS 'Sum mod 2^256 of sha256 over each flow''s natural columns.';

CREATE TABLE range_trade (
    chain_id bigint NOT NULL,
    range_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    pool bytea NOT NULL,
    token0 bytea NOT NULL,
    token1 bytea NOT NULL,
    swaps bigint NOT NULL,
    amount0 numeric NOT NULL,
    amount1 numeric NOT NULL,
    close_block bigint NOT NULL,
    close_log_index integer NOT NULL,
    close_sqrt_price numeric NOT NULL,
    close_liquidity numeric NOT NULL,
    PRIMARY KEY (chain_id, deployment, day, pool, range_id)
);
COMMENT ON TABLE range_trade IS 'Each range''s part of trade_daily.';
COMMENT ON COLUMN range_trade.chain_id IS 'Chain.';
COMMENT ON COLUMN range_trade.range_id IS 'Range.';
COMMENT ON COLUMN range_trade.deployment IS 'Deployment.';
COMMENT ON COLUMN range_trade.day IS 'UTC day.';
COMMENT ON COLUMN range_trade.pool IS 'Pool contract.';
COMMENT ON COLUMN range_trade.token0 IS 'First token.';
COMMENT ON COLUMN range_trade.token1 IS 'Second token.';
COMMENT ON COLUMN range_trade.swaps IS 'Number of swaps.';
COMMENT ON COLUMN range_trade.amount0 IS 'Sum of what moved of token0, in or out, raw units.';
COMMENT ON COLUMN range_trade.amount1 IS 'Sum of what moved of token1, in or out, raw units.';
COMMENT ON COLUMN range_trade.close_block IS 'Block of the last swap.';
COMMENT ON COLUMN range_trade.close_log_index IS 'Log of the last swap.';
COMMENT ON COLUMN range_trade.close_sqrt_price IS 'Q64.96 square root price after the last swap, token1 per token0 in raw units.';
COMMENT ON COLUMN range_trade.close_liquidity IS 'In-range liquidity after the last swap.';

CREATE TABLE trade_daily (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    pool bytea NOT NULL,
    token0 bytea NOT NULL,
    token1 bytea NOT NULL,
    swaps bigint NOT NULL,
    amount0 numeric NOT NULL,
    amount1 numeric NOT NULL,
    close_sqrt_price numeric NOT NULL,
    close_liquidity numeric NOT NULL,
    PRIMARY KEY (chain_id, deployment, day, pool)
);
COMMENT ON TABLE trade_daily IS 'Per pool and closed day the summed amounts of both sides: volume, and the price evidence that comes for free.';
COMMENT ON COLUMN trade_daily.chain_id IS 'Chain.';
COMMENT ON COLUMN trade_daily.deployment IS 'Deployment.';
COMMENT ON COLUMN trade_daily.day IS 'UTC day.';
COMMENT ON COLUMN trade_daily.pool IS 'Pool contract.';
COMMENT ON COLUMN trade_daily.token0 IS 'First token.';
COMMENT ON COLUMN trade_daily.token1 IS 'Second token.';
COMMENT ON COLUMN trade_daily.swaps IS 'Number of swaps.';
COMMENT ON COLUMN trade_daily.amount0 IS 'Sum of what moved of token0, in or out, raw units.';
COMMENT ON COLUMN trade_daily.amount1 IS 'Sum of what moved of token1, in or out, raw units.';
COMMENT ON COLUMN trade_daily.close_sqrt_price IS 'Q64.96 square root price after the last swap of the day.';
COMMENT ON COLUMN trade_daily.close_liquidity IS 'In-range liquidity after the last swap of the day.';

CREATE TABLE quarantine (
    chain_id bigint NOT NULL,
    block_number bigint NOT NULL,
    log_index integer NOT NULL,
    deployment text NOT NULL,
    tx_hash bytea NOT NULL,
    contract bytea NOT NULL,
    topic0 bytea NOT NULL,
    reason text NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (chain_id, block_number, log_index, deployment)
);
COMMENT ON TABLE quarantine IS 'Logs that matched a subscription but could not be decoded: kept for inspection, never a flow.';
COMMENT ON COLUMN quarantine.chain_id IS 'Chain.';
COMMENT ON COLUMN quarantine.block_number IS 'Block of the log.';
COMMENT ON COLUMN quarantine.log_index IS 'Index of the log in its block.';
COMMENT ON COLUMN quarantine.deployment IS 'Deployment whose subscription it matched.';
COMMENT ON COLUMN quarantine.tx_hash IS 'Transaction.';
COMMENT ON COLUMN quarantine.contract IS 'Contract that emitted it.';
COMMENT ON COLUMN quarantine.topic0 IS 'First topic.';
COMMENT ON COLUMN quarantine.reason IS 'What is wrong with it.';
COMMENT ON COLUMN quarantine.data IS 'Its data, at most 64 KiB of it.';

CREATE SEQUENCE fence;
COMMENT ON SEQUENCE fence IS 'Fencing numbers: a lease taken later has a higher one.';

CREATE TABLE lease (
    chain_id bigint NOT NULL,
    fence bigint NOT NULL DEFAULT nextval('fence'),
    first_block bigint NOT NULL,
    last_block bigint NOT NULL,
    deployments text[] NOT NULL,
    holder text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (chain_id, fence)
);
COMMENT ON TABLE lease IS 'Ranges being worked on: a worker may commit only while its lease row stands.';
COMMENT ON COLUMN lease.chain_id IS 'Chain.';
COMMENT ON COLUMN lease.fence IS 'Fencing number of this lease.';
COMMENT ON COLUMN lease.first_block IS 'First block.';
COMMENT ON COLUMN lease.last_block IS 'Last block, included.';
COMMENT ON COLUMN lease.deployments IS 'Deployments read.';
COMMENT ON COLUMN lease.holder IS 'Host and process that hold it.';
COMMENT ON COLUMN lease.expires_at IS 'When others may take it over, unless its holder renews it.';

CREATE TABLE dirty_day (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (chain_id, deployment, day)
);
COMMENT ON TABLE dirty_day IS 'Days touched since they were last closed: closing redoes these and nothing else.';
COMMENT ON COLUMN dirty_day.chain_id IS 'Chain.';
COMMENT ON COLUMN dirty_day.deployment IS 'Deployment.';
COMMENT ON COLUMN dirty_day.day IS 'UTC day.';

CREATE TABLE deployment_day (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    flows bigint NOT NULL,
    digest bytea NOT NULL CHECK (length(digest) = 32),
    blocks_held bigint NOT NULL,
    blocks bigint NOT NULL,
    PRIMARY KEY (chain_id, deployment, day)
);
COMMENT ON TABLE deployment_day IS 'Closed days of a deployment: digest and coverage.';
COMMENT ON COLUMN deployment_day.chain_id IS 'Chain.';
COMMENT ON COLUMN deployment_day.deployment IS 'Deployment.';
COMMENT ON COLUMN deployment_day.day IS 'UTC day.';
COMMENT ON COLUMN deployment_day.flows IS 'Number of flows.';
COMMENT ON COLUMN deployment_day.digest IS 'Sum mod 2^256 of sha256 over each flow''s natural columns: the same wherever the same blocks were read by the same versions.';
COMMENT ON COLUMN deployment_day.blocks_held IS 'Final blocks of the day that were read.';
COMMENT ON COLUMN deployment_day.blocks IS 'Blocks of the day from the deployment''s start on.';

CREATE TABLE flow_daily (
    chain_id bigint NOT NULL,
    protocol text NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    contract bytea NOT NULL,
    token bytea NOT NULL,
    kind flow_kind NOT NULL,
    source flow_source NOT NULL,
    side flow_side NOT NULL,
    basis flow_basis NOT NULL,
    amount numeric NOT NULL,
    flows bigint NOT NULL,
    PRIMARY KEY (chain_id, deployment, day, contract, token, kind, source, side, basis)
);
COMMENT ON TABLE flow_daily IS 'Flows of closed days summed per contract and token, in raw units.';
COMMENT ON COLUMN flow_daily.chain_id IS 'Chain.';
COMMENT ON COLUMN flow_daily.protocol IS 'Protocol.';
COMMENT ON COLUMN flow_daily.deployment IS 'Deployment.';
COMMENT ON COLUMN flow_daily.day IS 'UTC day.';
COMMENT ON COLUMN flow_daily.contract IS 'Contract that emitted the logs.';
COMMENT ON COLUMN flow_daily.token IS 'Token of the amount.';
COMMENT ON COLUMN flow_daily.kind IS 'Kind of flow.';
COMMENT ON COLUMN flow_daily.source IS 'Source of flow.';
COMMENT ON COLUMN flow_daily.side IS 'Side entitled.';
COMMENT ON COLUMN flow_daily.basis IS 'Basis.';
COMMENT ON COLUMN flow_daily.amount IS 'Sum in raw units of the token.';
COMMENT ON COLUMN flow_daily.flows IS 'Number of flows summed.';

CREATE FUNCTION uint256_octets(value numeric) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT string_agg(substring(int8send(mod(div(value, unit), 4294967296)::bigint) FROM 5), ''::bytea ORDER BY unit DESC)
    FROM unnest(ARRAY[
        1, 4294967296, 18446744073709551616, 79228162514264337593543950336,
        340282366920938463463374607431768211456,
        1461501637330902918203684832716283019655932542976,
        6277101735386680763835789423207666416102355444464034512896,
        26959946667150639794667015087019630673637144422540572481103610249216
    ]::numeric[]) AS unit
$$;
COMMENT ON FUNCTION uint256_octets(numeric) IS 'An unsigned 256-bit integer as 32 octets, big-endian.';

CREATE FUNCTION octets_uint256(value bytea) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT sum(('x' || encode(substring(value FROM 1 + 4 * place FOR 4), 'hex'))::bit(32)::bigint::numeric * unit)
    FROM unnest(ARRAY[
        26959946667150639794667015087019630673637144422540572481103610249216,
        6277101735386680763835789423207666416102355444464034512896,
        1461501637330902918203684832716283019655932542976,
        340282366920938463463374607431768211456,
        79228162514264337593543950336, 18446744073709551616, 4294967296, 1
    ]::numeric[]) WITH ORDINALITY AS power (unit, ordinal)
    CROSS JOIN LATERAL (SELECT ordinal::int - 1 AS place) AS at
$$;
COMMENT ON FUNCTION octets_uint256(bytea) IS '32 octets, big-endian, as an unsigned 256-bit integer.';

CREATE FUNCTION flow_octets(row_of flow) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT int8send(row_of.chain_id) || int8send(row_of.block_number)
        || int8send(extract(epoch FROM row_of.block_time)::bigint)
        || int4send(row_of.log_index) || int2send(row_of.leg)
        || row_of.tx_hash || row_of.contract || row_of.token || uint256_octets(row_of.amount)
        || convert_to(concat_ws('/', row_of.protocol, row_of.deployment, row_of.kind, row_of.source, row_of.side, row_of.basis), 'UTF8')
$$;
COMMENT ON FUNCTION flow_octets(flow) IS 'A flow''s natural columns as octets: sha256 of them, summed mod 2^256, is a day''s digest.';
