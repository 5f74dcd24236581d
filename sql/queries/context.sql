-- What logs need besides themselves: members, parameters, tokens.

-- name: contracts
-- Facts of those of a deployment's contracts that were met before.
SELECT contract, facts FROM contract WHERE chain_id = $1 AND deployment = $2 AND contract = ANY($3::bytea[]);

-- name: put_contract
-- Records a contract with its facts (NULL: asked, not ours); who knew it first is kept.
INSERT INTO contract (chain_id, deployment, contract, facts, block_number, tx_hash, log_index)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (chain_id, deployment, contract)
DO UPDATE SET facts = excluded.facts, block_number = excluded.block_number, tx_hash = excluded.tx_hash,
    log_index = excluded.log_index
WHERE contract.tx_hash IS NULL AND excluded.tx_hash IS NOT NULL;

-- name: steps
-- Parameter changes of contracts up to a block, oldest first.
SELECT contract, name, block_number, log_index, "values", tx_hash
FROM parameter
WHERE chain_id = $1 AND contract = ANY($2::bytea[]) AND block_number <= $3
ORDER BY contract, name, block_number, log_index;

-- name: put_step
-- Records a parameter change, as the family's present version reads it.
INSERT INTO parameter (chain_id, contract, name, block_number, log_index, "values", tx_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (chain_id, contract, name, block_number, log_index)
DO UPDATE SET "values" = excluded."values", tx_hash = excluded.tx_hash
WHERE parameter."values" <> excluded."values";

-- name: histories
-- Spans whose parameter events are known, per deployment.
SELECT deployment, first_block, last_block FROM history WHERE chain_id = $1 AND deployment = ANY($2::text[]);

-- name: put_history
-- A span's parameter events are all known.
INSERT INTO history (chain_id, deployment, first_block, last_block) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING;

-- name: known_tokens
-- Tokens that were asked before.
SELECT token FROM token WHERE chain_id = $1 AND token = ANY($2::bytea[]);

-- name: put_token
-- Records how a token describes itself.
INSERT INTO token (chain_id, token, symbol, decimals, symbol_octets, block_number) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING;
