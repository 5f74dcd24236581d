-- yield_daily's main figures with the open days added, read from the flows themselves.
CREATE OR REPLACE VIEW yield_live AS
WITH open_day AS MATERIALIZED (
    SELECT
        d.chain_id,
        d.day,
        array_agg(d.deployment) AS deployments,
        coalesce((
            SELECT s.block_number FROM day_start AS s
            WHERE s.chain_id = d.chain_id AND s.day <= d.day ORDER BY s.day DESC LIMIT 1
        ), 0) AS first_block,
        coalesce((
            SELECT s.block_number FROM day_start AS s
            WHERE s.chain_id = d.chain_id AND s.day > d.day ORDER BY s.day LIMIT 1
        ), 9223372036854775807) AS next_block
    FROM dirty_day AS d
    LEFT JOIN deployment_day AS closed USING (chain_id, deployment, day)
    WHERE closed.day IS NULL
    GROUP BY d.chain_id, d.day
)
SELECT y.day, y.chain, y.protocol, true AS closed, y.fees_usd, y.supply_side_usd, y.revenue_usd, y.incentives_usd, y.unpriced
FROM yield_daily AS y
UNION ALL
SELECT o.day, live.chain, live.protocol, false, live.fees, live.supply_side, live.revenue, live.incentives, live.unpriced
FROM open_day AS o
CROSS JOIN LATERAL (
    -- Of each open day its own flows and no others are looked at, found by their blocks.
    SELECT
        f.chain,
        f.protocol,
        sum(f.usd) FILTER (WHERE f.kind = 'fee') AS fees,
        sum(f.usd) FILTER (WHERE f.kind = 'fee' AND f.side = 'supply') AS supply_side,
        sum(f.usd) FILTER (WHERE f.kind = 'fee' AND f.side <> 'supply') AS revenue,
        sum(f.usd) FILTER (WHERE f.kind = 'incentive') AS incentives,
        count(*) FILTER (WHERE f.usd IS NULL) AS unpriced
    FROM flow_usd AS f
    WHERE f.chain_id = o.chain_id AND f.deployment = ANY(o.deployments) AND f.counted
        AND f.block_number >= o.first_block AND f.block_number < o.next_block
        AND f.block_time >= o.day::timestamp AT TIME ZONE 'UTC' AND f.block_time < (o.day + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY f.chain, f.protocol
) AS live;

COMMENT ON VIEW yield_live IS 'The main figures of yield_daily with the open days added: those are lower bounds, NULL where nothing was seen yet.';
COMMENT ON COLUMN yield_live.day IS 'UTC day.';
COMMENT ON COLUMN yield_live.chain IS 'Chain, by name.';
COMMENT ON COLUMN yield_live.protocol IS 'Protocol.';
COMMENT ON COLUMN yield_live.closed IS 'Whether the day is closed.';
COMMENT ON COLUMN yield_live.fees_usd IS 'See yield_daily.';
COMMENT ON COLUMN yield_live.supply_side_usd IS 'See yield_daily.';
COMMENT ON COLUMN yield_live.revenue_usd IS 'See yield_daily.';
COMMENT ON COLUMN yield_live.incentives_usd IS 'See yield_daily.';
COMMENT ON COLUMN yield_live.unpriced IS 'Flows without a price.';
