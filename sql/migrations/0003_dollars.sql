-- Dollars: which tokens have a price, on which evidence, and the days of each protocol valued with them.

CREATE FUNCTION forget_deployment(forgotten text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known deployment;
BEGIN
    SELECT * INTO known FROM deployment WHERE deployment = forgotten;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no deployment %', forgotten USING HINT = 'SELECT deployment FROM deployment lists them.';
    END IF;
    DELETE FROM flow WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM quarantine WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_deployment WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_trade WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM trade_daily WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM flow_daily WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM lease WHERE chain_id = known.chain_id AND forgotten = ANY(deployments);
    -- Its pools may have told prices, which are carried for seven days.
    INSERT INTO dirty_value (chain_id, day)
    SELECT DISTINCT later.chain_id, later.day
    FROM deployment_day AS gone
    JOIN deployment_day AS later ON later.chain_id = gone.chain_id AND later.day BETWEEN gone.day AND gone.day + 7
    WHERE gone.chain_id = known.chain_id AND gone.deployment = forgotten
    ON CONFLICT (chain_id, day) DO UPDATE SET day = excluded.day;
    DELETE FROM deployment_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM dirty_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM contract WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM history WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM counted WHERE deployment = forgotten;
    DELETE FROM deployment WHERE deployment = forgotten;
END $$;
COMMENT ON FUNCTION forget_deployment(text) IS 'Takes a deployment and all that was read for it out of the ledger; the next run values its days again.';

CREATE TABLE quote_token (
    chain_id bigint NOT NULL,
    token bytea NOT NULL,
    symbol text NOT NULL,
    decimals smallint NOT NULL,
    peg_usd numeric,
    PRIMARY KEY (chain_id, token)
);
COMMENT ON TABLE quote_token IS 'Listed tokens that pools may be priced against.';
COMMENT ON COLUMN quote_token.chain_id IS 'Chain.';
COMMENT ON COLUMN quote_token.token IS 'Token contract, 20 octets.';
COMMENT ON COLUMN quote_token.symbol IS 'Symbol as listed.';
COMMENT ON COLUMN quote_token.decimals IS 'Decimals as listed.';
COMMENT ON COLUMN quote_token.peg_usd IS 'Dollars it is held at; NULL where its own price comes from pools against pegged tokens.';

CREATE TABLE price_daily (
    chain_id bigint NOT NULL,
    token bytea NOT NULL,
    day date NOT NULL,
    usd numeric NOT NULL CHECK (usd > 0),
    source text NOT NULL CHECK (source IN ('peg', 'pool', 'feed', 'share', 'file')),
    age_days integer NOT NULL CHECK (age_days >= 0),
    evidence bytea,
    depth_usd numeric,
    PRIMARY KEY (chain_id, token, day)
);
COMMENT ON TABLE price_daily IS 'Dollars per whole token and day. A token without a row has no trusted price: its flows have NULL dollars.';
COMMENT ON COLUMN price_daily.chain_id IS 'Chain.';
COMMENT ON COLUMN price_daily.token IS 'Token contract, 20 octets.';
COMMENT ON COLUMN price_daily.day IS 'UTC day.';
COMMENT ON COLUMN price_daily.usd IS 'Dollars per whole token: for a pool the volume-weighted price of the day.';
COMMENT ON COLUMN price_daily.source IS 'peg, pool, feed, share or file.';
COMMENT ON COLUMN price_daily.age_days IS 'Days between the evidence and this day: 0 is of the day itself, at most 7.';
COMMENT ON COLUMN price_daily.evidence IS 'Pool whose trades told the price; NULL for a peg.';
COMMENT ON COLUMN price_daily.depth_usd IS 'Dollars of the quote token''s virtual reserve (liquidity x square root price) at the pool''s last swap: how deep the price was. With concentrated liquidity that is more than the pool holds.';

CREATE TABLE dirty_value (
    chain_id bigint NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (chain_id, day)
);
COMMENT ON TABLE dirty_value IS 'Days whose prices or protocol figures are to be made again.';
COMMENT ON COLUMN dirty_value.chain_id IS 'Chain.';
COMMENT ON COLUMN dirty_value.day IS 'UTC day.';

CREATE TABLE protocol_part (
    chain_id bigint NOT NULL,
    protocol text NOT NULL,
    day date NOT NULL,
    kind flow_kind NOT NULL,
    source flow_source NOT NULL,
    side flow_side NOT NULL,
    basis flow_basis NOT NULL,
    own boolean NOT NULL,
    usd numeric,
    flows bigint NOT NULL,
    unpriced bigint NOT NULL,
    PRIMARY KEY (chain_id, protocol, day, kind, source, side, basis, own)
);
COMMENT ON TABLE protocol_part IS 'Closed days of a protocol on the counted basis, valued, one row per label: what lenses are applied to.';
COMMENT ON COLUMN protocol_part.chain_id IS 'Chain.';
COMMENT ON COLUMN protocol_part.protocol IS 'Protocol.';
COMMENT ON COLUMN protocol_part.day IS 'UTC day.';
COMMENT ON COLUMN protocol_part.kind IS 'Kind of flow.';
COMMENT ON COLUMN protocol_part.source IS 'Source of flow.';
COMMENT ON COLUMN protocol_part.side IS 'Side entitled.';
COMMENT ON COLUMN protocol_part.basis IS 'Basis, the one that its deployment counts.';
COMMENT ON COLUMN protocol_part.own IS 'Whether the token is the protocol''s own.';
COMMENT ON COLUMN protocol_part.usd IS 'Dollars; NULL if nothing of it is priced, a lower bound while unpriced > 0.';
COMMENT ON COLUMN protocol_part.flows IS 'Number of flows.';
COMMENT ON COLUMN protocol_part.unpriced IS 'Flows among them without a price.';

CREATE TABLE lens (
    lens text NOT NULL,
    kind flow_kind NOT NULL,
    source flow_source,
    side flow_side,
    basis flow_basis,
    protocol text,
    bucket text NOT NULL CHECK (bucket IN ('real', 'synthetic'))
);
COMMENT ON TABLE lens IS 'Which flows count as real yield and which as synthetic. Add your own with an INSERT; NULL means any.';
COMMENT ON COLUMN lens.lens IS 'Name of the lens: strict is the default everywhere, production also counts proof-of-work output as real.';
COMMENT ON COLUMN lens.kind IS 'Kind of flow.';
COMMENT ON COLUMN lens.source IS 'Source of flow; NULL is any.';
COMMENT ON COLUMN lens.side IS 'Side; NULL is any.';
COMMENT ON COLUMN lens.basis IS 'Basis; NULL is any.';
COMMENT ON COLUMN lens.protocol IS 'Protocol; NULL is any.';
COMMENT ON COLUMN lens.bucket IS 'real or synthetic. Kinds a lens does not name are in neither.';
INSERT INTO lens (lens, kind, bucket) VALUES
    ('strict', 'fee', 'real'), ('strict', 'incentive', 'synthetic'), ('strict', 'issuance', 'synthetic'),
    ('production', 'fee', 'real'), ('production', 'production', 'real'),
    ('production', 'incentive', 'synthetic'), ('production', 'issuance', 'synthetic');

CREATE TABLE protocol_day (
    chain_id bigint NOT NULL,
    protocol text NOT NULL,
    day date NOT NULL,
    fees_usd numeric,
    supply_side_usd numeric,
    protocol_usd numeric,
    holders_usd numeric,
    revenue_usd numeric,
    incentives_usd numeric,
    production_usd numeric,
    issuance_usd numeric,
    external_usd numeric,
    distribution_usd numeric,
    loss_usd numeric,
    issued_usd numeric,
    earnings_usd numeric,
    real_usd numeric,
    synthetic_usd numeric,
    real_share numeric,
    flows bigint NOT NULL,
    unpriced bigint NOT NULL,
    blocks_held bigint NOT NULL,
    blocks bigint NOT NULL,
    exactness text NOT NULL,
    PRIMARY KEY (chain_id, protocol, day)
);
COMMENT ON TABLE protocol_day IS 'Closed days of each protocol, valued: redone for dirty days only. yield_daily is a thin copy; its columns say the formulas.';
COMMENT ON COLUMN protocol_day.chain_id IS 'Chain.';
COMMENT ON COLUMN protocol_day.protocol IS 'Protocol.';
COMMENT ON COLUMN protocol_day.day IS 'UTC day.';
COMMENT ON COLUMN protocol_day.fees_usd IS 'See yield_daily.fees_usd.';
COMMENT ON COLUMN protocol_day.supply_side_usd IS 'See yield_daily.supply_side_usd.';
COMMENT ON COLUMN protocol_day.protocol_usd IS 'See yield_daily.protocol_usd.';
COMMENT ON COLUMN protocol_day.holders_usd IS 'See yield_daily.holders_usd.';
COMMENT ON COLUMN protocol_day.revenue_usd IS 'See yield_daily.revenue_usd.';
COMMENT ON COLUMN protocol_day.incentives_usd IS 'See yield_daily.incentives_usd.';
COMMENT ON COLUMN protocol_day.production_usd IS 'See yield_daily.production_usd.';
COMMENT ON COLUMN protocol_day.issuance_usd IS 'See yield_daily.issuance_usd.';
COMMENT ON COLUMN protocol_day.external_usd IS 'See yield_daily.external_usd.';
COMMENT ON COLUMN protocol_day.distribution_usd IS 'See yield_daily.distribution_usd.';
COMMENT ON COLUMN protocol_day.loss_usd IS 'See yield_daily.loss_usd.';
COMMENT ON COLUMN protocol_day.issued_usd IS 'See yield_daily.issued_usd.';
COMMENT ON COLUMN protocol_day.earnings_usd IS 'See yield_daily.earnings_usd.';
COMMENT ON COLUMN protocol_day.real_usd IS 'See yield_daily.real_usd.';
COMMENT ON COLUMN protocol_day.synthetic_usd IS 'See yield_daily.synthetic_usd.';
COMMENT ON COLUMN protocol_day.real_share IS 'See yield_daily.real_share.';
COMMENT ON COLUMN protocol_day.flows IS 'Flows on the counted basis.';
COMMENT ON COLUMN protocol_day.unpriced IS 'Flows among them without a price.';
COMMENT ON COLUMN protocol_day.blocks_held IS 'Final blocks of the day read, of the least covered deployment.';
COMMENT ON COLUMN protocol_day.blocks IS 'Blocks of the day, for that deployment.';
COMMENT ON COLUMN protocol_day.exactness IS 'How far a figure may be from the contracts'' own.';
