-- Closing: dirty days that are over are summed again, then valued.

-- name: dirty_days
-- Days of a chain touched since they were last closed and over before the final head ($2), oldest first, but for those
-- whose flows were dropped: summed as they are they would lose them.
SELECT day, array_agg(deployment ORDER BY deployment) AS deployments
FROM dirty_day AS dirty
WHERE chain_id = $1 AND day < $2::date
    AND NOT EXISTS (
        SELECT FROM range_day AS part
        WHERE part.chain_id = $1 AND part.deployment = dirty.deployment AND part.day = dirty.day AND part.dropped
    )
GROUP BY day
ORDER BY day;

-- name: lock_closing
-- Nobody else closes or values a day of the chain until this transaction ends.
SELECT pg_advisory_xact_lock(hashtext('closing'), hashtext($1::bigint::text));

-- name: lock_day
-- Nobody else closes this day until this transaction ends; other days may be closed meanwhile.
SELECT
    pg_advisory_xact_lock_shared(hashtext('closing'), hashtext($1::bigint::text)),
    pg_advisory_xact_lock(hashtext('closing a day'), hashtext(concat_ws(' ', $1::bigint, $2::date)));

-- name: lock_marking
-- Days closed side by side mark the same later days: one after the other, or they would wait for one another in a circle.
SELECT pg_advisory_xact_lock(hashtext('marking'), hashtext($1::bigint::text));

-- name: day_bounds
-- First blocks of a day and of the next one, where known.
SELECT day, block_number FROM day_start WHERE chain_id = $1 AND day IN ($2::date, $2::date + 1);

-- name: put_day_start
-- Records the first block of a day.
INSERT INTO day_start (chain_id, day, block_number) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: day_neighbours
-- The last flow before a moment and the first one from it on, among the ranges' records of their days.
SELECT max(near.before) AS before, min(near.after) AS after
FROM deployment AS d
CROSS JOIN LATERAL (
    SELECT max(last_block) FILTER (WHERE day < $2) AS before, min(first_block) FILTER (WHERE day = $2) AS after
    FROM range_day
    WHERE chain_id = $1 AND deployment = d.deployment AND day BETWEEN $2::date - 1 AND $2
) AS near
WHERE d.chain_id = $1;

-- name: last_day
-- The newest day that a flow from block $2 to $3 is of, by the ranges' records of their days.
SELECT max(newest.day) AS day
FROM deployment AS d
CROSS JOIN LATERAL (
    SELECT day
    FROM range_day
    WHERE chain_id = $1 AND deployment = d.deployment AND first_block BETWEEN $2 AND $3
    ORDER BY day DESC
    LIMIT 1
) AS newest
WHERE d.chain_id = $1;

-- name: mark_unclosed
-- Days whose bounds are known, that a deployment holds blocks of and that were never closed; what is held and what was
-- closed are compared as runs of days: only the days that differ, few as a rule, are looked at one by one.
INSERT INTO dirty_day (chain_id, deployment, day)
WITH bound AS MATERIALIZED (
    SELECT day, first, next
    FROM (
        SELECT
            day, block_number AS first, lead(block_number) OVER (ORDER BY day) AS next, lead(day) OVER (ORDER BY day) AS next_day
        FROM day_start
        WHERE chain_id = $1
    ) AS start
    WHERE next_day = day + 1
),
closed AS MATERIALIZED (
    SELECT deployment, range_agg(daterange(day, day + 1)) AS days FROM deployment_day WHERE chain_id = $1 GROUP BY deployment
),
held AS MATERIALIZED (
    SELECT d.deployment, lowest.first_block, highest.last_block
    FROM deployment AS d
    CROSS JOIN LATERAL (
        SELECT first_block FROM range_deployment
        WHERE chain_id = $1 AND deployment = d.deployment ORDER BY last_block LIMIT 1
    ) AS lowest
    CROSS JOIN LATERAL (
        SELECT last_block FROM range_deployment
        WHERE chain_id = $1 AND deployment = d.deployment ORDER BY last_block DESC LIMIT 1
    ) AS highest
    WHERE d.chain_id = $1
),
missing AS MATERIALIZED (
    SELECT held.*, lower(run) AS since, upper(run) AS until
    FROM held
    CROSS JOIN (SELECT range_agg(daterange(day, day + 1)) AS days FROM bound) AS known
    LEFT JOIN closed USING (deployment)
    CROSS JOIN LATERAL unnest(known.days - coalesce(closed.days, '{}')) AS run
)
SELECT $1, missing.deployment, bound.day
FROM missing
JOIN bound
    ON bound.day >= missing.since AND bound.day < missing.until
    AND bound.next > missing.first_block AND bound.first <= missing.last_block
CROSS JOIN LATERAL (
    -- A deployment's ranges do not overlap: the first one that ends on the day or later is the first one that begins.
    SELECT first_block
    FROM range_deployment AS r
    WHERE r.chain_id = $1 AND r.deployment = missing.deployment AND r.last_block >= bound.first
    ORDER BY r.last_block
    LIMIT 1
) AS nearest
WHERE nearest.first_block < bound.next
ORDER BY missing.deployment, bound.day
ON CONFLICT DO NOTHING;

-- name: undated_blocks
-- Merged spans of the blocks that were ever read, but for those of ranges that lie within days whose bounds are known.
WITH dated AS MATERIALIZED (
    SELECT coalesce(range_agg(int8range(first, next)), '{}') AS blocks
    FROM (
        SELECT
            day, block_number AS first, lead(block_number) OVER (ORDER BY day) AS next, lead(day) OVER (ORDER BY day) AS next_day
        FROM day_start
        WHERE chain_id = $1
    ) AS start
    WHERE next_day = day + 1
)
SELECT lower(span) AS first_block, upper(span) - 1 AS last_block
FROM unnest((
    SELECT range_agg(int8range(r.first_block, r.last_block, '[]'))
    FROM range AS r
    CROSS JOIN dated
    WHERE r.chain_id = $1 AND NOT int8range(r.first_block, r.last_block, '[]') <@ dated.blocks
)) AS span;

-- name: day_starts
-- Days of a chain whose first block is known.
SELECT day, block_number FROM day_start WHERE chain_id = $1 ORDER BY day;

-- name: drop_flow_daily
-- Takes back a day's sums before they are made again.
DELETE FROM flow_daily WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: avoid_sorting
-- Without statistics a day is planned as one row: its flows would be sorted rather than hashed, four times as long.
SET LOCAL enable_sort = off;

-- name: allow_sorting
-- Takes back avoid_sorting.
SET LOCAL enable_sort = on;

-- name: sum_flow_daily
-- Sums a day's flows per contract, token and label; $4 and $5 are the first blocks of the day and of the next.
INSERT INTO flow_daily (chain_id, protocol, deployment, day, contract, token, kind, source, side, basis, amount, flows)
SELECT chain_id, protocol, deployment, $2, contract, token, kind, source, side, basis, sum(amount), count(*)
FROM flow
WHERE chain_id = $1
    AND deployment = ANY($3::text[])
    AND block_number >= $4 AND block_number < $5
    AND block_time >= $2::date::timestamp AT TIME ZONE 'UTC' AND block_time < ($2::date + 1)::timestamp AT TIME ZONE 'UTC'
GROUP BY chain_id, protocol, deployment, contract, token, kind, source, side, basis;

-- name: drop_trade_daily
-- Takes back a day's trades before they are made again.
DELETE FROM trade_daily WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: sum_trade_daily
-- Adds up the ranges' parts of a day's trades; the last swap of the day tells the depth.
INSERT INTO trade_daily (
    chain_id, deployment, day, pool, token0, token1, swaps, in0, in1, out0, out1, depth0, depth1)
SELECT
    chain_id, deployment, day, pool, token0, token1, sum(swaps), sum(in0), sum(in1), sum(out0), sum(out1),
    (array_agg(depth0 ORDER BY close_block DESC, close_log_index DESC))[1],
    (array_agg(depth1 ORDER BY close_block DESC, close_log_index DESC))[1]
FROM range_trade
WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[])
GROUP BY chain_id, deployment, day, pool, token0, token1;

-- name: drop_answer_daily
-- Takes back a day's answers of every feed that has one of these deployments as a phase: its phases are weighed together.
DELETE FROM answer_daily
WHERE chain_id = $1 AND day = $2
    AND deployment IN (
        SELECT unnest($3::text[])
        UNION
        SELECT p.deployment
        FROM feed_phase AS p
        JOIN feed_phase AS touched ON touched.chain_id = p.chain_id AND touched.feed = p.feed
        WHERE p.chain_id = $1 AND touched.deployment = ANY($3::text[])
    );

-- name: sum_answer_daily
-- Adds up what counted: the answers that their phases gave for certain while the proxy pointed to them; where a feed has
-- none, those of the one phase that answered most of all that may have been pointed to, the older one of equals.
INSERT INTO answer_daily (
    chain_id, deployment, day, token, contract, answers, mean_usd, close_usd, close_block, close_log_index)
WITH said AS (
    SELECT
        v.feed, v.phase, a.deployment, a.token, a.contract, a.decimals, one.block, one.log_index, one.answer,
        coalesce(one.block BETWEEN v.certain_from AND v.certain_to, false) AS certain
    FROM feed_validity AS v
    JOIN range_answer AS a ON a.chain_id = v.chain_id AND a.deployment = v.deployment AND a.day = $2
    CROSS JOIN LATERAL unnest(a.blocks, a.log_indexes, a.answers) AS one (block, log_index, answer)
    WHERE v.chain_id = $1
        AND v.feed IN (SELECT feed FROM feed_phase WHERE chain_id = $1 AND deployment = ANY($3::text[]))
        AND (v.possible_from IS NULL OR one.block >= v.possible_from)
        AND (v.possible_to IS NULL OR one.block <= v.possible_to)
),
likely AS (
    SELECT DISTINCT ON (feed) feed, phase
    FROM said
    GROUP BY feed, phase
    HAVING feed NOT IN (SELECT feed FROM said WHERE certain)
    ORDER BY feed, count(*) DESC, phase
)
SELECT
    $1, said.deployment, $2, said.token, said.contract, count(*),
    sum(said.answer) * power(10::numeric, -said.decimals) / count(*),
    (array_agg(said.answer ORDER BY said.block DESC, said.log_index DESC))[1] * power(10::numeric, -said.decimals),
    (array_agg(said.block ORDER BY said.block DESC, said.log_index DESC))[1],
    (array_agg(said.log_index ORDER BY said.block DESC, said.log_index DESC))[1]
FROM said
LEFT JOIN likely USING (feed, phase)
WHERE said.certain OR likely.phase IS NOT NULL
GROUP BY said.deployment, said.token, said.contract, said.decimals;

-- name: range_digests
-- What the ranges say of a day: their digests are added up outside, mod 2^256.
SELECT deployment, flows, digest FROM range_day WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: put_deployment_days
-- Records a closed day of deployments ($2) with their flows ($4) and digests ($5); coverage counts the blocks between $6
-- and $7 (the next day's first).
INSERT INTO deployment_day (chain_id, deployment, day, flows, digest, blocks_held, blocks)
SELECT
    $1, d.deployment, $3, made.flows, made.digest, held.blocks, greatest($7 - greatest($6, d.start_block), 0)
FROM unnest($2::text[], $4::bigint[], $5::bytea[]) AS made (deployment, flows, digest)
JOIN deployment AS d ON d.deployment = made.deployment
CROSS JOIN LATERAL (
    SELECT coalesce(sum(upper(part) - lower(part)), 0) AS blocks
    FROM unnest((
        SELECT range_agg(int8range(r.first_block, r.last_block, '[]'))
        FROM (
            SELECT first_block, last_block
            FROM range_deployment
            WHERE chain_id = $1 AND deployment = made.deployment AND last_block >= $6 AND last_block < $7
            UNION ALL
            -- The one that reaches beyond the day, if any does: a deployment's ranges do not overlap.
            (
                SELECT first_block, last_block
                FROM range_deployment
                WHERE chain_id = $1 AND deployment = made.deployment AND last_block >= $7
                ORDER BY last_block
                LIMIT 1
            )
        ) AS r
    ) * int8multirange(int8range($6, $7))) AS part
) AS held
ORDER BY d.deployment
ON CONFLICT (chain_id, deployment, day)
DO UPDATE SET flows = excluded.flows, digest = excluded.digest, blocks_held = excluded.blocks_held, blocks = excluded.blocks;

-- name: clear_dirty_days
-- The day is closed.
DELETE FROM dirty_day WHERE chain_id = $1 AND day = $2 AND deployment = ANY($3::text[]);

-- name: mark_dirty_value
-- A day that was read whole tells how old later days' pools are, and prices are carried for seven days more.
INSERT INTO dirty_value (chain_id, day)
SELECT $1::bigint, $2::date
UNION
SELECT $1, d.day
FROM deployment_day AS d
JOIN chain AS c ON c.chain_id = d.chain_id
WHERE d.chain_id = $1 AND d.day BETWEEN $2 AND $2::date + c.min_pool_age_days + 7
ON CONFLICT DO NOTHING;

-- name: mark_dirty_births
-- A creation log between these blocks ($4 and before $5) tells the age of pools also on later days that could not tell it
-- from the days before them, wherever those are.
INSERT INTO dirty_value (chain_id, day)
SELECT DISTINCT later.chain_id, later.day
FROM (
    SELECT DISTINCT chain_id, deployment
    FROM contract
    WHERE chain_id = $1 AND deployment = ANY($3::text[]) AND tx_hash IS NOT NULL AND block_number >= $4 AND block_number < $5
) AS maker
JOIN chain AS c ON c.chain_id = maker.chain_id
JOIN deployment_day AS d ON d.chain_id = maker.chain_id AND d.deployment = maker.deployment AND d.day > $2
JOIN deployment_day AS later ON later.chain_id = d.chain_id AND later.day BETWEEN d.day AND d.day + 7
WHERE NOT held_whole(d.chain_id, d.deployment, d.day, c.min_pool_age_days)
ON CONFLICT DO NOTHING;

-- name: dirty_values
-- Days to be valued again, oldest first.
SELECT day FROM dirty_value WHERE chain_id = $1 ORDER BY day;

-- name: clear_dirty_value
-- The day is valued.
DELETE FROM dirty_value WHERE chain_id = $1 AND day = $2;

-- name: learn_statistics
-- Without any, queries of what was just closed may take minutes, until autovacuum comes.
SELECT learn_statistics();

-- name: see_one_moment
-- All of a refresh sees the same rows, whatever is valued meanwhile: what is told is what is shown.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;

-- name: lock_refresh
-- One refresh at a time, so that each tells what it changed itself; locked before the moment that is seen.
LOCK TABLE shown_day IN SHARE UPDATE EXCLUSIVE MODE;

-- name: find_written
-- Days with a row that was written or is gone since it was shown, or whose chain or protocol says something else now.
CREATE TEMPORARY TABLE written_day ON COMMIT DROP AS
SELECT chain, day, made.version
FROM (
    SELECT c.name AS chain, d.day, d.version
    FROM (
        SELECT d.chain_id, d.day, sum(hashtextextended(d.xmin::text, p.seed)) AS version
        FROM protocol_day AS d
        JOIN (
            SELECT protocol, hashtextextended(methodology, 0) AS seed
            FROM protocol
            OFFSET 0  -- once a protocol, not once a row
        ) AS p USING (protocol)
        GROUP BY d.chain_id, d.day
    ) AS d
    JOIN chain AS c USING (chain_id)
) AS made
FULL JOIN shown_day AS shown USING (chain, day)
WHERE made.version IS DISTINCT FROM shown.version;

-- name: keep_shown
-- What is shown of these days before the refresh, by the hashes of rows, until its transaction ends.
CREATE TEMPORARY TABLE shown_row ON COMMIT DROP AS
SELECT y.day, y.chain, y.protocol, hash_record_extended(y, 0) AS hash
FROM pg_temp.written_day AS w
CROSS JOIN LATERAL (SELECT * FROM yield_daily WHERE day = w.day AND chain = w.chain OFFSET 0) AS y;  -- by its key

-- name: refresh
-- Shows the closed days to everybody; plain, since it takes a fraction of what CONCURRENTLY does.
REFRESH MATERIALIZED VIEW yield_daily;

-- name: tell_refreshed
-- Tells who listens to yield_daily which of its days are new, changed or gone, when the transaction commits.
SELECT pg_notify('yield_daily', json_build_object(
    'days', count(DISTINCT day), 'first', min(day), 'last', max(day),
    'chains', coalesce((array_agg(DISTINCT chain))[:100], '{}')
)::text)
FROM (
    SELECT y.day, y.chain, y.protocol, hash_record_extended(y, 0) AS hash
    FROM pg_temp.written_day AS w
    CROSS JOIN LATERAL (SELECT * FROM yield_daily WHERE day = w.day AND chain = w.chain OFFSET 0) AS y
) AS now
FULL JOIN pg_temp.shown_row AS was USING (day, chain, protocol)
WHERE was.hash IS DISTINCT FROM now.hash;

-- name: forget_shown
-- What was known of these days is no longer so.
DELETE FROM shown_day AS shown USING pg_temp.written_day AS written WHERE (shown.chain, shown.day) = (written.chain, written.day);

-- name: put_shown
-- These days are shown as they were written.
INSERT INTO shown_day (chain, day, version) SELECT chain, day, version FROM pg_temp.written_day WHERE version IS NOT NULL;
