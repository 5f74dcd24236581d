"""The demo node answers as a real node would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from indexer.demo.recording import Filter, load
from indexer.demo.server import MULTICALL3, demo_node
from tests.demochain.node import calldata

SWAP = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
SWITCHED = "0x" + keccak(text="SetFeeProtocol(uint8,uint8,uint8,uint8)").hex()
NOBODY = "0x" + "11" * 20
CHAIN = load()
POOLS = CHAIN.contracts["pools"]
ALL_LOGS: list[dict[str, Any]] = msgspec.json.decode(CHAIN.logs(Filter(0, CHAIN.head)))


class Client:
    """Asks the demo node over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session, self.url = session, url

    async def post(self, body: bytes) -> Any:
        async with self.session.post(self.url, data=body) as answer:
            assert answer.status == 200
            return await answer.json()

    async def answer(self, method: str, *params: Any) -> dict[str, Any]:
        asked = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
        told = await self.post(msgspec.json.encode(asked))
        assert (told["jsonrpc"], told["id"]) == ("2.0", 7)
        return dict(told)

    async def ask(self, method: str, *params: Any) -> Any:
        return (await self.answer(method, *params))["result"]

    async def error(self, method: str, *params: Any) -> tuple[int, str]:
        error = (await self.answer(method, *params))["error"]
        return error["code"], error["message"]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with demo_node() as url, aiohttp.ClientSession() as session:
        yield Client(session, url)


def naive(wanted: Filter) -> list[dict[str, Any]]:
    """eth_getLogs written down from its specification."""

    def fits(log: dict[str, Any]) -> bool:
        if not wanted.first <= int(log["blockNumber"], 16) <= wanted.last:
            return False
        if wanted.addresses is not None and log["address"] not in wanted.addresses:
            return False
        if len(log["topics"]) < len(wanted.topics):
            return False
        pairs = zip(wanted.topics, log["topics"], strict=False)
        return all(allowed is None or topic in allowed for allowed, topic in pairs)

    return [log for log in ALL_LOGS if fits(log)]


blocks_ = st.integers(0, CHAIN.head)
addresses = st.none() | st.frozensets(st.sampled_from([*POOLS.values(), *CHAIN.contracts["tokens"].values(), NOBODY]))
alternatives = st.none() | st.frozensets(st.sampled_from([SWAP, TRANSFER, *ALL_LOGS[5000]["topics"], "0x" + "00" * 32]))


@given(blocks_, blocks_, addresses, st.lists(alternatives, max_size=4))
def test_filters_find_what_a_plain_scan_finds(
    one: int, other: int, emitters: frozenset[str] | None, topics: list[frozenset[str] | None]
) -> None:
    wanted = Filter(min(one, other), max(one, other), emitters, tuple(topics))
    assert msgspec.json.decode(CHAIN.logs(wanted)) == naive(wanted)


async def test_it_introduces_itself_and_listens_on_loopback_only(client: Client) -> None:
    assert client.url.startswith("http://127.0.0.1:")
    assert await client.ask("eth_chainId") == hex(31337)
    assert await client.ask("net_version") == "31337"
    assert await client.ask("eth_blockNumber") == hex(CHAIN.head)
    assert await client.ask("web3_clientVersion") == "real-yield-demo/1"


@pytest.mark.parametrize("tag", ["latest", "finalized", "safe"])
async def test_every_block_is_final(client: Client, tag: str) -> None:
    block = await client.ask("eth_getBlockByNumber", tag, False)
    assert int(block["number"], 16) == CHAIN.head
    assert await client.ask("eth_getBlockByHash", block["hash"], False) == block


async def test_blocks_that_do_not_exist_are_null(client: Client) -> None:
    assert (await client.ask("eth_getBlockByNumber", "earliest", False))["number"] == "0x0"
    assert await client.ask("eth_getBlockByNumber", hex(CHAIN.head + 1), False) is None
    assert await client.ask("eth_getBlockByHash", "0x" + "00" * 32, False) is None


async def test_logs_are_found_by_range_and_by_block_hash(client: Client) -> None:
    block = CHAIN.block(400)
    by_number = await client.ask("eth_getLogs", {"fromBlock": "0x190", "toBlock": "0x190"})
    assert by_number == await client.ask("eth_getLogs", {"blockHash": block["hash"]})
    assert by_number == [log for log in ALL_LOGS if log["blockNumber"] == "0x190"] != []


async def test_one_address_may_stand_alone_and_in_any_case(client: Client) -> None:
    pool = POOLS["usdc_weth_500"]
    alone = {"fromBlock": "0x0", "toBlock": "latest", "address": pool.upper().replace("X", "x"), "topics": [SWAP]}
    listed = {"fromBlock": "0x0", "toBlock": "latest", "address": [pool], "topics": [[SWAP.upper().replace("X", "x")]]}
    found = await client.ask("eth_getLogs", alone)
    assert found == await client.ask("eth_getLogs", listed)
    assert len(found) > 2000


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"fromBlock": "0x5", "toBlock": "0x4"}, -32000),
        ({"fromBlock": "0x0", "toBlock": hex(CHAIN.head + 1)}, -32602),
        ({"blockHash": "0x" + "00" * 32}, -32000),
        ({"fromBlock": "soon"}, -32602),
        ("everything", -32602),
    ],
)
async def test_impossible_log_questions_are_errors(client: Client, asked: Any, code: int) -> None:
    assert (await client.error("eth_getLogs", asked))[0] == code


async def call(client: Client, to: str, data: str, block: str = "latest") -> Any:
    return await client.ask("eth_call", {"to": to, "data": data}, block)


async def test_slot0_shows_the_fee_switch_as_of_the_block(client: Client) -> None:
    """Day 5 turned it to 4 and 4, day 9 to 6 and 10."""
    changes = [log for log in ALL_LOGS if log["address"] == POOLS["usdc_weth_3000"] and log["topics"][0] == SWITCHED]
    first, second = (int(log["blockNumber"], 16) for log in changes)
    seen = []
    for number in (first - 1, first, second - 1, second, CHAIN.head):
        answer = await call(client, POOLS["usdc_weth_3000"], calldata("slot0()"), hex(number))
        seen.append(int(answer[2:][64 * 5 : 64 * 6], 16))
    assert seen == [0, 4 | 4 << 4, 4 | 4 << 4, 6 | 10 << 4, 6 | 10 << 4]


async def test_pools_tell_which_factory_made_them(client: Client) -> None:
    for name, pool in POOLS.items():
        (factory,) = decode(["address"], bytes.fromhex((await call(client, pool, calldata("factory()")))[2:]))
        assert factory == CHAIN.contracts["fork_factory" if name.startswith("fork") else "factory"]


async def test_a_revert_has_code_3_and_an_account_without_code_answers_nothing(client: Client) -> None:
    usdc = CHAIN.contracts["tokens"]["usdc"]
    assert await client.error("eth_call", {"to": usdc, "data": "0xdeadbeef"}, "latest") == (3, "execution reverted")
    assert await call(client, NOBODY, "0xdeadbeef") == "0x"
    assert await call(client, usdc, calldata("decimals()"), "0x0") == "0x"
    assert await client.ask("eth_getCode", usdc, "0x0") == "0x"
    assert await client.ask("eth_getCode", usdc, "latest") != "0x"
    assert (await client.error("eth_call", {"to": usdc, "data": "0x"}, hex(CHAIN.head + 1)))[0] == -32000


async def aggregate(client: Client, calls: list[tuple[str, bool, bytes]]) -> dict[str, Any]:
    data = "0x82ad56cb" + encode(["(address,bool,bytes)[]"], [calls]).hex()
    return await client.answer("eth_call", {"to": MULTICALL3.upper().replace("X", "x"), "input": data}, "latest")


async def test_multicall_is_the_single_calls_taken_together(client: Client) -> None:
    asked = [(token, calldata(what)) for token in CHAIN.contracts["tokens"].values() for what in ("symbol()", "name()")]
    answer = await aggregate(client, [(to, True, bytes.fromhex(data[2:])) for to, data in asked])
    (results,) = decode(["(bool,bytes)[]"], bytes.fromhex(answer["result"][2:]))
    for (to, data), (good, octets) in zip(asked, results, strict=True):
        single = await client.answer("eth_call", {"to": to, "data": data}, "latest")
        assert single.get("result") == ("0x" + octets.hex() if good else None)
    assert sum(not good for good, _ in results) == 2  # the token without name and symbol


async def test_multicall_reverts_where_a_call_may_not_fail(client: Client) -> None:
    answer = await aggregate(client, [(CHAIN.contracts["tokens"]["junk"], False, b"\x95\xd8\x9b\x41")])
    assert answer["error"]["code"] == 3


async def test_symbols_come_as_string_as_bytes32_and_hostile(client: Client) -> None:
    tokens = CHAIN.contracts["tokens"]
    answers = {name: bytes.fromhex((await call(client, tokens[name], "0x95d89b41"))[2:]) for name in ("old", "evil")}
    assert answers["old"] == b"OLD".ljust(32, b"\0")
    (symbol,) = decode(["string"], answers["evil"])
    assert symbol == "<script>alert(1)</script>'; DROP TABLE flow;--\u202e\0"


async def test_batches_are_answered_in_order_item_by_item(client: Client) -> None:
    methods = ("eth_chainId", "eth_mine", "eth_blockNumber")
    asked = [{"jsonrpc": "2.0", "id": number, "method": method} for number, method in enumerate(methods)]
    answers = await client.post(msgspec.json.encode(asked))
    assert [answer["id"] for answer in answers] == [0, 1, 2]
    assert [answer.get("result") for answer in answers] == ["0x7a69", None, hex(CHAIN.head)]
    assert answers[1]["error"]["code"] == -32601


@pytest.mark.parametrize(("body", "code"), [(b"{", -32700), (b"[]", -32600), (b"3", -32600), (b'{"id":1}', -32600)])
async def test_what_is_no_request_is_refused(client: Client, body: bytes, code: int) -> None:
    assert (await client.post(body))["error"]["code"] == code


async def test_parameters_of_the_wrong_shape_are_refused(client: Client) -> None:
    assert (await client.error("eth_call"))[0] == -32602
    assert (await client.error("eth_getBlockByNumber", 7, False))[0] == -32602
    assert (await client.error("eth_getBlockByNumber", "latest", True))[0] == -32602
