-- Streams cut at closed UTC days.
CREATE OR REPLACE VIEW stream_piece AS
SELECT
    cut.*,
    sha256(
        int8send(cut.chain_id) || int8send(extract(epoch FROM cut.day)::bigint) || cut.contract || cut.token
        || uint256_octets(cut.amount)
        || convert_to(concat_ws('/', cut.protocol, cut.deployment, cut.kind, cut.source, cut.side, cut.basis), 'UTF8')
    ) AS digest
FROM (
    SELECT
        s.chain_id,
        d.protocol,
        s.deployment,
        c.day,
        s.contract,
        s.token,
        s.kind,
        s.source,
        s.side,
        s.basis,
        piece.begins,
        piece.ends,
        -- What accrued until its end less what had until its start: the days of a stream add up to the whole of it.
        div(s.numerator * extract(epoch FROM piece.ends - s.begins)::bigint, s.denominator)
            - div(s.numerator * extract(epoch FROM piece.begins - s.begins)::bigint, s.denominator) AS amount,
        s.numerator,
        s.denominator,
        s.block_number,
        s.tx_hash,
        s.log_index
    FROM stream AS s
    JOIN stream_span AS known
        ON known.chain_id = s.chain_id AND known.deployment = s.deployment AND known.first_block = s.span_first_block
    JOIN deployment AS d ON d.deployment = s.deployment
    -- Half a day's blocks do not tell half a day's seconds: what accrued is told of days that were read whole.
    CROSS JOIN LATERAL (
        SELECT day
        FROM deployment_day
        WHERE chain_id = s.chain_id AND deployment = s.deployment AND blocks_held = blocks
            AND day BETWEEN (s.begins AT TIME ZONE 'UTC')::date
                AND ((s.ends - interval '1 second') AT TIME ZONE 'UTC')::date
        OFFSET 0  -- for each stream its days by the key: without statistics all days would be gone through for each
    ) AS c
    JOIN day_start AS b ON b.chain_id = s.chain_id AND b.day = c.day
    JOIN day_start AS n ON n.chain_id = s.chain_id AND n.day = c.day + 1
    CROSS JOIN LATERAL (
        SELECT
            greatest(s.begins, c.day::timestamp AT TIME ZONE 'UTC') AS begins,
            least(s.ends, (c.day + 1)::timestamp AT TIME ZONE 'UTC') AS ends
    ) AS piece
    WHERE known.first_block <= greatest(b.block_number, d.start_block) AND known.last_block >= n.block_number - 1
) AS cut
WHERE cut.amount > 0;

COMMENT ON VIEW stream_piece IS 'What each stream accrued on each closed day that was read whole: flow_daily holds the sums, the digest of the day holds each.';
COMMENT ON COLUMN stream_piece.chain_id IS 'Chain.';
COMMENT ON COLUMN stream_piece.protocol IS 'Protocol.';
COMMENT ON COLUMN stream_piece.deployment IS 'Deployment.';
COMMENT ON COLUMN stream_piece.day IS 'UTC day.';
COMMENT ON COLUMN stream_piece.contract IS 'Contract that owes the reward.';
COMMENT ON COLUMN stream_piece.token IS 'Token of the reward.';
COMMENT ON COLUMN stream_piece.kind IS 'Kind of flow.';
COMMENT ON COLUMN stream_piece.source IS 'Source of flow.';
COMMENT ON COLUMN stream_piece.side IS 'Side entitled.';
COMMENT ON COLUMN stream_piece.basis IS 'Basis: accrued.';
COMMENT ON COLUMN stream_piece.begins IS 'First second of the piece, UTC.';
COMMENT ON COLUMN stream_piece.ends IS 'The second after its last.';
COMMENT ON COLUMN stream_piece.amount IS 'Raw units that accrued in it.';
COMMENT ON COLUMN stream_piece.numerator IS 'Raw units that accrue in denominator seconds.';
COMMENT ON COLUMN stream_piece.denominator IS 'Seconds in which numerator raw units accrue.';
COMMENT ON COLUMN stream_piece.block_number IS 'Block of the log, or of the eth_call, that told the rate.';
COMMENT ON COLUMN stream_piece.tx_hash IS 'Transaction of that log; NULL for an eth_call.';
COMMENT ON COLUMN stream_piece.log_index IS 'Index of that log; NULL for an eth_call.';
COMMENT ON COLUMN stream_piece.digest IS 'sha256 of its natural columns: chain, day, contract, token, amount, protocol, deployment and label.';
