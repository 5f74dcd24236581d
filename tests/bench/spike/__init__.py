"""Spike: ways from eth_getLogs answers of Uniswap v3 Swap logs to fee flows in Postgres, measured side by side.

Run it with `python -m tests.bench.spike --logs 100000`; `--help` lists the parts.
"""
