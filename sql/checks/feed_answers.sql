-- The answers shown of a closed day that nothing has touched since must be those that counted for certain; where a feed has
-- none, they are of one of its phases only, and the last of them is an answer that a range holds.
WITH certain AS (
    SELECT
        v.chain_id, v.feed, a.deployment, a.day, a.contract, a.decimals,
        count(*) AS answers, sum(one.answer) * power(10::numeric, -a.decimals) AS usd
    FROM feed_validity AS v
    JOIN range_answer AS a ON a.chain_id = v.chain_id AND a.deployment = v.deployment
    CROSS JOIN LATERAL unnest(a.blocks, a.answers) AS one (block, answer)
    WHERE one.block BETWEEN v.certain_from AND v.certain_to
    GROUP BY v.chain_id, v.feed, a.deployment, a.day, a.contract, a.decimals
),
shown AS (
    SELECT d.*, p.feed FROM answer_daily AS d JOIN feed_phase AS p ON p.chain_id = d.chain_id AND p.deployment = d.deployment
)
SELECT chain_id, deployment, day, contract, shown.answers AS answers_shown, certain.answers AS answers_certain
FROM shown
FULL JOIN certain USING (chain_id, feed, deployment, day, contract)
LEFT JOIN deployment_day AS closed USING (chain_id, deployment, day)
WHERE (closed IS NOT NULL OR shown.answers IS NOT NULL)
    AND NOT EXISTS (
        SELECT FROM dirty_day AS dirty
        JOIN feed_phase AS p ON p.chain_id = dirty.chain_id AND p.deployment = dirty.deployment
        WHERE p.chain_id = coalesce(shown.chain_id, certain.chain_id) AND p.feed = coalesce(shown.feed, certain.feed)
            AND dirty.day = coalesce(shown.day, certain.day)
    )
    AND CASE
        WHEN certain.answers IS NOT NULL THEN
            shown.answers IS DISTINCT FROM certain.answers
            OR abs(shown.mean_usd * shown.answers - certain.usd) > certain.usd * 0.000000000001
        ELSE
            EXISTS (
                SELECT FROM certain AS other
                WHERE other.chain_id = shown.chain_id AND other.feed = shown.feed AND other.day = shown.day
            )
            OR EXISTS (
                SELECT FROM shown AS other
                WHERE other.chain_id = shown.chain_id AND other.feed = shown.feed AND other.day = shown.day
                    AND (other.deployment, other.contract) <> (shown.deployment, shown.contract)
            )
            OR NOT EXISTS (
                SELECT FROM range_answer AS a
                CROSS JOIN LATERAL unnest(a.blocks, a.log_indexes, a.answers) AS one (block, log_index, answer)
                WHERE a.chain_id = shown.chain_id AND a.deployment = shown.deployment AND a.day = shown.day
                    AND (one.block, one.log_index) = (shown.close_block, shown.close_log_index)
                    AND one.answer * power(10::numeric, -a.decimals) = shown.close_usd
            )
    END
ORDER BY chain_id, deployment, day;
