-- What status shows: heads, goals, coverage, cost, room, leases.

-- name: put_final_head
-- Records the last final block as a run has seen it.
UPDATE chain SET final_block = $2, final_time = $3, final_seen_at = now() WHERE chain_id = $1;

-- name: put_goal
-- Records what a run set out to read of a deployment.
INSERT INTO goal (chain_id, deployment, first_block, last_block) VALUES ($1, $2, $3, $4)
ON CONFLICT (chain_id, deployment) DO UPDATE SET first_block = excluded.first_block, last_block = excluded.last_block;

-- name: status_chains
-- What is known of each chain: its final head as last seen, and what its ranges took.
SELECT
    c.name AS chain, c.final_block, c.final_time, c.final_seen_at, r.ranges, r.requests, r.octets, r.logs_received, r.logs_used,
    r.flows, r.last_commit, speed.blocks_per_second, speed.logs_per_second
FROM chain AS c
LEFT JOIN LATERAL (
    SELECT
        count(*) AS ranges, sum(requests)::bigint AS requests, sum(octets)::bigint AS octets,
        sum(logs_received)::bigint AS logs_received, sum(logs_used)::bigint AS logs_used, sum(flows)::bigint AS flows,
        max(committed_at) AS last_commit
    FROM range
    WHERE chain_id = c.chain_id
) AS r ON true
LEFT JOIN LATERAL (
    -- Of the last ten minutes of reading, whenever that was: from the first commit in it to the last.
    SELECT
        round((sum(blocks) - (array_agg(blocks ORDER BY committed_at))[1]) / nullif(took, 0), 1) AS blocks_per_second,
        round((sum(logs_received) - (array_agg(logs_received ORDER BY committed_at))[1]) / nullif(took, 0), 1) AS logs_per_second
    FROM (
        SELECT
            last_block - first_block + 1 AS blocks, logs_received, committed_at,
            extract(epoch FROM max(committed_at) OVER () - min(committed_at) OVER ()) AS took
        FROM (SELECT * FROM range WHERE chain_id = c.chain_id ORDER BY range_id DESC LIMIT 256) AS newest
        WHERE committed_at > r.last_commit - interval '10 minutes'
    ) AS late
    GROUP BY took
) AS speed ON true
ORDER BY c.name;

-- name: status_deployments
-- Coverage of each deployment against what the last run wanted, with what it made, what could not be decoded and which
-- contracts with such logs were asked and are not its own.
SELECT
    h.chain, h.protocol, h.deployment, d.family, d.start_block, g.first_block AS wanted_from,
    g.last_block AS wanted_to, greatest(g.last_block - g.first_block + 1, 0) AS blocks_wanted, h.first_block AS held_from,
    h.last_block AS held_to, held.blocks AS blocks_held,
    (
        SELECT coalesce(sum(upper(part) - lower(part)), 0)::bigint
        FROM unnest(h.blocks_held * int8multirange(int8range(g.first_block, greatest(g.last_block, g.first_block - 1) + 1))) AS part
    ) AS blocks_held_of_wanted,
    greatest(held.spans - 1, 0) AS gaps, coalesce(made.flows, 0)::bigint AS flows,
    (coalesce(made.flows, 0) - coalesce(gone.flows, 0))::bigint AS flows_kept, coalesce(odd.logs, 0) AS quarantined,
    coalesce(strange.contracts, 0) AS turned_away
FROM coverage AS h
JOIN deployment AS d USING (deployment)
LEFT JOIN goal AS g USING (chain_id, deployment)
CROSS JOIN LATERAL (
    SELECT count(*) AS spans, coalesce(sum(upper(part) - lower(part)), 0)::bigint AS blocks FROM unnest(h.blocks_held) AS part
) AS held
LEFT JOIN (
    SELECT chain_id, deployment, sum(flows) AS flows
    FROM (
        SELECT chain_id, deployment, closed.flows
        FROM deployment_day AS closed
        LEFT JOIN dirty_day AS dirty USING (chain_id, deployment, day)
        WHERE dirty.day IS NULL
        UNION ALL
        SELECT chain_id, deployment, flows FROM range_day JOIN dirty_day USING (chain_id, deployment, day)
        UNION ALL
        -- Closed days count the pieces of streams, which no range made.
        SELECT chain_id, deployment, -1
        FROM stream_piece
        LEFT JOIN dirty_day AS dirty USING (chain_id, deployment, day)
        WHERE dirty.day IS NULL
    ) AS part
    GROUP BY chain_id, deployment
) AS made USING (chain_id, deployment)
LEFT JOIN (
    SELECT chain_id, deployment, sum(flows) AS flows FROM range_day WHERE dropped GROUP BY chain_id, deployment
) AS gone USING (chain_id, deployment)
LEFT JOIN (
    SELECT chain_id, deployment, count(*) AS logs FROM quarantine GROUP BY chain_id, deployment
) AS odd USING (chain_id, deployment)
LEFT JOIN (
    SELECT chain_id, deployment, count(*) AS contracts FROM contract WHERE facts IS NULL GROUP BY chain_id, deployment
) AS strange USING (chain_id, deployment)
ORDER BY h.chain, h.deployment;

-- name: status_protocols
-- Closed days of each protocol, and how many of their flows have no price.
SELECT
    c.name AS chain, p.protocol, count(*) AS days, min(p.day) AS first_day, max(p.day) AS last_day,
    sum(p.flows)::bigint AS flows, sum(p.unpriced)::bigint AS unpriced,
    round(sum(p.unpriced) / nullif(sum(p.flows), 0), 6) AS unpriced_share,
    round(min(p.blocks_held::numeric / nullif(p.blocks, 0)), 6) AS coverage_of_least_day
FROM protocol_day AS p
JOIN chain AS c USING (chain_id)
GROUP BY c.name, p.protocol
ORDER BY c.name, p.protocol;

-- name: status_room
-- Octets of the database, of the partitions of flow and of the archive's files.
SELECT
    pg_database_size(current_database()) AS database_octets,
    (SELECT sum(pg_total_relation_size(inhrelid))::bigint FROM pg_inherits WHERE inhparent = 'flow'::regclass) AS flow_octets,
    (SELECT sum(octets)::bigint FROM archive) AS archive_octets;

-- name: status_leases
-- Ranges being read, and by whom.
SELECT
    c.name AS chain, l.first_block, l.last_block, l.deployments, l.holder, l.expires_at,
    l.expires_at > now() AND (l.guard IS NULL OR l.guard IN (SELECT guard FROM live_guard)) AS running
FROM lease AS l
JOIN chain AS c USING (chain_id)
ORDER BY c.name, l.first_block;

-- name: held_spans
-- What each deployment holds, as one span with its blocks.
SELECT
    deployment, first_block, last_block,
    (SELECT sum(upper(part) - lower(part))::bigint FROM unnest(blocks_held) AS part) AS blocks
FROM coverage
WHERE blocks_held IS NOT NULL;

-- name: give_up_after
-- Ends the statements of this transaction that take longer than so many milliseconds.
SELECT set_config('statement_timeout', $1, true);
