-- The figures of a valued day must be the sums of its parts, and its parts must be the flows of closed days.
WITH part AS (
    SELECT
        chain_id, protocol, day,
        round(sum(usd) FILTER (WHERE kind = 'fee' AND side = 'supply'), 6) AS supply_side,
        round(sum(usd) FILTER (WHERE kind = 'fee' AND side = 'protocol'), 6) AS protocol_side,
        round(sum(usd) FILTER (WHERE kind = 'fee' AND side = 'holders'), 6) AS holders,
        round(sum(usd) FILTER (WHERE kind = 'incentive'), 6) AS incentives,
        round(sum(usd) FILTER (WHERE kind = 'production'), 6) AS production,
        round(sum(usd) FILTER (WHERE kind = 'issuance'), 6) AS issuance,
        round(sum(usd) FILTER (WHERE kind = 'external'), 6) AS external,
        round(sum(usd) FILTER (WHERE kind = 'distribution'), 6) AS distribution,
        round(sum(usd) FILTER (WHERE kind = 'loss'), 6) AS loss,
        sum(flows) AS flows,
        sum(unpriced) AS unpriced
    FROM protocol_part
    GROUP BY chain_id, protocol, day
),
summed AS (
    SELECT d.chain_id, d.protocol, d.day, sum(d.flows) AS flows
    FROM flow_daily AS d
    JOIN counted AS c ON c.deployment = d.deployment AND c.kind = d.kind AND c.basis = d.basis
    GROUP BY d.chain_id, d.protocol, d.day
)
SELECT chain_id, protocol, day, shown.flows AS flows_shown, part.flows AS flows_of_parts, summed.flows AS flows_closed
FROM protocol_day AS shown
FULL JOIN part USING (chain_id, protocol, day)
FULL JOIN summed USING (chain_id, protocol, day)
LEFT JOIN dirty_value AS dirty USING (chain_id, day)
WHERE dirty IS NULL
    AND (
        shown IS NULL
        OR shown.flows <> coalesce(part.flows, 0)
        OR shown.unpriced <> coalesce(part.unpriced, 0)
        OR shown.flows <> coalesce(summed.flows, 0)
        OR coalesce(shown.supply_side_usd, 0) <> coalesce(part.supply_side, 0)
        OR coalesce(shown.protocol_usd, 0) <> coalesce(part.protocol_side, 0)
        OR coalesce(shown.holders_usd, 0) <> coalesce(part.holders, 0)
        OR coalesce(shown.incentives_usd, 0) <> coalesce(part.incentives, 0)
        OR coalesce(shown.production_usd, 0) <> coalesce(part.production, 0)
        OR coalesce(shown.issuance_usd, 0) <> coalesce(part.issuance, 0)
        OR coalesce(shown.external_usd, 0) <> coalesce(part.external, 0)
        OR coalesce(shown.distribution_usd, 0) <> coalesce(part.distribution, 0)
        OR coalesce(shown.loss_usd, 0) <> coalesce(part.loss, 0)
    )
ORDER BY chain_id, protocol, day;
