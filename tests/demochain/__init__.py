"""Makes the demo chain: real contracts on a local node, played from a seed and recorded."""
