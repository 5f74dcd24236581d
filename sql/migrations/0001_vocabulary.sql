-- The closed lists of the ledger's vocabulary, and what exists: chains, protocols, deployments, contracts, tokens.

CREATE TYPE flow_kind AS ENUM ('fee', 'incentive', 'production', 'issuance', 'external', 'distribution', 'loss');
COMMENT ON TYPE flow_kind IS 'What a movement of value is: fee (paid for a service), incentive (own token given away), production (proof-of-work output), issuance (a chain''s own coin minted to validators), external (someone else''s token given away), distribution (a use of revenue already booked), loss (bad debt, slashing).';

CREATE TYPE flow_source AS ENUM (
    'swap', 'flash_loan', 'borrow_interest', 'liquidation', 'stability_fee', 'perp_trade', 'redemption',
    'transaction_tip', 'base_fee', 'mev', 'block_subsidy', 'hashrate_payout', 'consensus_reward',
    'liquidity_mining', 'gauge', 'staking_reward', 'bribe', 'partner_grant', 'upstream_emission',
    'buyback', 'burn', 'payout', 'bad_debt', 'slashing');
COMMENT ON TYPE flow_source IS 'Where a flow comes from, finer than its kind: one closed list.';

CREATE TYPE flow_side AS ENUM ('supply', 'protocol', 'holders');
COMMENT ON TYPE flow_side IS 'Who is entitled to a flow: supply (LPs, lenders, miners, validators), protocol (treasury), holders (where the contract itself splits a fee to them).';

CREATE TYPE flow_basis AS ENUM ('accrued', 'paid', 'budgeted');
COMMENT ON TYPE flow_basis IS 'At which moment the money is seen: accrued (earned or allotted), paid (collected or claimed), budgeted (a programme announced). The same money may appear on several; views count one a deployment.';

CREATE TABLE chain (
    chain_id bigint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    min_liquidity_usd bigint
);
COMMENT ON TABLE chain IS 'Chains the ledger knows.';
COMMENT ON COLUMN chain.chain_id IS 'EIP-155 chain id.';
COMMENT ON COLUMN chain.min_liquidity_usd IS 'Depth in dollars that a pool needed to tell a price when the closed days were valued.';
COMMENT ON COLUMN chain.name IS 'Name used in settings, manifests and views.';

CREATE TABLE protocol (
    protocol text PRIMARY KEY,
    name text NOT NULL,
    category text NOT NULL,
    methodology text NOT NULL
);
COMMENT ON TABLE protocol IS 'Protocols, from their manifests.';
COMMENT ON COLUMN protocol.protocol IS 'Identifier, the manifest''s file name.';
COMMENT ON COLUMN protocol.name IS 'Name for people.';
COMMENT ON COLUMN protocol.category IS 'Sector: dex, farm, lending, ...';
COMMENT ON COLUMN protocol.methodology IS 'What is counted as fee, who gets it, what is not counted.';

CREATE TABLE own_token (
    chain_id bigint NOT NULL,
    protocol text NOT NULL,
    token bytea NOT NULL,
    PRIMARY KEY (chain_id, protocol, token)
);
COMMENT ON TABLE own_token IS 'The tokens a protocol can print: what it gives away of them is incentive, of others external.';
COMMENT ON COLUMN own_token.chain_id IS 'Chain of the token.';
COMMENT ON COLUMN own_token.protocol IS 'Protocol whose own token it is.';
COMMENT ON COLUMN own_token.token IS 'Token contract, 20 octets.';

CREATE TABLE deployment (
    deployment text PRIMARY KEY,
    protocol text NOT NULL,
    chain_id bigint NOT NULL,
    family text NOT NULL,
    family_version integer NOT NULL,
    manifest_digest bytea NOT NULL,
    start_block bigint NOT NULL,
    exactness text NOT NULL
);
COMMENT ON TABLE deployment IS 'One family of contracts at given addresses on one chain for one protocol: the unit of coverage and digests.';
COMMENT ON COLUMN deployment.deployment IS 'Identifier: protocol.chain[.name].';
COMMENT ON COLUMN deployment.protocol IS 'Protocol it belongs to.';
COMMENT ON COLUMN deployment.chain_id IS 'Chain it lives on.';
COMMENT ON COLUMN deployment.family IS 'Family whose rules read it.';
COMMENT ON COLUMN deployment.family_version IS 'Version of those rules that the coverage counts for.';
COMMENT ON COLUMN deployment.manifest_digest IS 'sha256 of what decides its flows: chain, family, start block, contracts.';
COMMENT ON COLUMN deployment.start_block IS 'First block that can hold an event of it.';
COMMENT ON COLUMN deployment.exactness IS 'How far a figure may be from the contract''s own.';

CREATE TABLE counted (
    deployment text NOT NULL,
    kind flow_kind NOT NULL,
    basis flow_basis,
    PRIMARY KEY (deployment, kind)
);
COMMENT ON TABLE counted IS 'Which basis of a kind the views count for a deployment. A kind without a row is not known here, so sums of it are NULL.';
COMMENT ON COLUMN counted.deployment IS 'Deployment.';
COMMENT ON COLUMN counted.kind IS 'Kind of flow.';
COMMENT ON COLUMN counted.basis IS 'Basis counted; NULL says it is known that the deployment has no flows of this kind.';

CREATE TABLE contract (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    contract bytea NOT NULL,
    facts jsonb,
    block_number bigint NOT NULL,
    tx_hash bytea,
    log_index integer,
    PRIMARY KEY (chain_id, deployment, contract)
);
COMMENT ON TABLE contract IS 'Contracts met by a deployment, with immutable facts and their evidence.';
COMMENT ON COLUMN contract.chain_id IS 'Chain.';
COMMENT ON COLUMN contract.deployment IS 'Deployment that met it.';
COMMENT ON COLUMN contract.contract IS 'Address, 20 octets.';
COMMENT ON COLUMN contract.facts IS 'What the family needs to know (a pool''s tokens and tier); NULL says it was asked and is not of this deployment.';
COMMENT ON COLUMN contract.block_number IS 'Block of the log, or of the eth_call, that told the facts.';
COMMENT ON COLUMN contract.tx_hash IS 'Transaction of the log that told; NULL for an eth_call.';
COMMENT ON COLUMN contract.log_index IS 'Index of the log that told; NULL for an eth_call.';

CREATE TABLE token (
    chain_id bigint NOT NULL,
    token bytea NOT NULL,
    symbol text,
    decimals smallint CHECK (decimals BETWEEN 0 AND 255),
    symbol_octets bytea,
    block_number bigint NOT NULL,
    PRIMARY KEY (chain_id, token)
);
COMMENT ON TABLE token IS 'Tokens met in flows, as their contracts describe themselves.';
COMMENT ON COLUMN token.chain_id IS 'Chain.';
COMMENT ON COLUMN token.token IS 'Token contract, 20 octets.';
COMMENT ON COLUMN token.symbol IS 'symbol(), made safe to show: no control, bidirectional or invisible characters. Not unique, not proof of identity.';
COMMENT ON COLUMN token.decimals IS 'decimals(); NULL where the contract does not say: its amounts then have no dollars.';
COMMENT ON COLUMN token.symbol_octets IS 'symbol() as answered, untouched.';
COMMENT ON COLUMN token.block_number IS 'Block at which the contract was asked.';

CREATE TABLE parameter (
    chain_id bigint NOT NULL,
    contract bytea NOT NULL,
    name text NOT NULL,
    block_number bigint NOT NULL,
    log_index integer NOT NULL,
    "values" numeric(78, 0)[] NOT NULL,
    tx_hash bytea,
    PRIMARY KEY (chain_id, contract, name, block_number, log_index)
);
COMMENT ON TABLE parameter IS 'Values that events change, as of (block, log index): a fee switch, a reserve factor.';
COMMENT ON COLUMN parameter.chain_id IS 'Chain.';
COMMENT ON COLUMN parameter.contract IS 'Contract whose parameter it is.';
COMMENT ON COLUMN parameter.name IS 'Name given by the family.';
COMMENT ON COLUMN parameter.block_number IS 'Block of the change.';
COMMENT ON COLUMN parameter.log_index IS 'Log of the change: it holds for every later log.';
COMMENT ON COLUMN parameter."values" IS 'The new values, in the family''s order.';
COMMENT ON COLUMN parameter.tx_hash IS 'Transaction of the log that told.';

CREATE TABLE history (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL,
    PRIMARY KEY (chain_id, deployment, first_block, last_block)
);
COMMENT ON TABLE history IS 'Spans of blocks whose parameter events are all known.';
COMMENT ON COLUMN history.chain_id IS 'Chain.';
COMMENT ON COLUMN history.deployment IS 'Deployment whose parameters are known.';
COMMENT ON COLUMN history.first_block IS 'First block of the span.';
COMMENT ON COLUMN history.last_block IS 'Last block of the span, included.';

CREATE TABLE day_start (
    chain_id bigint NOT NULL,
    day date NOT NULL,
    block_number bigint NOT NULL,
    PRIMARY KEY (chain_id, day)
);
COMMENT ON TABLE day_start IS 'The first block of each UTC day, final.';
COMMENT ON COLUMN day_start.chain_id IS 'Chain.';
COMMENT ON COLUMN day_start.day IS 'UTC day.';
COMMENT ON COLUMN day_start.block_number IS 'First block whose time is on or after the day''s start.';

CREATE TABLE endpoint_limit (
    endpoint text PRIMARY KEY,
    limits jsonb NOT NULL
);
COMMENT ON TABLE endpoint_limit IS 'What was learned of an endpoint''s eth_getLogs limits, so that they are not met twice.';
COMMENT ON COLUMN endpoint_limit.endpoint IS 'Fingerprint of the URL (a hash: no key can be read from it).';
COMMENT ON COLUMN endpoint_limit.limits IS 'max_blocks, max_logs, max_addresses where known.';
