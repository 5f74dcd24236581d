-- The view the product is about.

CREATE MATERIALIZED VIEW yield_daily AS
SELECT
    d.day,
    c.name AS chain,
    d.protocol,
    d.fees_usd,
    d.supply_side_usd,
    d.protocol_usd,
    d.holders_usd,
    d.revenue_usd,
    d.incentives_usd,
    d.production_usd,
    d.issuance_usd,
    d.external_usd,
    d.distribution_usd,
    d.loss_usd,
    d.issued_usd,
    d.earnings_usd,
    d.real_usd,
    d.synthetic_usd,
    d.real_share,
    NULL::numeric AS capital_usd,
    NULL::numeric AS real_apr,
    NULL::numeric AS synthetic_apr,
    round((d.flows - d.unpriced)::numeric / nullif(d.flows, 0), 6) AS priced_share,
    d.unpriced,
    round(d.blocks_held::numeric / nullif(d.blocks, 0), 6) AS coverage,
    d.exactness,
    p.methodology
FROM protocol_day AS d
JOIN chain AS c USING (chain_id)
JOIN protocol AS p USING (protocol);

CREATE UNIQUE INDEX yield_daily_key ON yield_daily (day, chain, protocol);
CREATE INDEX yield_daily_protocol ON yield_daily (protocol, day);

COMMENT ON MATERIALIZED VIEW yield_daily IS 'Per closed UTC day, chain and protocol: what was earned and what was printed. Dollar sums are NULL if the kind is not known here or nothing of it is priced, 0 if it is known that there was none, and a lower bound while unpriced > 0.';
COMMENT ON COLUMN yield_daily.day IS 'UTC day.';
COMMENT ON COLUMN yield_daily.chain IS 'Chain, by name.';
COMMENT ON COLUMN yield_daily.protocol IS 'Protocol, by identifier.';
COMMENT ON COLUMN yield_daily.fees_usd IS 'Everything users paid: the sum of flows of kind fee on the counted basis.';
COMMENT ON COLUMN yield_daily.supply_side_usd IS 'Fees passed on to LPs and lenders: kind fee, side supply.';
COMMENT ON COLUMN yield_daily.protocol_usd IS 'Fees kept by the treasury: kind fee, side protocol.';
COMMENT ON COLUMN yield_daily.holders_usd IS 'Fees that the contracts themselves split to token holders: kind fee, side holders.';
COMMENT ON COLUMN yield_daily.revenue_usd IS 'protocol_usd + holders_usd = fees_usd - supply_side_usd.';
COMMENT ON COLUMN yield_daily.incentives_usd IS 'Own tokens given away: kind incentive.';
COMMENT ON COLUMN yield_daily.production_usd IS 'Output of work with a cost outside the chain: kind production.';
COMMENT ON COLUMN yield_daily.issuance_usd IS 'The chain''s own coin minted to validators: kind issuance.';
COMMENT ON COLUMN yield_daily.external_usd IS 'Someone else''s tokens given away: kind external. In no real or synthetic sum.';
COMMENT ON COLUMN yield_daily.distribution_usd IS 'Uses of revenue already booked (buy-back, burn, payout): kind distribution. In no other sum.';
COMMENT ON COLUMN yield_daily.loss_usd IS 'Bad debt and slashing: kind loss. In no other sum.';
COMMENT ON COLUMN yield_daily.issued_usd IS 'What was printed, whatever the lens: incentives in an own token + issuance + block subsidy.';
COMMENT ON COLUMN yield_daily.earnings_usd IS 'revenue_usd - incentives_usd.';
COMMENT ON COLUMN yield_daily.real_usd IS 'Flows that the strict lens calls real: fees.';
COMMENT ON COLUMN yield_daily.synthetic_usd IS 'Flows that the strict lens calls synthetic: incentives and issuance.';
COMMENT ON COLUMN yield_daily.real_share IS 'Real yield to the supply side / (real + synthetic to the supply side), 0 to 1; NULL if either is unknown or both are 0.';
COMMENT ON COLUMN yield_daily.capital_usd IS 'Capital the yield was earned on; NULL while unknown.';
COMMENT ON COLUMN yield_daily.real_apr IS '365 x real supply-side yield / capital_usd; NULL where capital is unknown.';
COMMENT ON COLUMN yield_daily.synthetic_apr IS '365 x synthetic supply-side yield / capital_usd; NULL where capital is unknown.';
COMMENT ON COLUMN yield_daily.priced_share IS 'Flows with a price / all flows; NULL without flows.';
COMMENT ON COLUMN yield_daily.unpriced IS 'Number of flows without a price: they are in no dollar sum.';
COMMENT ON COLUMN yield_daily.coverage IS 'Final blocks held / blocks of the day, of the least covered deployment.';
COMMENT ON COLUMN yield_daily.exactness IS 'How far a figure may be from the contracts'' own.';
COMMENT ON COLUMN yield_daily.methodology IS 'What is counted as fee, who gets it, what is not counted.';
