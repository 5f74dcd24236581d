-- Prices that users load, and what is claimed of prices.

-- name: chain_ids
-- Chains that the ledger knows, by name.
SELECT name, chain_id FROM chain;

-- name: unknown_tokens
-- Those of these tokens of a chain that neither the token list nor anything read so far names.
SELECT asked.token
FROM unnest($2::bytea[]) AS asked (token)
WHERE NOT EXISTS (SELECT FROM token AS t WHERE t.chain_id = $1 AND t.token = asked.token)
    AND NOT EXISTS (SELECT FROM quote_token AS q WHERE q.chain_id = $1 AND q.token = asked.token);

-- name: stage_prices
-- Where a file's rows wait until they are compared with what it said before; gone with the transaction.
CREATE TEMPORARY TABLE staged_price (
    chain_id bigint NOT NULL, day date NOT NULL, token bytea NOT NULL, line integer NOT NULL, usd numeric NOT NULL,
    source text NOT NULL) ON COMMIT DROP;

-- name: mark_file_days
-- Days that a file now prices differently, or before another file does, and those that their prices are carried to:
-- chains with days to be valued.
WITH changed AS (
    (
        SELECT chain_id, day, token, usd FROM price_file WHERE file = $1
        EXCEPT SELECT chain_id, day, token, usd FROM staged_price
    )
    UNION
    (
        SELECT chain_id, day, token, usd FROM staged_price
        EXCEPT SELECT chain_id, day, token, usd FROM price_file WHERE file = $1
    )
    UNION
    SELECT s.chain_id, s.day, s.token, s.usd
    FROM staged_price AS s
    JOIN price_file AS other ON other.chain_id = s.chain_id AND other.day = s.day AND other.token = s.token AND other.file <> $1
),
marked AS (
    INSERT INTO dirty_value (chain_id, day)
    SELECT DISTINCT d.chain_id, d.day
    FROM (SELECT DISTINCT chain_id, day FROM changed) AS c
    JOIN deployment_day AS d ON d.chain_id = c.chain_id AND d.day BETWEEN c.day AND c.day + 7
    ORDER BY d.chain_id, d.day
    ON CONFLICT (chain_id, day) DO UPDATE SET day = excluded.day
    RETURNING chain_id
)
SELECT DISTINCT chain_id FROM marked ORDER BY chain_id;

-- name: drop_file_prices
-- Takes back what a file said before.
DELETE FROM price_file WHERE file = $1;

-- name: put_file_prices
-- What it says now.
INSERT INTO price_file (chain_id, day, token, file, line, usd, source)
SELECT chain_id, day, token, $1, line, usd, source FROM staged_price;

-- name: named_tokens
-- Tokens that have this address ($1) or this symbol ($2), on one chain ($3) or on all; listed ones first.
SELECT c.chain_id, c.name AS chain, known.token, known.symbol, known.listed
FROM (
    SELECT chain_id, token, symbol, true AS listed FROM quote_token
    UNION ALL
    SELECT t.chain_id, t.token, t.symbol, false
    FROM token AS t
    WHERE NOT EXISTS (SELECT FROM quote_token AS q WHERE q.chain_id = t.chain_id AND q.token = t.token)
    UNION ALL
    SELECT DISTINCT f.chain_id, f.token, NULL, false
    FROM price_file AS f
    WHERE NOT EXISTS (SELECT FROM token AS t WHERE t.chain_id = f.chain_id AND t.token = f.token)
        AND NOT EXISTS (SELECT FROM quote_token AS q WHERE q.chain_id = f.chain_id AND q.token = f.token)
) AS known
JOIN chain AS c USING (chain_id)
WHERE (known.token = $1::bytea OR known.symbol = $2::text) AND ($3::text IS NULL OR c.name = $3)
ORDER BY known.listed DESC, c.name, known.token;

-- name: closed_bounds
-- The first and the last closed day of a chain, and whether this one ($2) is among them.
SELECT min(day) AS first, max(day) AS last, bool_or(day = $2::date) AS closed FROM deployment_day WHERE chain_id = $1;

-- name: token_claims
-- Every claim of a token's price on a day, the accepted one first.
SELECT
    $2::date AS day, c.name AS chain, p.token, k.symbol, p.usd, p.source, p.age_days, p.depth_usd, p.evidence, p.verdict
FROM price_claim($1, $2) AS p
JOIN chain AS c ON c.chain_id = $1
LEFT JOIN LATERAL (
    SELECT symbol FROM quote_token AS q WHERE q.chain_id = $1 AND q.token = p.token
    UNION ALL
    SELECT symbol FROM token AS t WHERE t.chain_id = $1 AND t.token = p.token
    LIMIT 1
) AS k ON true
WHERE p.token = $3
ORDER BY p.accepted DESC, p.verdict LIKE 'refused%', array_position(ARRAY['file', 'feed', 'peg', 'pool'], p.source),
    p.depth_usd DESC NULLS LAST, p.evidence;
