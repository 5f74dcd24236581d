-- What follows from where a feed's proxy was seen to point: phases only go up, so that each sight bounds them all.
CREATE OR REPLACE VIEW feed_validity AS
SELECT
    chain_id,
    feed,
    phase,
    deployment,
    aggregator,
    max(seen_last) OVER earlier + 1 AS possible_from,
    CASE
        WHEN phase = 1 AND max(seen_last) OVER earlier IS NULL THEN 0  -- there is no other phase it could be
        ELSE min(seen_first) OVER from_here
    END AS certain_from,
    max(seen_last) OVER to_here AS certain_to,
    min(seen_first) OVER later - 1 AS possible_to
FROM feed_phase
WINDOW
    earlier AS (PARTITION BY chain_id, feed ORDER BY phase ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING),
    from_here AS (PARTITION BY chain_id, feed ORDER BY phase ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
    to_here AS (PARTITION BY chain_id, feed ORDER BY phase ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW),
    later AS (PARTITION BY chain_id, feed ORDER BY phase ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING);

COMMENT ON VIEW feed_validity IS 'Blocks in which an answer of a feed''s phase counts for certain, and in which it may have counted.';
COMMENT ON COLUMN feed_validity.chain_id IS 'Chain.';
COMMENT ON COLUMN feed_validity.feed IS 'The feed''s deployment in its manifest.';
COMMENT ON COLUMN feed_validity.phase IS 'Phase of its proxy; 0 stands for the time before the proxy was made.';
COMMENT ON COLUMN feed_validity.deployment IS 'Deployment under which the phase''s answers are read.';
COMMENT ON COLUMN feed_validity.aggregator IS 'Aggregator of the phase.';
COMMENT ON COLUMN feed_validity.possible_from IS 'The proxy pointed to an earlier phase until the block before; NULL where nothing is known.';
COMMENT ON COLUMN feed_validity.certain_from IS 'From this block on the proxy pointed to this phase or a later one; 0 for the first phase where nothing is known of the time before the proxy.';
COMMENT ON COLUMN feed_validity.certain_to IS 'Until this block the proxy pointed to this phase or an earlier one: with certain_from <= certain_to it pointed to this one in between.';
COMMENT ON COLUMN feed_validity.possible_to IS 'The proxy pointed to a later phase from the block after; NULL where nothing is known.';
