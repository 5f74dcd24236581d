-- yield_daily's main figures with the open days added, read from the flows themselves.
CREATE OR REPLACE VIEW yield_live AS
WITH open_day AS (
    SELECT DISTINCT d.chain_id, d.deployment, d.day
    FROM dirty_day AS d
    LEFT JOIN deployment_day AS closed USING (chain_id, deployment, day)
    WHERE closed.day IS NULL
)
SELECT y.day, y.chain, y.protocol, true AS closed, y.fees_usd, y.supply_side_usd, y.revenue_usd, y.incentives_usd, y.unpriced
FROM yield_daily AS y
UNION ALL
SELECT
    o.day,
    f.chain,
    f.protocol,
    false,
    sum(f.usd) FILTER (WHERE f.kind = 'fee'),
    sum(f.usd) FILTER (WHERE f.kind = 'fee' AND f.side = 'supply'),
    sum(f.usd) FILTER (WHERE f.kind = 'fee' AND f.side <> 'supply'),
    sum(f.usd) FILTER (WHERE f.kind = 'incentive'),
    count(*) FILTER (WHERE f.usd IS NULL)
FROM open_day AS o
JOIN flow_usd AS f
    ON f.chain_id = o.chain_id AND f.deployment = o.deployment AND f.counted
    AND f.block_time >= o.day::timestamp AT TIME ZONE 'UTC' AND f.block_time < (o.day + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY o.day, f.chain, f.protocol;

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
