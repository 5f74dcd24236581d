-- Trades by direction, so that a fee can be valued from the other side of its trade; depth is what provably is in the pool.
-- What was read before cannot tell directions: families that trade have a new version, so their ranges are read again.

DELETE FROM range_trade;
DELETE FROM trade_daily;

ALTER TABLE range_trade
    DROP COLUMN amount0, DROP COLUMN amount1, DROP COLUMN close_sqrt_price, DROP COLUMN close_liquidity,
    ADD COLUMN in0 numeric NOT NULL, ADD COLUMN in1 numeric NOT NULL,
    ADD COLUMN out0 numeric NOT NULL, ADD COLUMN out1 numeric NOT NULL,
    ADD COLUMN depth0 numeric, ADD COLUMN depth1 numeric;
COMMENT ON COLUMN range_trade.in0 IS 'Raw units of token0 that came into the pool.';
COMMENT ON COLUMN range_trade.in1 IS 'Raw units of token1 that came in.';
COMMENT ON COLUMN range_trade.out0 IS 'Raw units of token0 that went out of the pool.';
COMMENT ON COLUMN range_trade.out1 IS 'Raw units of token1 that went out.';
COMMENT ON COLUMN range_trade.depth0 IS 'Raw units of token0 that provably stood behind the price after the last swap; NULL where the family cannot know.';
COMMENT ON COLUMN range_trade.depth1 IS 'The same for token1.';

ALTER TABLE trade_daily
    DROP COLUMN amount0, DROP COLUMN amount1, DROP COLUMN close_sqrt_price, DROP COLUMN close_liquidity,
    ADD COLUMN in0 numeric NOT NULL, ADD COLUMN in1 numeric NOT NULL,
    ADD COLUMN out0 numeric NOT NULL, ADD COLUMN out1 numeric NOT NULL,
    ADD COLUMN depth0 numeric, ADD COLUMN depth1 numeric;
COMMENT ON COLUMN trade_daily.in0 IS 'Raw units of token0 that came into the pool.';
COMMENT ON COLUMN trade_daily.in1 IS 'Raw units of token1 that came in.';
COMMENT ON COLUMN trade_daily.out0 IS 'Raw units of token0 that went out of the pool.';
COMMENT ON COLUMN trade_daily.out1 IS 'Raw units of token1 that went out.';
COMMENT ON COLUMN trade_daily.depth0 IS 'Raw units of token0 that provably stood behind the closing price; NULL where the family cannot know.';
COMMENT ON COLUMN trade_daily.depth1 IS 'The same for token1.';
