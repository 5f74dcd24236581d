-- Closed days' flows per contract and token, in dollars.
CREATE OR REPLACE VIEW flow_daily_usd AS
SELECT
    d.chain_id,
    d.protocol,
    d.deployment,
    d.day,
    d.contract,
    d.token,
    d.kind,
    d.source,
    d.side,
    d.basis,
    d.amount,
    d.flows,
    coalesce(d.amount * o.unit_usd, d.amount / power(10::numeric, t.decimals) * p.usd) AS usd,
    CASE WHEN o.unit_usd IS NOT NULL THEN 'trade' ELSE p.source END AS price_source,
    CASE WHEN o.unit_usd IS NOT NULL THEN o.age_days ELSE p.age_days END AS price_age_days
FROM flow_daily AS d
LEFT JOIN token AS t ON t.chain_id = d.chain_id AND t.token = d.token
LEFT JOIN quote_token AS q ON q.chain_id = d.chain_id AND q.token = d.token
LEFT JOIN LATERAL (
    -- One row by its key, whatever the statistics say of the newest day.
    SELECT price.usd, price.source, price.age_days
    FROM price_daily AS price
    WHERE price.chain_id = d.chain_id AND price.token = d.token AND price.day = d.day
    LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    SELECT c.unit_usd, c.age_days
    FROM counter_price AS c
    WHERE wants_counter_price(
            d.kind, d.source, d.basis, p.usd / power(10::numeric, t.decimals), p.source, q.token IS NOT NULL)
        AND c.chain_id = d.chain_id AND c.deployment = d.deployment AND c.day = d.day
        AND c.pool = d.contract AND c.token = d.token
    LIMIT 1
) AS o ON true;

COMMENT ON VIEW flow_daily_usd IS 'flow_daily in dollars, with the source of each price: what the figures of protocol_day are sums of, on the counted basis.';
COMMENT ON COLUMN flow_daily_usd.chain_id IS 'Chain.';
COMMENT ON COLUMN flow_daily_usd.protocol IS 'Protocol.';
COMMENT ON COLUMN flow_daily_usd.deployment IS 'Deployment.';
COMMENT ON COLUMN flow_daily_usd.day IS 'UTC day.';
COMMENT ON COLUMN flow_daily_usd.contract IS 'Contract that emitted the logs.';
COMMENT ON COLUMN flow_daily_usd.token IS 'Token of the amount.';
COMMENT ON COLUMN flow_daily_usd.kind IS 'Kind of flow.';
COMMENT ON COLUMN flow_daily_usd.source IS 'Source of flow.';
COMMENT ON COLUMN flow_daily_usd.side IS 'Side entitled.';
COMMENT ON COLUMN flow_daily_usd.basis IS 'Basis.';
COMMENT ON COLUMN flow_daily_usd.amount IS 'Sum in raw units of the token.';
COMMENT ON COLUMN flow_daily_usd.flows IS 'Number of flows summed.';
COMMENT ON COLUMN flow_daily_usd.usd IS 'Dollars at the day''s price; a swap''s fee in a token that only a pool prices, or nothing, at what the quote tokens on the other side of its pool''s trades were worth. NULL without a price.';
COMMENT ON COLUMN flow_daily_usd.price_source IS 'Source of that price as in price_daily, or trade for the other side of the pool''s trades, see counter_price.';
COMMENT ON COLUMN flow_daily_usd.price_age_days IS 'Age of that price, of trade the age of the quote token''s.';
