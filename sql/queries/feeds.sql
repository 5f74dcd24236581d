-- Price feeds: the phases of their proxies, and when they counted.

-- name: feed_phases
-- What is known of the phases of feeds ($2) that still have the same proxies ($3).
SELECT p.feed, p.phase, p.aggregator, p.decimals, p.seen_first, p.seen_last, p.asked_block, p.tx_hash, p.log_index
FROM unnest($2::text[], $3::bytea[]) AS wanted (feed, proxy)
JOIN feed_phase AS p ON p.chain_id = $1 AND p.feed = wanted.feed AND p.proxy = wanted.proxy
ORDER BY p.feed, p.phase;

-- name: put_feed_phase
-- Adds evidence to a phase: what was seen before stays seen.
INSERT INTO feed_phase (
    chain_id, feed, phase, deployment, proxy, aggregator, decimals, seen_first, seen_last, asked_block, tx_hash, log_index)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (chain_id, feed, phase) DO UPDATE
SET decimals = coalesce(feed_phase.decimals, excluded.decimals),
    seen_first = least(feed_phase.seen_first, excluded.seen_first),
    seen_last = greatest(feed_phase.seen_last, excluded.seen_last),
    tx_hash = coalesce(feed_phase.tx_hash, excluded.tx_hash),
    log_index = coalesce(feed_phase.log_index, excluded.log_index);

-- name: forget_other_proxies
-- Forgets what was read of phases of a proxy that the manifest no longer names.
SELECT forget_deployment(d.deployment)
FROM feed_phase AS p
JOIN deployment AS d USING (deployment)
WHERE p.chain_id = $1 AND p.feed = $2 AND p.proxy <> $3;

-- name: drop_other_proxies
-- The same for phases of it that nobody has read.
DELETE FROM feed_phase WHERE chain_id = $1 AND feed = $2 AND proxy <> $3;

-- name: feed_bounds
-- From when to when each phase of a feed may have counted, and did for certain.
SELECT phase, possible_from, certain_from, certain_to, possible_to
FROM feed_validity
WHERE chain_id = $1 AND feed = $2
ORDER BY phase;

-- name: mark_feed_days
-- Days with answers of a feed between two blocks ($3, $4), which may count otherwise now.
INSERT INTO dirty_day (chain_id, deployment, day)
SELECT DISTINCT a.chain_id, a.deployment, a.day
FROM range_answer AS a
JOIN feed_phase AS p ON p.chain_id = a.chain_id AND p.deployment = a.deployment
WHERE a.chain_id = $1 AND p.feed = $2 AND a.blocks[1] <= $4 AND a.blocks[cardinality(a.blocks)] >= $3
ORDER BY a.deployment, a.day
ON CONFLICT (chain_id, deployment, day) DO UPDATE SET day = excluded.day;

-- name: feed_deployments
-- The phases of feeds that are known to the ledger as deployments.
SELECT d.deployment
FROM feed_phase AS p
JOIN deployment AS d ON d.chain_id = p.chain_id AND d.deployment = p.deployment
WHERE p.chain_id = $1 AND p.feed = ANY($2::text[])
ORDER BY p.feed, p.phase;
