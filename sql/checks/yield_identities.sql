-- Every formula that the comments of yield_daily name must hold in each of its rows.
SELECT y.day, y.chain, y.protocol, identity.formula
FROM yield_daily AS y
JOIN chain AS c ON c.name = y.chain
LEFT JOIN (
    SELECT
        chain_id, day, protocol,
        coalesce(round(sum(usd) FILTER (WHERE kind = 'incentive' AND side = 'supply'), 6), 0)
            + coalesce(round(sum(usd) FILTER (WHERE kind = 'issuance' AND side = 'supply'), 6), 0) AS usd
    FROM protocol_part
    GROUP BY chain_id, day, protocol
) AS printed USING (chain_id, day, protocol)
CROSS JOIN LATERAL (
    VALUES
        ('fees_usd = supply_side_usd + revenue_usd', y.fees_usd = y.supply_side_usd + y.revenue_usd),
        ('revenue_usd = protocol_usd + holders_usd', y.revenue_usd = y.protocol_usd + y.holders_usd),
        ('revenue_usd is known where its parts are', (y.revenue_usd IS NULL) = (y.protocol_usd + y.holders_usd IS NULL)),
        ('fees_usd is at least each of its parts', y.fees_usd >= greatest(y.supply_side_usd, y.protocol_usd, y.holders_usd)),
        ('earnings_usd = revenue_usd - incentives_usd', y.earnings_usd = y.revenue_usd - y.incentives_usd),
        ('earnings_usd is known where its parts are', (y.earnings_usd IS NULL) = (y.revenue_usd - y.incentives_usd IS NULL)),
        ('real_usd = fees_usd', y.real_usd IS NOT DISTINCT FROM y.fees_usd),
        ('synthetic_usd = incentives_usd + issuance_usd', y.synthetic_usd = coalesce(y.incentives_usd, 0) + coalesce(y.issuance_usd, 0)),
        ('issued_usd <= incentives_usd + issuance_usd + production_usd',
            y.issued_usd <= coalesce(y.incentives_usd, 0) + coalesce(y.issuance_usd, 0) + coalesce(y.production_usd, 0)),
        ('real_share = supply_side_usd / (supply_side_usd + synthetic to the supply side)',
            y.real_share = round(y.supply_side_usd / nullif(y.supply_side_usd + coalesce(printed.usd, 0), 0), 6)),
        ('real_share is 0 to 1', y.real_share BETWEEN 0 AND 1),
        ('coverage is 0 to 1', y.coverage BETWEEN 0 AND 1),
        ('priced_share is 0 to 1', y.priced_share BETWEEN 0 AND 1),
        ('priced_share = 1 where nothing is unpriced', y.priced_share = 1 OR y.unpriced > 0),
        ('a share needs no capital, an APR does', y.capital_usd IS NOT NULL OR (y.real_apr IS NULL AND y.synthetic_apr IS NULL)),
        ('dollars are not below zero', least(
            y.supply_side_usd, y.protocol_usd, y.holders_usd, y.incentives_usd, y.production_usd, y.issuance_usd,
            y.external_usd, y.distribution_usd, y.loss_usd, y.issued_usd) >= 0)
) AS identity (formula, holds)
WHERE NOT identity.holds
ORDER BY y.day, y.chain, y.protocol, identity.formula;
