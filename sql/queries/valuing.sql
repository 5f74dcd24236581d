-- Valuing a closed day: prices first, then the protocols' figures.

-- name: avoid_nested_loops
-- Statistics know nothing of the newest day: a plan for one row of it would go through thousands, again and again.
SET LOCAL enable_nestloop = off;

-- name: sort_in_memory
-- A day of thousands of pools is sorted and hashed without files.
SET LOCAL work_mem = '32MB';

-- name: allow_nested_loops
-- What looks up single rows by their key may do so.
SET LOCAL enable_nestloop = on;

-- name: drop_prices
-- Takes back a day's prices before they are made again.
DELETE FROM price_daily WHERE chain_id = $1 AND day = $2;

-- name: put_outside_prices
-- Prices that files tell and, where they do not, feeds.
INSERT INTO price_daily (chain_id, token, day, usd, source, age_days, evidence)
SELECT DISTINCT ON (token) $1, token, $2, usd, source, age_days, evidence
FROM outside_claim($1, $2)
ORDER BY token, source DESC;

-- name: put_pegs
-- Pegs that nothing of the day contradicts, of tokens without a price so far.
INSERT INTO price_daily (chain_id, token, day, usd, source, age_days)
SELECT $1, token, $2, usd, 'peg', 0 FROM peg_claim($1, $2) WHERE NOT refused
ON CONFLICT DO NOTHING;

-- name: put_pool_prices
-- Prices from pools that traded between $4 and $5, of tokens without one so far: $3 true for the quote tokens themselves,
-- which come first, false for all others; the newest day counts, on it the deepest pool.
INSERT INTO price_daily (chain_id, token, day, usd, source, age_days, evidence, depth_usd)
SELECT DISTINCT ON (token) $1, token, $2, usd, 'pool', age_days, pool, round(depth_usd, 2)
FROM pool_claim($1, $2, $4, $5, $2)
WHERE listed = $3 AND deep AND old AND age_days <= 7 AND usd > 0
ORDER BY token, traded_on DESC, depth_usd DESC, pool, deployment
ON CONFLICT DO NOTHING;

-- name: drop_protocol_parts
-- Takes back a day's valued parts before they are made again.
DELETE FROM protocol_part WHERE chain_id = $1 AND day = $2;

-- name: put_protocol_parts
-- Values a day's flows on the counted basis, one row per protocol and label.
INSERT INTO protocol_part (chain_id, protocol, day, kind, source, side, basis, own, usd, flows, unpriced)
SELECT
    d.chain_id, d.protocol, d.day, d.kind, d.source, d.side, d.basis, o.token IS NOT NULL,
    sum(d.usd),
    sum(d.flows),
    coalesce(sum(d.flows) FILTER (WHERE d.usd IS NULL), 0)
FROM flow_daily_usd AS d
JOIN counted AS c ON c.deployment = d.deployment AND c.kind = d.kind AND c.basis = d.basis
LEFT JOIN own_token AS o ON o.chain_id = d.chain_id AND o.protocol = d.protocol AND o.token = d.token
WHERE d.chain_id = $1 AND d.day = $2
GROUP BY d.chain_id, d.protocol, d.day, d.kind, d.source, d.side, d.basis, o.token IS NOT NULL;

-- name: drop_protocol_days
-- Takes back a day's figures before they are made again.
DELETE FROM protocol_day WHERE chain_id = $1 AND day = $2;

-- name: put_protocol_days
-- A day's figures per protocol; a kind that no deployment counts stays NULL, one that is counted and had no flows is 0.
INSERT INTO protocol_day (
    chain_id, protocol, day, fees_usd, supply_side_usd, protocol_usd, holders_usd, revenue_usd, incentives_usd,
    production_usd, issuance_usd, external_usd, distribution_usd, loss_usd, issued_usd, earnings_usd, real_usd,
    synthetic_usd, real_share, flows, unpriced, blocks_held, blocks, exactness)
WITH bound AS (
    SELECT
        max(block_number) FILTER (WHERE day = $2) AS first,
        max(block_number) FILTER (WHERE day = $2::date + 1) AS next
    FROM day_start
    WHERE chain_id = $1 AND day IN ($2, $2::date + 1)
),
part AS (
    -- Every deployment that lived on the day, read or not; price feeds earn nothing.
    SELECT
        d.protocol, d.deployment, d.exactness,
        coalesce(c.blocks_held, 0) AS blocks_held,
        coalesce(c.blocks, bound.next - greatest(bound.first, d.start_block)) AS blocks
    FROM deployment AS d
    CROSS JOIN bound
    LEFT JOIN deployment_day AS c ON c.chain_id = d.chain_id AND c.deployment = d.deployment AND c.day = $2
    WHERE d.chain_id = $1 AND d.start_block < bound.next AND d.has_flows
),
closed AS (
    -- A day that nobody has read has no row: its figures are unknown, not zero.
    SELECT
        protocol,
        (array_agg(blocks_held ORDER BY blocks_held::numeric / nullif(blocks, 0)))[1] AS blocks_held,
        (array_agg(blocks ORDER BY blocks_held::numeric / nullif(blocks, 0)))[1] AS blocks,
        string_agg(DISTINCT exactness, '; ' ORDER BY exactness) FILTER (WHERE blocks_held > 0) AS exactness,
        array_agg(DISTINCT deployment) FILTER (WHERE blocks_held > 0) AS deployments
    FROM part
    GROUP BY protocol
    HAVING max(blocks_held) > 0
),
known AS (
    SELECT closed.protocol, array_agg(DISTINCT counted.kind) AS kinds
    FROM closed
    JOIN counted ON counted.deployment = ANY(closed.deployments)
    GROUP BY closed.protocol
),
label AS (
    SELECT k.protocol, l.name, l.kind, l.side, l.source, l.own
    FROM known AS k
    CROSS JOIN LATERAL (VALUES
        ('fees', 'fee'::flow_kind, NULL::flow_side, NULL::flow_source, NULL::boolean),
        ('supply_side', 'fee', 'supply', NULL, NULL),
        ('protocol', 'fee', 'protocol', NULL, NULL),
        ('holders', 'fee', 'holders', NULL, NULL),
        ('incentives', 'incentive', NULL, NULL, NULL),
        ('incentives_supply', 'incentive', 'supply', NULL, NULL),
        ('incentives_own', 'incentive', NULL, NULL, true),
        ('production', 'production', NULL, NULL, NULL),
        ('subsidy', 'production', NULL, 'block_subsidy', NULL),
        ('issuance', 'issuance', NULL, NULL, NULL),
        ('issuance_supply', 'issuance', 'supply', NULL, NULL),
        ('external', 'external', NULL, NULL, NULL),
        ('distribution', 'distribution', NULL, NULL, NULL),
        ('loss', 'loss', NULL, NULL, NULL)
    ) AS l (name, kind, side, source, own)
    WHERE l.kind = ANY(k.kinds)
),
summed AS (
    SELECT
        label.protocol,
        label.name,
        CASE WHEN count(part.flows) = 0 THEN 0 ELSE round(sum(part.usd), 6) END AS usd
    FROM label
    LEFT JOIN protocol_part AS part
        ON part.chain_id = $1 AND part.day = $2 AND part.protocol = label.protocol AND part.kind = label.kind
        AND (label.side IS NULL OR part.side = label.side)
        AND (label.source IS NULL OR part.source = label.source)
        AND (label.own IS NULL OR part.own = label.own)
    GROUP BY label.protocol, label.name
),
figure AS (
    SELECT
        protocol,
        max(usd) FILTER (WHERE name = 'fees') AS fees,
        max(usd) FILTER (WHERE name = 'supply_side') AS supply_side,
        max(usd) FILTER (WHERE name = 'protocol') AS protocol_side,
        max(usd) FILTER (WHERE name = 'holders') AS holders,
        max(usd) FILTER (WHERE name = 'incentives') AS incentives,
        max(usd) FILTER (WHERE name = 'incentives_supply') AS incentives_supply,
        max(usd) FILTER (WHERE name = 'incentives_own') AS incentives_own,
        max(usd) FILTER (WHERE name = 'production') AS production,
        max(usd) FILTER (WHERE name = 'subsidy') AS subsidy,
        max(usd) FILTER (WHERE name = 'issuance') AS issuance,
        max(usd) FILTER (WHERE name = 'issuance_supply') AS issuance_supply,
        max(usd) FILTER (WHERE name = 'external') AS external,
        max(usd) FILTER (WHERE name = 'distribution') AS distribution,
        max(usd) FILTER (WHERE name = 'loss') AS loss,
        bool_or(name = 'incentives') AS knows_incentives,
        bool_or(name = 'issuance') AS knows_issuance,
        bool_or(name = 'production') AS knows_production
    FROM summed
    GROUP BY protocol
),
line AS (
    -- A kind that nobody counts adds nothing to a sum over kinds; one that is counted and unpriced makes it unknown.
    SELECT
        figure.*,
        -- From the rounded parts, so that fees are the sum of what is shown of them.
        CASE WHEN fees IS NOT NULL
            THEN coalesce(supply_side, 0) + coalesce(protocol_side, 0) + coalesce(holders, 0) END AS all_fees,
        protocol_side + holders AS revenue,
        CASE WHEN knows_incentives THEN incentives ELSE 0 END
            + CASE WHEN knows_issuance THEN issuance ELSE 0 END AS synthetic,
        CASE WHEN knows_incentives THEN incentives_supply ELSE 0 END
            + CASE WHEN knows_issuance THEN issuance_supply ELSE 0 END AS synthetic_supply,
        CASE WHEN knows_incentives THEN incentives_own ELSE 0 END
            + CASE WHEN knows_issuance THEN issuance ELSE 0 END
            + CASE WHEN knows_production THEN subsidy ELSE 0 END AS issued
    FROM figure
)
SELECT
    $1, closed.protocol, $2, line.all_fees, line.supply_side, line.protocol_side, line.holders, line.revenue, line.incentives,
    line.production, line.issuance, line.external, line.distribution, line.loss,
    CASE WHEN line.knows_incentives OR line.knows_issuance OR line.knows_production THEN line.issued END,
    line.revenue - line.incentives,
    line.all_fees,
    CASE WHEN line.knows_incentives OR line.knows_issuance THEN line.synthetic END,
    CASE WHEN line.knows_incentives OR line.knows_issuance
        THEN round(line.supply_side / nullif(line.supply_side + line.synthetic_supply, 0), 6) END,
    coalesce(total.flows, 0), coalesce(total.unpriced, 0), closed.blocks_held, closed.blocks, closed.exactness
FROM closed
LEFT JOIN line USING (protocol)
LEFT JOIN (
    SELECT protocol, sum(flows) AS flows, sum(unpriced) AS unpriced
    FROM protocol_part
    WHERE chain_id = $1 AND day = $2
    GROUP BY protocol
) AS total USING (protocol);
