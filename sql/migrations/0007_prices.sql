-- Prices from several sources: what users claim in files, and by which rules pools and pegs are believed.

UPDATE chain SET min_liquidity_usd = 10000 WHERE min_liquidity_usd IS NULL;
ALTER TABLE chain
    ALTER COLUMN min_liquidity_usd SET DEFAULT 10000,
    ALTER COLUMN min_liquidity_usd SET NOT NULL,
    ADD COLUMN min_pool_age_days integer NOT NULL DEFAULT 1 CHECK (min_pool_age_days >= 0),
    ADD COLUMN depeg_ppm integer NOT NULL DEFAULT 20000 CHECK (depeg_ppm > 0);
COMMENT ON COLUMN chain.min_liquidity_usd IS 'Dollars of quote tokens that must provably be in a pool before it may tell a price: as of when the closed days were valued.';
COMMENT ON COLUMN chain.min_pool_age_days IS 'Days for which a pool must be known to have stood before it may tell a price.';
COMMENT ON COLUMN chain.depeg_ppm IS 'How far, in millionths of its peg, evidence of the day may put a token before its peg is refused.';

ALTER TABLE deployment ADD COLUMN has_flows boolean NOT NULL DEFAULT true;
COMMENT ON COLUMN deployment.has_flows IS 'Whether its family makes flows at all; false for price feeds, which earn and print nothing.';

CREATE TABLE price_file (
    chain_id bigint NOT NULL,
    day date NOT NULL,
    token bytea NOT NULL,
    file text NOT NULL,
    line integer NOT NULL,
    usd numeric NOT NULL CHECK (usd > 0),
    source text NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (chain_id, day, token, file)
);
CREATE INDEX price_file_file ON price_file (file);
COMMENT ON TABLE price_file IS 'Prices that a user loaded from files: they come before all others. Loading a file again replaces what it said before.';
COMMENT ON COLUMN price_file.chain_id IS 'Chain.';
COMMENT ON COLUMN price_file.day IS 'UTC day.';
COMMENT ON COLUMN price_file.token IS 'Token contract, 20 octets.';
COMMENT ON COLUMN price_file.file IS 'Name of the file, without its folder.';
COMMENT ON COLUMN price_file.line IS 'Line of the file, in Parquet the row, from 1.';
COMMENT ON COLUMN price_file.usd IS 'Dollars per whole token.';
COMMENT ON COLUMN price_file.source IS 'Where the user has it from, in the file''s words.';
COMMENT ON COLUMN price_file.loaded_at IS 'When it was loaded: where two files price a token''s day, the later one counts.';

-- Valuing a day reads that day and the seven before, and nothing else. The whole key follows the day, so that a plan made
-- from old statistics, to which a new day seems empty, still finds single rows.
CREATE INDEX trade_daily_day ON trade_daily (chain_id, day, deployment, pool);
CREATE INDEX flow_daily_day ON flow_daily (chain_id, day);
CREATE INDEX price_daily_day ON price_daily (chain_id, day, token);
CREATE INDEX answer_daily_day ON answer_daily (chain_id, day);
CREATE INDEX deployment_day_day ON deployment_day (chain_id, day, deployment);
CREATE INDEX protocol_part_day ON protocol_part (chain_id, day);
CREATE INDEX protocol_day_day ON protocol_day (chain_id, day);
CREATE INDEX contract_announced ON contract (chain_id, deployment, block_number) WHERE tx_hash IS NOT NULL;

COMMENT ON TABLE price_daily IS 'Dollars per whole token and day. A token without a row has no trusted price: its flows have NULL dollars, but for swap fees, see counter_price. price_claim() says what else was claimed and why it was refused.';
COMMENT ON COLUMN price_daily.source IS 'file, feed, peg or pool, in this order of trust.';
COMMENT ON COLUMN price_daily.usd IS 'Dollars per whole token: of a feed the mean of the day''s answers, or the last one of an earlier day; of a pool the volume-weighted price of the day that its age names.';
COMMENT ON COLUMN price_daily.evidence IS 'Aggregator of the feed, or pool whose trades told the price; NULL for a peg or a file.';
COMMENT ON COLUMN price_daily.depth_usd IS 'Dollars of quote tokens that provably were in the pool after its last swap of the day; NULL where no pool told.';
COMMENT ON COLUMN quote_token.peg_usd IS 'Dollars it is held at while nothing contradicts it, see peg_claim(); NULL for tokens without a peg.';

-- All days were valued by other rules.
INSERT INTO dirty_value (chain_id, day)
SELECT DISTINCT chain_id, day FROM deployment_day ORDER BY chain_id, day
ON CONFLICT (chain_id, day) DO NOTHING;
