-- All that is claimed of prices on a day, and what became of each claim: what valuing takes is the accepted one.
CREATE OR REPLACE FUNCTION price_claim(of_chain bigint, of_day date)
RETURNS TABLE (
    token bytea, usd numeric, source text, age_days integer, depth_usd numeric, evidence text, accepted boolean, verdict text)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    WITH claim AS (
        SELECT
            o.token, o.usd, o.source, CASE o.source WHEN 'file' THEN 1 ELSE 2 END AS rank, o.age_days, of_day AS traded_on,
            NULL::numeric AS depth_usd, NULL::text AS deployment,
            concat_ws(' ', '0x' || encode(o.evidence, 'hex'), o.told_by) AS evidence, NULL::bytea AS pool,
            NULL::text AS refusal
        FROM outside_claim(of_chain, of_day) AS o
        UNION ALL
        SELECT
            p.token, p.usd, 'peg', 3, 0, of_day, NULL, NULL,
            concat_ws(' ', 'token list', '(' || nullif(concat_ws(', ',
                'deepest pool against a price from outside: 0x' || encode(p.witness, 'hex') || ' at ' || round(p.witness_usd, 6)::text,
                CASE WHEN p.witness IS NULL AND p.confirming + p.contradicting > 0
                    THEN 'other pegs: ' || p.confirming || ' confirm, ' || p.contradicting || ' contradict' END), '') || ')'),
            NULL,
            CASE WHEN p.refused THEN 'refused: the day''s trades contradict the peg' END
        FROM peg_claim(of_chain, of_day) AS p
        UNION ALL
        (
            -- Of each pool the newest day that counts, or the newest one of all.
            SELECT DISTINCT ON (p.token, p.deployment, p.pool)
                p.token, p.usd, 'pool', 4, p.age_days, p.traded_on, p.depth_usd, p.deployment, '0x' || encode(p.pool, 'hex'),
                p.pool,
                CASE
                    WHEN p.usd IS NULL THEN 'refused: its quote token has no price that may be built on'
                    WHEN p.depth_usd IS NULL THEN 'refused: nothing tells how much of the quote token is in the pool'
                    WHEN NOT p.deep THEN 'refused: ' || floor(p.depth_usd) || ' dollars of the quote token are provably in the pool, '
                        || c.min_liquidity_usd || ' are needed'
                    WHEN NOT p.old THEN 'refused: the pool is not known to have stood for ' || c.min_pool_age_days || ' days'
                    WHEN p.age_days > 7 THEN 'refused: the price of its quote token is too old'
                    WHEN p.usd = 0 THEN 'refused: too little to be told'
                END AS refusal
            FROM pool_claim(of_chain, of_day) AS p
            JOIN chain AS c ON c.chain_id = of_chain
            ORDER BY
                p.token, p.deployment, p.pool,
                (p.usd > 0 AND p.deep AND p.old AND p.age_days <= 7) IS TRUE DESC, p.traded_on DESC
        )
    ),
    ranked AS (
        SELECT
            claim.*,
            row_number() OVER best AS place,
            first_value(claim.source) OVER best AS best_source
        FROM claim
        WINDOW best AS (
            PARTITION BY claim.token
            ORDER BY claim.refusal IS NOT NULL, claim.rank, claim.traded_on DESC, claim.depth_usd DESC NULLS LAST, claim.pool, claim.deployment
        )
    )
    SELECT
        r.token,
        r.usd,
        r.source,
        r.age_days,
        round(r.depth_usd, 2),
        r.evidence,
        r.place = 1 AND r.refusal IS NULL,
        CASE
            WHEN r.refusal IS NOT NULL THEN r.refusal
            WHEN r.place = 1 THEN 'accepted'
            WHEN r.source = r.best_source THEN 'not needed: a pool of a newer day or of more depth tells the price'
            ELSE 'not needed: a ' || r.best_source || ' tells the price'
        END
    FROM ranked AS r
$$;
COMMENT ON FUNCTION price_claim(bigint, date) IS 'All claims of a day''s prices with their verdicts: file before feed before peg before pool, of pools the newest day and on it the deepest. The accepted ones are the rows of price_daily, once the day is valued.';
