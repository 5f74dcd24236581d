"""The benchmark itself: a tiny run is right; chain, node and truth agree with plain readings of the same logs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode, encode
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.ledger.embedded import EmbeddedPostgres

from . import endtoend
from .blocks import TAIL, Size
from .calls import AGGREGATE3, MULTICALL3
from .chain import BASE_BLOCK, Chain, Truth
from .http import Http
from .node import Node
from .terms import Refused, Terms
from .world import CHEF, FACTORY, KNOWN, NOBODY, POOL_CREATED, PPM, SUSHI, SWAP, TRANSFER, keccak, padded, pool_address

SMALL = Size(swaps=150, blocks=40, pools=6, seed=7)
Log = dict[str, Any]


@cache
def node() -> Node:
    return Node(Chain(SMALL))


@cache
def logs() -> list[Log]:
    """Every log of the small chain, as its JSON tells."""
    return list(json.loads(b"[" + node().rows.tobytes()[:-1] + b"]"))


def ask(asked: Node, method: str, *params: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 5, "method": method, "params": params}).encode()
    answer = json.loads(b"".join(asked.http(b"POST", body)))
    assert answer["id"] == 5
    return answer.get("result", answer.get("error"))


def wanted(log: Log, question: dict[str, Any]) -> bool:
    """The rule of eth_getLogs for one log, word for word."""
    first, last = (int(question[name], 16) for name in ("fromBlock", "toBlock"))
    address = question.get("address")
    addresses = [address] if isinstance(address, str) else address
    if not first <= int(log["blockNumber"], 16) <= last or (addresses and log["address"] not in addresses):
        return False
    topics = question.get("topics") or []
    if len(topics) > len(log["topics"]):
        return False
    options = [[one] if isinstance(one, str) else one for one in topics]
    return all(not values or log["topics"][at] in values for at, values in enumerate(options))


def some_of(values: list[str]) -> st.SearchStrategy[Any]:
    one = st.sampled_from(values)
    return st.none() | one | st.lists(one, max_size=3)


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    first = draw(st.integers(BASE_BLOCK - 2, BASE_BLOCK + SMALL.blocks + 2))
    last = first + draw(st.integers(0, SMALL.blocks))
    found: dict[str, Any] = {"fromBlock": hex(first), "toBlock": hex(last)}
    addresses = [*sorted({log["address"] for log in logs()}), "0x" + "ab" * 20]
    if draw(st.booleans()):
        found["address"] = draw(some_of(addresses))
    at = [sorted({log["topics"][n] for log in logs() if len(log["topics"]) > n}) for n in range(4)]
    if draw(st.booleans()):
        count = draw(st.integers(0, 4))
        found["topics"] = [draw(some_of([*at[n], "0x" + "cd" * 32])) for n in range(count)]
    return found


@settings(max_examples=300, deadline=None)
@given(questions())
def test_a_filter_finds_what_a_naive_one_finds(question: dict[str, Any]) -> None:
    """Same logs, same order, whatever is asked."""
    assert ask(node(), "eth_getLogs", question) == [log for log in logs() if wanted(log, question)]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10), st.integers(1, 60), questions())
def test_a_limited_node_offers_a_range_that_works(most_blocks: int, most_logs: int, question: dict[str, Any]) -> None:
    """A refused question, asked again as the refusal says, is answered unless one block alone is too much."""
    limited = Node.__new__(Node)
    limited.__dict__ |= node().__dict__ | {"_terms": Terms(most_blocks, most_logs)}
    for _ in range(2):
        try:
            places = limited.places(question)
        except Refused as refused:
            first, last = str(refused).split("[")[1].rstrip("]").split(", ")
            assert int(first, 16) == int(question["fromBlock"], 16)
            assert int(last, 16) <= int(question["toBlock"], 16)
            single = first == last
            question = question | {"toBlock": last}
        else:
            assert [logs()[at] for at in places] == [log for log in logs() if wanted(log, question)]
            return
    assert single or len(node().places(question)) <= most_logs


def test_the_truth_is_that_of_the_logs_read_one_by_one() -> None:
    """Fees and mints recomputed from the JSON with Python's integers alone."""
    pools: dict[str, tuple[tuple[str, str], int]] = {}
    fees: Counter[bytes] = Counter()
    swaps = minted = flows = 0
    for log in logs():
        topics, data = [bytes.fromhex(topic[2:]) for topic in log["topics"]], bytes.fromhex(log["data"][2:])
        if (topics[0], log["address"]) == (POOL_CREATED, "0x" + FACTORY.hex()):
            _, pool = decode(["int24", "address"], data)
            tokens = ("0x" + topics[1][12:].hex(), "0x" + topics[2][12:].hex())
            pools[pool] = (tokens, int.from_bytes(topics[3], "big"))
        elif topics[0] == SWAP and log["address"] in pools:
            amounts = decode(["int256", "int256", "uint160", "uint128", "int24"], data)[:2]
            side = 0 if amounts[0] > 0 else 1
            assert amounts[side] > 0 > amounts[1 - side]
            assert amounts[side] <= 1 << 90
            tokens, tier = pools[log["address"]]
            fee = amounts[side] * tier // PPM
            fees[bytes.fromhex(tokens[side][2:])] += fee
            swaps, flows = swaps + 1, flows + (fee > 0)
        elif topics == [TRANSFER, padded(NOBODY), padded(CHEF)] and log["address"] == "0x" + SUSHI.hex():
            minted += int.from_bytes(data, "big")
    told = node().chain.truth()
    assert told == Truth(swaps, flows, {token: fee for token, fee in fees.items() if fee}, minted)
    assert (told.swaps, len(pools)) == (SMALL.swaps, SMALL.pools)


def test_the_truth_of_a_part_counts_that_part() -> None:
    """Up to the block of the tenth swap there are at least ten, up to the block before fewer."""
    chain = node().chain
    last = chain.block_of_swap(10)
    assert chain.truth(last).swaps >= 10 > chain.truth(last - 1).swaps


def test_logs_are_placed_as_a_chain_places_them() -> None:
    """Order, indices without gaps, one hash a block and a transaction, and the times of the headers."""
    seen: dict[int, int] = {}
    places = [(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in logs()]
    assert places == sorted(set(places))
    for (block, index), log in zip(places, logs(), strict=True):
        assert index == seen.get(block, -1) + 1
        seen[block] = index
        header = ask(node(), "eth_getBlockByNumber", hex(block), False)
        assert (header["hash"], header["timestamp"]) == (log["blockHash"], log["blockTimestamp"])
    transactions = {(log["blockNumber"], log["transactionIndex"]): log["transactionHash"] for log in logs()}
    assert len(set(transactions.values())) == len(transactions)


def test_the_same_seed_makes_the_same_chain_and_another_one_another() -> None:
    rows = [Node(Chain(size)).rows.tobytes() for size in (SMALL, SMALL, replace(SMALL, seed=8))]
    assert rows[0] == rows[1] != rows[2]


def test_without_timestamps_logs_differ_in_nothing_else() -> None:
    plain = Node(Chain(SMALL), timed=False)
    told = json.loads(b"[" + plain.rows.tobytes()[:-1] + b"]")
    assert told == [{name: value for name, value in log.items() if name != "blockTimestamp"} for log in logs()]


def test_headers_follow_one_another_up_to_the_newest() -> None:
    """`latest` and `finalized` are blocks by number too, and nothing is beyond the newest."""
    newest, final = (ask(node(), "eth_getBlockByNumber", tag, False) for tag in ("latest", "finalized"))
    assert int(newest["number"], 16) == int(ask(node(), "eth_blockNumber"), 16) == node().chain.final + TAIL
    assert int(final["number"], 16) == node().chain.final
    after = ask(node(), "eth_getBlockByNumber", hex(node().chain.final + 1), False)
    assert after["parentHash"] == final["hash"]
    assert ask(node(), "eth_getBlockByNumber", hex(node().head + 1), False) is None


def test_a_pool_is_where_the_factory_puts_it() -> None:
    """Against a pool of the real chain: USDC/WETH 0.05 %."""
    weth, usdc = KNOWN[:2]
    assert pool_address(FACTORY, usdc, weth, 500).hex() == "88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"


def test_pools_and_tokens_answer_alone_and_through_multicall() -> None:
    """Multicall3 tells the same as single calls, with a failure where one reverts."""
    pool = node().chain.pools[0]
    asked = {name: keccak(name.encode())[:4] for name in ("factory()", "token0()", "token1()", "fee()", "symbol()")}
    alone = {
        name: ask(node(), "eth_call", {"to": _hex(pool.address), "data": _hex(data)}) for name, data in asked.items()
    }
    assert alone["symbol()"] == {"code": 3, "message": "execution reverted"}
    assert decode(["address"], bytes.fromhex(alone["factory()"][2:])) == (_hex(FACTORY),)
    question = encode(["(address,bool,bytes)[]"], [[(pool.address, True, data) for data in asked.values()]])
    answer = ask(node(), "eth_call", {"to": _hex(MULTICALL3), "data": _hex(AGGREGATE3 + question)}, "latest")
    (together,) = decode(["(bool,bytes)[]"], bytes.fromhex(answer[2:]))
    good = ["0x" + data.hex() for success, data in together if success]
    assert good == [alone[name] for name in asked if name != "symbol()"]
    assert ask(node(), "eth_call", {"to": "0x" + "ab" * 20, "data": "0x"}) == "0x"


class _Sink:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.sent = b""

    def writelines(self, pieces: list[bytes]) -> None:
        self.sent += b"".join(pieces)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_requests_are_answered_however_they_arrive(step: int) -> None:
    """A batch, a single request and a look at the counters over one connection, in pieces."""
    bodies = [b'[{"id":1,"method":"eth_chainId"},{"id":2,"method":"eth_nothing"}]', b'{"id":3,"method":"eth_chainId"}']
    posts = [b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body) for body in bodies]
    fresh, sink = Node(Chain(SMALL)), _Sink()
    connection = Http(fresh.http)
    connection.connection_made(sink)  # type: ignore[arg-type]
    whole = b"".join(posts) + b"GET /stats HTTP/1.1\r\n\r\n"
    for start in range(0, len(whole), step):
        connection.data_received(whole[start : start + step])
    heads_and_bodies = sink.sent.split(b"\r\n\r\n")
    assert len(heads_and_bodies) == 4
    assert b'"id":1,"result":"0x1"},' in sink.sent
    assert b'"id":2,"error":{"code":-32601' in sink.sent
    stats = json.loads(heads_and_bodies[-1])
    assert stats["requests"] == {"eth_chainId": 2, "eth_nothing": 1}
    assert (stats["posts"], stats["refused"]) == (2, 1)


def test_a_tiny_run_and_the_plain_way_are_right(server: EmbeddedPostgres) -> None:
    """2,000 swaps by `indexer up` and a tenth of them the plain way, from a grudging node: both are right."""
    grudging = ["--max-results=300", "--no-log-timestamp"]
    report = endtoend.main(["--swaps=2000", "--blocks=60", "--pools=12", "--runs=1", "--peer", *grudging], server)
    rows = {row.split("|")[1].strip(): row.split("|")[2].strip() for row in report.splitlines() if row.startswith("|")}
    figures = {name: int(value.replace(",", "")) for name, value in rows.items() if value.replace(",", "").isdigit()}
    assert figures["swaps"] == 2000
    assert figures["logs used"] == 2000 + 12 + 60 // 4
    assert figures["logs received"] > figures["logs used"]
    assert figures["requests refused"] >= 1
    assert figures["eth_getBlockByNumber"] >= 60 - 6
    assert "times the plain way's swaps/s" in report


def test_a_ledger_with_a_wrong_sum_is_refused() -> None:
    """The check can fail: one raw unit more, one flow less, or a token that should not be there."""
    truth = Truth(swaps=2, fee_flows=2, fees={b"a": 3, b"b": 1 << 90}, minted=0)
    rows = [{"token": b"a", "total": 3, "flows": 1}, {"token": b"b", "total": 1 << 90, "flows": 1}]
    endtoend._same_fees(rows, truth)
    for wrong in (
        [rows[0], rows[1] | {"total": (1 << 90) + 1}],
        [rows[0] | {"flows": 0}, rows[1]],
        [*rows, {"token": b"c", "total": 1, "flows": 0}],
        rows[:1],
    ):
        with pytest.raises(endtoend.Wrong):
            endtoend._same_fees(wrong, truth)


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()
