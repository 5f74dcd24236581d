-- What files and feeds say of prices: claims that no pool has a part in.
CREATE OR REPLACE FUNCTION outside_claim(of_chain bigint, of_day date)
RETURNS TABLE (token bytea, source text, usd numeric, age_days integer, evidence bytea, told_by text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    (
        SELECT DISTINCT ON (f.token)
            f.token, 'file', f.usd, of_day - f.day, NULL::bytea, f.file || ':' || f.line || ': ' || f.source
        FROM price_file AS f
        WHERE f.chain_id = of_chain AND f.day BETWEEN of_day - 7 AND of_day
        ORDER BY f.token, f.day DESC, f.loaded_at DESC, f.file
    )
    UNION ALL
    (
        SELECT DISTINCT ON (a.token)
            a.token, 'feed', CASE WHEN a.day = of_day THEN a.mean_usd ELSE a.close_usd END, of_day - a.day, a.contract,
            a.deployment
        FROM (
            SELECT
                d.token,
                d.day,
                sum(d.mean_usd * d.answers) / sum(d.answers) AS mean_usd,
                (array_agg(d.close_usd ORDER BY d.close_block DESC, d.close_log_index DESC))[1] AS close_usd,
                (array_agg(d.contract ORDER BY d.close_block DESC, d.close_log_index DESC))[1] AS contract,
                (array_agg(d.deployment ORDER BY d.close_block DESC, d.close_log_index DESC))[1] AS deployment
            FROM answer_daily AS d
            WHERE d.chain_id = of_chain AND d.day BETWEEN of_day - 7 AND of_day
            GROUP BY d.token, d.day
        ) AS a
        ORDER BY a.token, a.day DESC
    )
$$;
COMMENT ON FUNCTION outside_claim(bigint, date) IS 'Per token what files and what feeds say for a day: the newest of it and of the seven days before; of a feed the mean of the day''s answers, or the last answer of an earlier day.';
