-- The parts of a valued day must be what its flows are worth at the prices that the ledger now has, those of swaps' fees
-- by the other side of their trades among them.
WITH worth AS (
    SELECT
        d.chain_id, d.protocol, d.day, d.kind, d.source, d.side, d.basis, o.token IS NOT NULL AS own,
        sum(d.usd) AS usd,
        coalesce(sum(d.flows) FILTER (WHERE d.usd IS NULL), 0) AS unpriced
    FROM flow_daily_usd AS d
    JOIN counted AS c ON c.deployment = d.deployment AND c.kind = d.kind AND c.basis = d.basis
    LEFT JOIN own_token AS o ON o.chain_id = d.chain_id AND o.protocol = d.protocol AND o.token = d.token
    GROUP BY d.chain_id, d.protocol, d.day, d.kind, d.source, d.side, d.basis, o.token IS NOT NULL
)
SELECT
    chain_id, protocol, day, kind, source, side, basis, own, part.usd AS usd_shown, worth.usd AS usd_now,
    part.unpriced AS unpriced_shown, worth.unpriced AS unpriced_now
FROM protocol_part AS part
FULL JOIN worth USING (chain_id, protocol, day, kind, source, side, basis, own)
LEFT JOIN dirty_value AS dirty USING (chain_id, day)
WHERE dirty IS NULL AND (part.usd IS DISTINCT FROM worth.usd OR part.unpriced IS DISTINCT FROM worth.unpriced)
ORDER BY chain_id, protocol, day, kind, source, side, basis, own;
