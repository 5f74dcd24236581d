-- What exists: chains, protocols, deployments, listed tokens.

-- name: lock_registry
-- One process at a time until this transaction ends: two that make the same rows at once would meet unique names.
SELECT pg_advisory_xact_lock(hashtext('register'));

-- name: put_chain
-- Makes a chain known.
INSERT INTO chain (chain_id, name) VALUES ($1, $2) ON CONFLICT (chain_id) DO UPDATE SET name = excluded.name;

-- name: keep_rules
-- Records by which rules prices are believed from now on; a row if one was different before.
UPDATE chain SET min_liquidity_usd = $2, min_pool_age_days = $3, depeg_ppm = $4
WHERE chain_id = $1 AND (min_liquidity_usd, min_pool_age_days, depeg_ppm) IS DISTINCT FROM ($2, $3, $4)
RETURNING chain_id;

-- name: put_protocol
-- Makes a protocol known, with its manifest's present words.
INSERT INTO protocol (protocol, name, category, methodology) VALUES ($1, $2, $3, $4)
ON CONFLICT (protocol) DO UPDATE
SET name = excluded.name, category = excluded.category, methodology = excluded.methodology;

-- name: stored_own_tokens
-- A protocol's own tokens as they are known.
SELECT token FROM own_token WHERE chain_id = $1 AND protocol = $2 ORDER BY token;

-- name: drop_own_tokens
-- Takes back a protocol's own tokens before they are said again.
DELETE FROM own_token WHERE chain_id = $1 AND protocol = $2;

-- name: put_own_token
-- Makes a protocol's own token known.
INSERT INTO own_token (chain_id, protocol, token) VALUES ($1, $2, $3);

-- name: revalue
-- What is counted, whose a token is or what it is priced against has changed: closed days are to be valued again.
INSERT INTO dirty_value (chain_id, day)
SELECT DISTINCT chain_id, day FROM deployment_day WHERE chain_id = $1 ORDER BY day
ON CONFLICT (chain_id, day) DO UPDATE SET day = excluded.day;

-- name: stored_deployment
-- The version and manifest that a deployment's coverage counts for.
SELECT family_version, manifest_digest FROM deployment WHERE deployment = $1 FOR UPDATE;

-- name: put_deployment
-- Makes a deployment known, at the version and manifest that are now in force.
INSERT INTO deployment (
    deployment, protocol, chain_id, family, family_version, manifest_digest, start_block, exactness, has_flows)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (deployment) DO UPDATE
SET family = excluded.family, family_version = excluded.family_version, manifest_digest = excluded.manifest_digest,
    start_block = excluded.start_block, exactness = excluded.exactness, has_flows = excluded.has_flows;

-- name: retire_contracts
-- A deployment's facts were learned by another version or manifest: they are learned again.
DELETE FROM contract WHERE chain_id = $1 AND deployment = $2;

-- name: retire_history
-- A deployment's parameter history was read for another version or manifest.
DELETE FROM history WHERE chain_id = $1 AND deployment = $2;

-- name: retire_ranges
-- A deployment's ranges were read by another version or manifest: they no longer count as held.
DELETE FROM range_deployment WHERE chain_id = $1 AND deployment = $2;

-- name: retire_range_days
-- The same for what those ranges said of days, which become dirty, as do closed days that had no flows.
WITH gone AS (DELETE FROM range_day WHERE chain_id = $1 AND deployment = $2 RETURNING day)
INSERT INTO dirty_day (chain_id, deployment, day)
SELECT $1::bigint, $2::text, day FROM gone
UNION
SELECT chain_id, deployment, day FROM deployment_day WHERE chain_id = $1 AND deployment = $2
ORDER BY day
ON CONFLICT (chain_id, deployment, day) DO UPDATE SET day = excluded.day;

-- name: retire_range_trades
-- The same for their trades.
DELETE FROM range_trade WHERE chain_id = $1 AND deployment = $2;

-- name: retire_range_answers
-- The same for what feeds answered in them.
DELETE FROM range_answer WHERE chain_id = $1 AND deployment = $2;

-- name: retire_streams
-- The same for its streams, which the next closing makes anew.
DELETE FROM stream WHERE chain_id = $1 AND deployment = $2;

-- name: retire_stream_spans
-- The same for the spans in which they were known.
DELETE FROM stream_span WHERE chain_id = $1 AND deployment = $2;

-- name: retire_leases
-- Whoever reads the deployment now reads it by another version or manifest: its commit will be refused.
DELETE FROM lease WHERE chain_id = $1 AND $2 = ANY(deployments);

-- name: retire_quarantine
-- The same for the deployment's logs that could not be decoded.
DELETE FROM quarantine WHERE chain_id = $1 AND deployment = $2;

-- name: retire_flows
-- The same for its flows: the new manifest may begin later, and nobody would read those blocks again.
DELETE FROM flow WHERE chain_id = $1 AND deployment = $2;

-- name: stored_counted
-- What the views count for a deployment as it is known.
SELECT kind, basis FROM counted WHERE deployment = $1;

-- name: drop_counted
-- Takes back what a deployment counts before it is said again.
DELETE FROM counted WHERE deployment = $1;

-- name: put_counted
-- Which basis of a kind the views count for a deployment; NULL: known to have none.
INSERT INTO counted (deployment, kind, basis) VALUES ($1, $2::text::flow_kind, $3::text::flow_basis);

-- name: stored_quote_tokens
-- The listed tokens of a chain as they are known.
SELECT chain_id, token, symbol, decimals, peg_usd FROM quote_token WHERE chain_id = $1 ORDER BY token;

-- name: drop_quote_tokens
-- Takes back a chain's list before it is said again.
DELETE FROM quote_token WHERE chain_id = $1;

-- name: put_quote_token
-- Lists a token that pools may be priced against.
INSERT INTO quote_token (chain_id, token, symbol, decimals, peg_usd) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (chain_id, token) DO UPDATE
SET symbol = excluded.symbol, decimals = excluded.decimals, peg_usd = excluded.peg_usd;

-- name: endpoint_limits
-- What was learned of endpoints.
SELECT endpoint, limits FROM endpoint_limit WHERE endpoint = ANY($1::text[]);

-- name: put_endpoint_limit
-- Remembers what was learned of an endpoint.
INSERT INTO endpoint_limit (endpoint, limits) VALUES ($1, $2) ON CONFLICT (endpoint) DO UPDATE SET limits = excluded.limits;
