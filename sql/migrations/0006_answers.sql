-- Price feeds: what they answered, which of their phases counted when, and closed days of them.

CREATE TABLE feed_phase (
    chain_id bigint NOT NULL,
    feed text NOT NULL,
    phase integer NOT NULL CHECK (phase >= 0),
    deployment text NOT NULL,
    proxy bytea NOT NULL,
    aggregator bytea,
    decimals smallint,
    seen_first bigint,
    seen_last bigint,
    asked_block bigint NOT NULL,
    tx_hash bytea,
    log_index integer,
    PRIMARY KEY (chain_id, feed, phase),
    CHECK (seen_first <= seen_last)
);
CREATE INDEX feed_phase_deployment ON feed_phase (chain_id, deployment);
COMMENT ON TABLE feed_phase IS 'The aggregators that a price feed''s proxy pointed to, one after the other, with the evidence of when it did. The view feed_validity says what follows from it.';
COMMENT ON COLUMN feed_phase.chain_id IS 'Chain.';
COMMENT ON COLUMN feed_phase.feed IS 'The feed''s deployment in its manifest.';
COMMENT ON COLUMN feed_phase.phase IS 'The proxy''s number of the phase, from 1; 0 stands for the time before the proxy was made.';
COMMENT ON COLUMN feed_phase.deployment IS 'Deployment under which the phase''s answers are read.';
COMMENT ON COLUMN feed_phase.proxy IS 'The proxy, 20 octets.';
COMMENT ON COLUMN feed_phase.aggregator IS 'Contract that the proxy points to in this phase, 20 octets; NULL for phase 0.';
COMMENT ON COLUMN feed_phase.decimals IS 'decimals() of the aggregator; NULL where it tells nobody: its logs are then not its own alone, and the phase sets no price.';
COMMENT ON COLUMN feed_phase.seen_first IS 'Oldest block at whose end the proxy is known to have pointed to it; NULL if it was never seen to.';
COMMENT ON COLUMN feed_phase.seen_last IS 'Newest such block.';
COMMENT ON COLUMN feed_phase.asked_block IS 'Block of the eth_call that named the aggregator.';
COMMENT ON COLUMN feed_phase.tx_hash IS 'Transaction of the log with which the proxy said that it points to it now; NULL where eth_calls of phaseId() told, as most proxies have no such log.';
COMMENT ON COLUMN feed_phase.log_index IS 'Index of that log.';

CREATE TABLE range_answer (
    chain_id bigint NOT NULL,
    range_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    contract bytea NOT NULL,
    token bytea NOT NULL,
    decimals smallint NOT NULL,
    blocks bigint[] NOT NULL,
    log_indexes integer[] NOT NULL,
    answers numeric[] NOT NULL,
    PRIMARY KEY (chain_id, deployment, day, contract, range_id)
);
COMMENT ON TABLE range_answer IS 'What price feeds answered in each range, every answer with its log: those that counted make answer_daily.';
COMMENT ON COLUMN range_answer.chain_id IS 'Chain.';
COMMENT ON COLUMN range_answer.range_id IS 'Range.';
COMMENT ON COLUMN range_answer.deployment IS 'Deployment: one phase of a feed.';
COMMENT ON COLUMN range_answer.day IS 'UTC day.';
COMMENT ON COLUMN range_answer.contract IS 'Aggregator that answered, 20 octets.';
COMMENT ON COLUMN range_answer.token IS 'Token that the answers price.';
COMMENT ON COLUMN range_answer.decimals IS 'Decimal places of the answers.';
COMMENT ON COLUMN range_answer.blocks IS 'Block of each answer, in the chain''s order.';
COMMENT ON COLUMN range_answer.log_indexes IS 'Index of each answer''s log in its block.';
COMMENT ON COLUMN range_answer.answers IS 'Dollars per whole token x 10^decimals, one an answer, above zero.';

CREATE TABLE answer_daily (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    day date NOT NULL,
    token bytea NOT NULL,
    contract bytea NOT NULL,
    answers bigint NOT NULL,
    mean_usd numeric NOT NULL,
    close_usd numeric NOT NULL,
    close_block bigint NOT NULL,
    close_log_index integer NOT NULL,
    PRIMARY KEY (chain_id, deployment, day, contract)
);
COMMENT ON TABLE answer_daily IS 'Answers of price feeds that counted on closed days. On the day of a change of phase there is a row for each phase, of different answers: the day''s mean is that of both, weighted by answers.';
COMMENT ON COLUMN answer_daily.chain_id IS 'Chain.';
COMMENT ON COLUMN answer_daily.deployment IS 'Deployment: one phase of a feed.';
COMMENT ON COLUMN answer_daily.day IS 'UTC day.';
COMMENT ON COLUMN answer_daily.token IS 'Token priced.';
COMMENT ON COLUMN answer_daily.contract IS 'Aggregator that answered.';
COMMENT ON COLUMN answer_daily.answers IS 'Number of answers that counted.';
COMMENT ON COLUMN answer_daily.mean_usd IS 'Their mean, in dollars per whole token: the exact sum divided once.';
COMMENT ON COLUMN answer_daily.close_usd IS 'The last of them, in dollars per whole token.';
COMMENT ON COLUMN answer_daily.close_block IS 'Block of the last one.';
COMMENT ON COLUMN answer_daily.close_log_index IS 'Log of the last one.';

COMMENT ON COLUMN protocol.category IS 'Sector: dex, farm, lending, ...; price_feed for one that only tells what tokens are worth: it has no row in yield_daily.';

CREATE FUNCTION forget_answers(forgotten text) RETURNS void LANGUAGE sql AS $$
    DELETE FROM range_answer AS a USING deployment AS d
    WHERE d.deployment = forgotten AND a.chain_id = d.chain_id AND a.deployment = forgotten;
    DELETE FROM answer_daily AS a USING deployment AS d
    WHERE d.deployment = forgotten AND a.chain_id = d.chain_id AND a.deployment = forgotten;
    DELETE FROM feed_phase AS p USING deployment AS d
    WHERE d.deployment = forgotten AND p.chain_id = d.chain_id AND p.deployment = forgotten;
$$;
COMMENT ON FUNCTION forget_answers(text) IS 'The part of forget_deployment for what price feeds answered; the deployment must still be known.';

CREATE OR REPLACE FUNCTION forget_deployment(forgotten text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known deployment;
BEGIN
    SELECT * INTO known FROM deployment WHERE deployment = forgotten;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no deployment %', forgotten USING HINT = 'SELECT deployment FROM deployment lists them.';
    END IF;
    PERFORM forget_answers(forgotten);
    DELETE FROM flow WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM quarantine WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_deployment WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_day WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM range_trade WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM trade_daily WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM flow_daily WHERE chain_id = known.chain_id AND deployment = forgotten;
    DELETE FROM lease WHERE chain_id = known.chain_id AND forgotten = ANY(deployments);
    -- Its pools or its answers may have told prices, which are carried for seven days.
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
