-- What a token that came into a pool was worth by the quote tokens that went out for it.
CREATE OR REPLACE VIEW counter_price AS
SELECT
    d.chain_id,
    d.deployment,
    d.day,
    d.pool,
    d.token,
    d.quote,
    d.quote_out / d.came_in / power(10::numeric, q.decimals) * p.usd AS unit_usd,
    p.source AS quote_source,
    p.age_days
FROM (
    SELECT chain_id, deployment, day, pool, token0, in0, token1, out1 FROM trade_daily WHERE in0 > 0 AND out1 > 0
    UNION ALL
    SELECT chain_id, deployment, day, pool, token1, in1, token0, out0 FROM trade_daily WHERE in1 > 0 AND out0 > 0
) AS d (chain_id, deployment, day, pool, token, came_in, quote, quote_out)
JOIN quote_token AS q ON q.chain_id = d.chain_id AND q.token = d.quote
CROSS JOIN LATERAL (
    -- One row by its key, whatever the statistics say of the newest day.
    SELECT price.usd, price.source, price.age_days
    FROM price_daily AS price
    WHERE price.chain_id = d.chain_id AND price.token = d.quote AND price.day = d.day
    LIMIT 1
) AS p;

COMMENT ON VIEW counter_price IS 'What a token that came into a pool was worth by the quote tokens that went out for it, per pool and closed day. A swap''s fee is a fixed share of what came in: it is valued by this where its token has no file, feed or peg and is no quote token. No floor and no age: real quote tokens changed hands.';
COMMENT ON COLUMN counter_price.chain_id IS 'Chain.';
COMMENT ON COLUMN counter_price.deployment IS 'Deployment of the pool.';
COMMENT ON COLUMN counter_price.day IS 'UTC day.';
COMMENT ON COLUMN counter_price.pool IS 'Pool contract: the contract of its fee flows.';
COMMENT ON COLUMN counter_price.token IS 'Token that came in.';
COMMENT ON COLUMN counter_price.quote IS 'Quote token that went out.';
COMMENT ON COLUMN counter_price.unit_usd IS 'Dollars per raw unit of the token that came in: quote tokens out / tokens in of that direction x price of the quote token.';
COMMENT ON COLUMN counter_price.quote_source IS 'Source of the quote token''s price.';
COMMENT ON COLUMN counter_price.age_days IS 'Age of the quote token''s price.';

CREATE OR REPLACE FUNCTION wants_counter_price(
    kind flow_kind, source flow_source, basis flow_basis, own_usd numeric, own_source text, listed boolean)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT kind = 'fee' AND source = 'swap' AND basis = 'accrued' AND (own_usd IS NULL OR (own_source = 'pool' AND NOT listed))
$$;
COMMENT ON FUNCTION wants_counter_price(flow_kind, flow_source, flow_basis, numeric, text, boolean) IS 'Whether a flow is valued by the other side of its pool''s trades, if that has a price: it is the accruing fee of a swap, and its token has no price of its own, or one that only a pool told while it is no listed quote token.';
