"""A self-hosted on-chain indexer for real yield."""
