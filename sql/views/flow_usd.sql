-- Every flow with its token's symbol, in whole tokens and in dollars of its day.
CREATE OR REPLACE VIEW flow_usd AS
SELECT
    f.chain_id,
    c.name AS chain,
    f.block_number,
    f.block_time,
    (f.block_time AT TIME ZONE 'UTC')::date AS day,
    f.log_index,
    f.leg,
    f.tx_hash,
    f.contract,
    f.protocol,
    f.deployment,
    f.kind,
    f.source,
    f.side,
    f.basis,
    f.basis = k.basis AS counted,
    f.token,
    t.symbol,
    f.amount,
    f.amount / power(10::numeric, t.decimals) AS amount_tokens,
    coalesce(f.amount * o.unit_usd, f.amount / power(10::numeric, t.decimals) * p.usd) AS usd,
    CASE WHEN o.unit_usd IS NOT NULL THEN 'trade' ELSE p.source END AS price_source,
    CASE WHEN o.unit_usd IS NOT NULL THEN o.age_days
        ELSE (f.block_time AT TIME ZONE 'UTC')::date - p.day + p.age_days END AS price_age_days
FROM flow AS f
JOIN chain AS c USING (chain_id)
LEFT JOIN counted AS k ON k.deployment = f.deployment AND k.kind = f.kind
LEFT JOIN token AS t ON t.chain_id = f.chain_id AND t.token = f.token
LEFT JOIN quote_token AS q ON q.chain_id = f.chain_id AND q.token = f.token
LEFT JOIN deployment_day AS closed
    ON closed.chain_id = f.chain_id AND closed.deployment = f.deployment
    AND closed.day = (f.block_time AT TIME ZONE 'UTC')::date
LEFT JOIN LATERAL (
    -- A closed day has been valued: no price means that none is trusted. An open one takes the newest there is.
    SELECT price.usd, price.source, price.day, price.age_days
    FROM generate_series(0, CASE WHEN closed.day IS NULL THEN 7 ELSE 0 END) AS back
    CROSS JOIN LATERAL (
        -- One row by its key at a time, whatever the statistics say.
        SELECT one.usd, one.source, one.day, one.age_days
        FROM price_daily AS one
        WHERE one.chain_id = f.chain_id AND one.token = f.token AND one.day = (f.block_time AT TIME ZONE 'UTC')::date - back
        LIMIT 1
    ) AS price
    WHERE back + price.age_days <= 7
    ORDER BY back
    LIMIT 1
) AS p ON true
LEFT JOIN LATERAL (
    SELECT c.unit_usd, c.age_days
    FROM counter_price AS c
    WHERE wants_counter_price(
            f.kind, f.source, f.basis, p.usd / power(10::numeric, t.decimals), p.source, q.token IS NOT NULL)
        AND c.chain_id = f.chain_id AND c.deployment = f.deployment AND c.day = (f.block_time AT TIME ZONE 'UTC')::date
        AND c.pool = f.contract AND c.token = f.token
    LIMIT 1
) AS o ON true;

COMMENT ON VIEW flow_usd IS 'Every flow with its token''s symbol, in whole tokens and in dollars. Valuing is a join: a better price needs no re-index.';
COMMENT ON COLUMN flow_usd.chain_id IS 'Chain.';
COMMENT ON COLUMN flow_usd.chain IS 'Chain, by name.';
COMMENT ON COLUMN flow_usd.block_number IS 'Block of the log.';
COMMENT ON COLUMN flow_usd.block_time IS 'Time of the block, UTC.';
COMMENT ON COLUMN flow_usd.day IS 'UTC day.';
COMMENT ON COLUMN flow_usd.log_index IS 'Index of the log in its block.';
COMMENT ON COLUMN flow_usd.leg IS 'Number of the flow among those of its log.';
COMMENT ON COLUMN flow_usd.tx_hash IS 'Transaction of the log.';
COMMENT ON COLUMN flow_usd.contract IS 'Contract that emitted the log.';
COMMENT ON COLUMN flow_usd.protocol IS 'Protocol.';
COMMENT ON COLUMN flow_usd.deployment IS 'Deployment.';
COMMENT ON COLUMN flow_usd.kind IS 'Kind of flow.';
COMMENT ON COLUMN flow_usd.source IS 'Source of flow.';
COMMENT ON COLUMN flow_usd.side IS 'Side entitled.';
COMMENT ON COLUMN flow_usd.basis IS 'Basis.';
COMMENT ON COLUMN flow_usd.counted IS 'Whether the views count this basis; NULL if the deployment counts no basis of the kind.';
COMMENT ON COLUMN flow_usd.token IS 'Token of the amount.';
COMMENT ON COLUMN flow_usd.symbol IS 'Symbol of the token, made safe to show.';
COMMENT ON COLUMN flow_usd.amount IS 'Amount in raw units.';
COMMENT ON COLUMN flow_usd.amount_tokens IS 'Amount in whole tokens; NULL where decimals are unknown.';
COMMENT ON COLUMN flow_usd.usd IS 'Dollars at the day''s price; a swap''s fee in a token that only a pool prices, or nothing, at what the quote tokens on the other side of its pool''s trades were worth; on open days at the newest price of seven days. NULL without a price.';
COMMENT ON COLUMN flow_usd.price_source IS 'Source of that price as in price_daily, or trade for the other side of the pool''s trades, see counter_price.';
COMMENT ON COLUMN flow_usd.price_age_days IS 'Days between the price''s evidence and the flow''s day.';
