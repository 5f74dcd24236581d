"""The plain way to the same fees: web3.py and asyncpg as their manuals show them, one log at a time.

`python -m tests.bench.plain RPC_URL DATABASE_URL FIRST LAST` fills the table plain_flow. It keeps no digest, asks no
token for its symbol, closes no day and does not watch for other factories' pools: it does less than the indexer.
"""

from __future__ import annotations

import sys
from typing import Any

import asyncpg
import uvloop
from eth_typing import ChecksumAddress
from web3 import AsyncHTTPProvider, AsyncWeb3

from .world import FACTORY, POOL_CREATED, PPM, SWAP

BLOCKS_AT_ONCE = 400  # about 10,000 swaps
TABLE = """
CREATE TABLE plain_flow (
    block_number bigint, log_index int, block_time timestamptz, tx_hash bytea, contract bytea, token bytea,
    amount numeric(78, 0), PRIMARY KEY (block_number, log_index))
"""
INSERT = "INSERT INTO plain_flow VALUES ($1, $2, to_timestamp($3), $4, $5, $6, $7) ON CONFLICT DO NOTHING"


def _event(name: str, *inputs: tuple[str, str, bool]) -> dict[str, Any]:
    parts = [{"name": name, "type": kind, "indexed": indexed} for name, kind, indexed in inputs]
    return {"type": "event", "name": name, "anonymous": False, "inputs": parts}


ABI = [
    _event(
        "PoolCreated",
        ("token0", "address", True),
        ("token1", "address", True),
        ("fee", "uint24", True),
        ("tickSpacing", "int24", False),
        ("pool", "address", False),
    ),
    _event(
        "Swap",
        ("sender", "address", True),
        ("recipient", "address", True),
        ("amount0", "int256", False),
        ("amount1", "int256", False),
        ("sqrtPriceX96", "uint160", False),
        ("liquidity", "uint128", False),
        ("tick", "int24", False),
    ),
]
Made = dict[ChecksumAddress, tuple[bytes, bytes, int]]  # token0, token1, tier by pool


async def pools(web3: AsyncWeb3[Any], first: int, last: int) -> Made:
    """The pools that the factory announced."""
    event = web3.eth.contract(abi=ABI).events.PoolCreated()
    address = web3.to_checksum_address(FACTORY)
    logs = await web3.eth.get_logs(
        {"fromBlock": first, "toBlock": last, "address": address, "topics": ["0x" + POOL_CREATED.hex()]}
    )
    found = [event.process_log(log)["args"] for log in logs]
    return {one["pool"]: (_octets(one["token0"]), _octets(one["token1"]), one["fee"]) for one in found}


async def rows(web3: AsyncWeb3[Any], known: Made, first: int, last: int) -> list[tuple[Any, ...]]:
    """The fees of all swaps in some blocks."""
    event = web3.eth.contract(abi=ABI).events.Swap()
    logs = await web3.eth.get_logs(
        {"fromBlock": first, "toBlock": last, "address": list(known), "topics": ["0x" + SWAP.hex()]}
    )
    made = []
    for log in logs:
        args = event.process_log(log)["args"]
        token0, token1, tier = known[log["address"]]
        token, paid = (token0, args["amount0"]) if args["amount0"] > 0 else (token1, args["amount1"])
        fee = paid * tier // PPM
        if fee > 0:
            place = (log["blockNumber"], log["logIndex"], await time_of(web3, log))
            made.append((*place, bytes(log["transactionHash"]), _octets(log["address"]), token, fee))
    return made


async def time_of(web3: AsyncWeb3[Any], log: Any) -> float:
    """UTC seconds: the log's own, or its block's where the node's logs carry none."""
    told = log.get("blockTimestamp")
    if told is None:
        told = (await web3.eth.get_block(log["blockNumber"]))["timestamp"]
    return float(told if isinstance(told, int) else int(told, 16))


async def main(rpc: str, database: str, first: int, last: int) -> None:
    """Reads the blocks in turn and stores what they hold."""
    web3 = AsyncWeb3(AsyncHTTPProvider(rpc))
    db = await asyncpg.connect(database)
    await db.execute(TABLE)
    known = await pools(web3, first, last)
    for start in range(first, last + 1, BLOCKS_AT_ONCE):
        made = await rows(web3, known, start, min(last, start + BLOCKS_AT_ONCE - 1))
        async with db.transaction():
            await db.executemany(INSERT, made)
    await db.close()
    await web3.provider.disconnect()


def _octets(address: str) -> bytes:
    return bytes.fromhex(address[2:])


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
