-- What status shows: what each range cost its endpoint, the final head as last seen, what the last run set out to read.

ALTER TABLE range ADD COLUMN requests bigint, ADD COLUMN octets bigint;
COMMENT ON COLUMN range.requests IS 'Calls that reading the range took, each item of a batch as one; NULL where they were not counted.';
COMMENT ON COLUMN range.octets IS 'Octets of the answers to those calls, decompressed; NULL where they were not counted.';

ALTER TABLE chain ADD COLUMN final_block bigint, ADD COLUMN final_time timestamptz, ADD COLUMN final_seen_at timestamptz;
COMMENT ON COLUMN chain.final_block IS 'The last final block that a run has seen; NULL before the first run.';
COMMENT ON COLUMN chain.final_time IS 'Time of that block, UTC.';
COMMENT ON COLUMN chain.final_seen_at IS 'When it was seen.';

CREATE TABLE goal (
    chain_id bigint NOT NULL,
    deployment text NOT NULL,
    first_block bigint NOT NULL,
    last_block bigint NOT NULL,
    PRIMARY KEY (chain_id, deployment)
);
COMMENT ON TABLE goal IS 'What the last run set out to read: coverage is measured against it.';
COMMENT ON COLUMN goal.chain_id IS 'Chain.';
COMMENT ON COLUMN goal.deployment IS 'Deployment.';
COMMENT ON COLUMN goal.first_block IS 'First block wanted.';
COMMENT ON COLUMN goal.last_block IS 'Last block wanted, included; a run without an end moves it on with the final head.';
