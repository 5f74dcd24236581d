-- Valuing a closed day: prices first, then the protocols' figures.

-- name: drop_prices
-- Takes back a day's pegs and pool prices before they are made again.
DELETE FROM price_daily WHERE chain_id = $1 AND day = $2 AND source IN ('peg', 'pool');

-- name: put_pegs
-- Listed tokens that are held at a fixed number of dollars.
INSERT INTO price_daily (chain_id, token, day, usd, source, age_days)
SELECT chain_id, token, $2, peg_usd, 'peg', 0 FROM quote_token WHERE chain_id = $1 AND peg_usd IS NOT NULL
ON CONFLICT DO NOTHING;

-- name: put_pool_prices
-- Prices from pools against priced quote tokens: $4 true for the quote tokens themselves (against pegged ones only),
-- false for all others; the newest day counts, on it the deepest pool, less than $3 dollars of depth count for nothing,
-- and neither the trades nor what priced their quote token are older than seven days.
INSERT INTO price_daily (chain_id, token, day, usd, source, age_days, evidence, depth_usd)
SELECT DISTINCT ON (seen.token)
    $1, seen.token, $2, seen.usd, 'pool', $2::date - seen.day + seen.quote_age, seen.pool, round(seen.depth_usd, 2)
FROM (
    SELECT
        side.token,
        d.day,
        d.pool,
        p.age_days AS quote_age,
        (side.quote_amount / power(10::numeric, q.decimals) * p.usd)
            / (side.amount / power(10::numeric, t.decimals)) AS usd,
        side.quote_depth / power(10::numeric, q.decimals) * p.usd AS depth_usd
    FROM trade_daily AS d
    JOIN LATERAL (
        VALUES
            (d.token0, d.in0 + d.out0, d.token1, d.in1 + d.out1, d.depth1),
            (d.token1, d.in1 + d.out1, d.token0, d.in0 + d.out0, d.depth0)
    ) AS side (token, amount, quote, quote_amount, quote_depth) ON true
    JOIN quote_token AS q ON q.chain_id = d.chain_id AND q.token = side.quote
    JOIN price_daily AS p ON p.chain_id = d.chain_id AND p.token = side.quote AND p.day = d.day
    JOIN token AS t ON t.chain_id = d.chain_id AND t.token = side.token AND t.decimals IS NOT NULL
    LEFT JOIN quote_token AS listed ON listed.chain_id = d.chain_id AND listed.token = side.token
    WHERE d.chain_id = $1 AND d.day BETWEEN $2::date - 7 AND $2::date
        AND side.amount > 0 AND side.quote_amount > 0
        AND (listed.token IS NOT NULL) = $4
        AND (q.peg_usd IS NOT NULL OR NOT $4)
) AS seen
WHERE seen.usd > 0 AND seen.depth_usd >= $3 AND $2::date - seen.day + seen.quote_age <= 7
ORDER BY seen.token, seen.day DESC, seen.depth_usd DESC, seen.pool
ON CONFLICT DO NOTHING;

-- name: drop_protocol_parts
-- Takes back a day's valued parts before they are made again.
DELETE FROM protocol_part WHERE chain_id = $1 AND day = $2;

-- name: put_protocol_parts
-- Values a day's flows on the counted basis, one row per protocol and label.
INSERT INTO protocol_part (chain_id, protocol, day, kind, source, side, basis, own, usd, flows, unpriced)
SELECT
    d.chain_id, d.protocol, d.day, d.kind, d.source, d.side, d.basis, o.token IS NOT NULL,
    sum(d.amount / power(10::numeric, t.decimals) * p.usd),
    sum(d.flows),
    coalesce(sum(d.flows) FILTER (WHERE p.usd IS NULL OR t.decimals IS NULL), 0)
FROM flow_daily AS d
JOIN counted AS c ON c.deployment = d.deployment AND c.kind = d.kind AND c.basis = d.basis
LEFT JOIN token AS t ON t.chain_id = d.chain_id AND t.token = d.token
LEFT JOIN price_daily AS p ON p.chain_id = d.chain_id AND p.token = d.token AND p.day = d.day
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
    -- Every deployment that lived on the day, read or not.
    SELECT
        d.protocol, d.deployment, d.exactness,
        coalesce(c.blocks_held, 0) AS blocks_held,
        coalesce(c.blocks, bound.next - greatest(bound.first, d.start_block)) AS blocks
    FROM deployment AS d
    CROSS JOIN bound
    LEFT JOIN deployment_day AS c ON c.chain_id = d.chain_id AND c.deployment = d.deployment AND c.day = $2
    WHERE d.chain_id = $1 AND d.start_block < bound.next
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
