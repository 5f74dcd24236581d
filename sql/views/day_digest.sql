-- What tells whether two ledgers hold the same flows of a day.
CREATE OR REPLACE VIEW day_digest AS
SELECT
    d.day,
    c.name AS chain,
    p.protocol,
    d.deployment,
    p.family,
    p.family_version,
    p.manifest_digest,
    d.blocks_held,
    d.blocks,
    d.flows,
    d.digest
FROM deployment_day AS d
JOIN deployment AS p USING (chain_id, deployment)
JOIN chain AS c USING (chain_id);

COMMENT ON VIEW day_digest IS 'Closed days of each deployment with the digest of their flows and what it may be compared at: two ledgers hold the same flows where these rows are equal.';
COMMENT ON COLUMN day_digest.day IS 'UTC day.';
COMMENT ON COLUMN day_digest.chain IS 'Chain, by name.';
COMMENT ON COLUMN day_digest.protocol IS 'Protocol.';
COMMENT ON COLUMN day_digest.deployment IS 'Deployment.';
COMMENT ON COLUMN day_digest.family IS 'Family whose rules read it.';
COMMENT ON COLUMN day_digest.family_version IS 'Version of those rules.';
COMMENT ON COLUMN day_digest.manifest_digest IS 'sha256 of what decides its flows: chain, family, start block, contracts.';
COMMENT ON COLUMN day_digest.blocks_held IS 'Final blocks of the day that were read.';
COMMENT ON COLUMN day_digest.blocks IS 'Blocks of the day from the deployment''s start on.';
COMMENT ON COLUMN day_digest.flows IS 'Number of flows.';
COMMENT ON COLUMN day_digest.digest IS 'Sum mod 2^256 of sha256 over each flow''s natural columns; 32 octets of zero without flows.';
