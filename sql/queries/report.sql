-- What commands show of the ledger.

-- name: protocol_totals
-- Totals per chain and protocol over the closed days of these protocols: what was earned and what was printed.
SELECT
    y.chain,
    y.protocol,
    count(*) AS days,
    sum(y.fees_usd) AS fees_usd,
    sum(y.supply_side_usd) AS supply_side_usd,
    sum(y.revenue_usd) AS revenue_usd,
    sum(y.incentives_usd) AS incentives_usd,
    sum(y.earnings_usd) AS earnings_usd,
    CASE WHEN bool_and(y.synthetic_usd IS NOT NULL AND y.supply_side_usd IS NOT NULL) THEN
        round(sum(y.supply_side_usd) / nullif(sum(y.supply_side_usd) + max(s.synthetic), 0), 4)
    END AS real_share,
    sum(y.unpriced)::bigint AS unpriced,
    min(y.coverage) AS coverage
FROM yield_daily AS y
LEFT JOIN (
    SELECT chain, protocol, coalesce(sum(synthetic_supply_usd), 0) AS synthetic
    FROM yield_lens_daily
    WHERE lens = 'strict'
    GROUP BY chain, protocol
) AS s USING (chain, protocol)
WHERE y.protocol = ANY($1::text[])
GROUP BY y.chain, y.protocol
ORDER BY fees_usd DESC NULLS LAST, y.protocol;
