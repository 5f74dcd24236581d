-- Real and synthetic yield of each closed day, through every lens.
CREATE OR REPLACE VIEW yield_lens_daily AS
SELECT
    l.lens,
    d.day,
    c.name AS chain,
    d.protocol,
    sum(d.usd) FILTER (WHERE l.bucket = 'real') AS real_usd,
    sum(d.usd) FILTER (WHERE l.bucket = 'synthetic') AS synthetic_usd,
    sum(d.usd) FILTER (WHERE l.bucket = 'real' AND d.side = 'supply') AS real_supply_usd,
    sum(d.usd) FILTER (WHERE l.bucket = 'synthetic' AND d.side = 'supply') AS synthetic_supply_usd,
    sum(d.unpriced) AS unpriced
FROM protocol_part AS d
JOIN chain AS c USING (chain_id)
JOIN LATERAL (
    -- One rule a lens: the most particular one that fits, so that a lens may except a protocol or a source.
    SELECT DISTINCT ON (lens.lens) lens.lens, lens.bucket
    FROM lens
    WHERE lens.kind = d.kind
        AND (lens.source IS NULL OR lens.source = d.source)
        AND (lens.side IS NULL OR lens.side = d.side)
        AND (lens.basis IS NULL OR lens.basis = d.basis)
        AND (lens.protocol IS NULL OR lens.protocol = d.protocol)
    ORDER BY lens.lens, (lens.protocol IS NULL), (lens.source IS NULL), (lens.side IS NULL), (lens.basis IS NULL)
) AS l ON true
GROUP BY l.lens, d.day, c.name, d.protocol;

COMMENT ON VIEW yield_lens_daily IS 'One row per lens, closed day, chain and protocol: what the lens calls real and synthetic. A kind without flows has no part in a sum.';
COMMENT ON COLUMN yield_lens_daily.lens IS 'Lens, see table lens.';
COMMENT ON COLUMN yield_lens_daily.day IS 'UTC day.';
COMMENT ON COLUMN yield_lens_daily.chain IS 'Chain, by name.';
COMMENT ON COLUMN yield_lens_daily.protocol IS 'Protocol.';
COMMENT ON COLUMN yield_lens_daily.real_usd IS 'Dollars of flows the lens calls real.';
COMMENT ON COLUMN yield_lens_daily.synthetic_usd IS 'Dollars of flows the lens calls synthetic.';
COMMENT ON COLUMN yield_lens_daily.real_supply_usd IS 'The part of real_usd that goes to the supply side.';
COMMENT ON COLUMN yield_lens_daily.synthetic_supply_usd IS 'The part of synthetic_usd that goes to the supply side.';
COMMENT ON COLUMN yield_lens_daily.unpriced IS 'Flows without a price.';
