"""Every provider text known to us becomes the right error with the right numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.chain.limits import Limits, tightest
from indexer.chain.refusals import (
    TEXTS,
    HistoryMissing,
    RangeTooWide,
    Reverted,
    TagUnsupported,
    TooRich,
    translate,
    translate_http,
)
from indexer.errors import EndpointBusy, EndpointFailed, EndpointUnusable, IndexerError, TooMuch

GET_LOGS = "eth_getLogs"
ALCHEMY_LONG = (
    "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the "
    "response size, or you can request any block range with a cap of 10K logs in the response. Based on your "
    "parameters and the response size limit, this block range should work: [0x0, 0xd043b8]"
)
ALCHEMY_FREE = (
    "You can make eth_getLogs requests with up to a 500 block range. Based on your parameters, this block range "
    "should work: [0x123c9b2, 0x123cba5]"
)
ALCHEMY_2026 = (
    "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block range. Based on your "
    "parameters, this block range should work: [0xa, 0x13]. Upgrade to PAYG for expanded block range."
)
BLAST_PLAN = "the range 55074203 - 55124202 exceeds the range allowed for your plan (49999 > 2000)."

# provider, code, message, expected class, expected attributes; one row per text of the fact sheet, then more
KNOWN: list[tuple[str, int | None, str, type[IndexerError], dict[str, Any]]] = [
    ("Alchemy", -32602, "this block range should work: [0x10, 0x2f]", TooMuch, {"suggested": (16, 47)}),
    (
        "Alchemy long",
        -32602,
        ALCHEMY_LONG,
        TooRich,
        {"max_logs": 10_000, "suggested": (0, 0xD043B8), "free_blocks": 2000},
    ),
    (
        "Alchemy free",
        -32600,
        ALCHEMY_FREE,
        RangeTooWide,
        {"max_blocks": 500, "suggested": (0x123C9B2, 0x123CBA5)},
    ),
    ("Alchemy 2020", None, "Log response size exceeded. Please reduce query block range.", TooMuch, {}),
    (
        "Infura",
        -32005,
        "query returned more than 10000 results. Try with this block range [0xBDE5F8, 0x102DBCC].",
        TooMuch,
        {"max_logs": 10_000, "suggested": (0xBDE5F8, 0x102DBCC)},
    ),
    ("Infura 2026", -32602, "range 1000000 exceeds limit of 10000", RangeTooWide, {"max_blocks": 10_000}),
    ("Infura time", -32005, "query duration exceeded", TooMuch, {"max_blocks": None}),
    ("zkSync", None, "Try with this block range [0x64, 0xc8]", TooMuch, {"suggested": (100, 200)}),
    ("QuickNode", -32614, "eth_getLogs is limited to a 10,000 range", RangeTooWide, {"max_blocks": 10_000}),
    ("QuickNode free", -32614, "eth_getLogs is limited to a 5 range", RangeTooWide, {"max_blocks": 5}),
    ("QuickNode rate", -32007, "50/second", EndpointBusy, {}),
    ("QuickNode plan", -32612, "upgrade", EndpointUnusable, {}),
    ("Ankr", None, "block range is too wide", RangeTooWide, {"max_blocks": None}),
    ("LlamaRPC", None, "query exceeds max results 20000", TooMuch, {"max_logs": 20_000}),
    ("Ankr TAC", None, "maximum [from, to] blocks distance: 10000", RangeTooWide, {"max_blocks": 10_000}),
    ("Ankr 2026", None, "the response holds more than 200,000 logs", TooMuch, {"max_logs": 200_000}),
    ("PublicNode", None, "exceed maximum block range: 50000", RangeTooWide, {"max_blocks": 50_000}),
    ("Cloudflare", None, "Max range: 800", RangeTooWide, {"max_blocks": 800}),
    ("1RPC", None, "eth_getLogs is limited to a 1000 blocks range", RangeTooWide, {"max_blocks": 1000}),
    ("1RPC size", None, "response size should not greater than 10000000 bytes", TooMuch, {"max_logs": None}),
    ("BlockPI", None, "eth_getLogs is limited to 1024 block range", RangeTooWide, {"max_blocks": 1024}),
    ("Blast", None, "eth_getLogs is limited to a 10,000 range", RangeTooWide, {"max_blocks": 10_000}),
    ("Blast plan", -32602, BLAST_PLAN, RangeTooWide, {"max_blocks": 2000}),
    ("Chainstack", None, "Block range limit exceeded.", RangeTooWide, {"max_blocks": None}),
    ("Coinbase", None, "please limit the query to at most 1000 blocks", RangeTooWide, {"max_blocks": 1000}),
    ("Base load", None, "no backend is currently healthy to serve traffic", EndpointFailed, {}),
    ("Optimism", None, "backend response too large", TooMuch, {}),
    ("Arbitrum", None, "logs matched by query exceeds limit of 10000", TooMuch, {"max_logs": 10_000}),
    (
        "Avalanche",
        None,
        "requested too many blocks from 1 to 3000, maximum is set to 2048",
        RangeTooWide,
        {"max_blocks": 2048},
    ),
    ("Avalanche head", None, "requested to block 12 after last accepted block 11", EndpointFailed, {}),
    ("head", None, "block range extends beyond current head block", EndpointFailed, {}),
    ("merkle.io", None, "eth_getLogs range is too large, max is 10k blocks", RangeTooWide, {"max_blocks": 10_000}),
    ("Thirdweb", None, "Maximum allowed number of requested blocks is 1000", RangeTooWide, {"max_blocks": 1000}),
    ("dRPC free", None, "ranges over 10000 blocks are not supported on freetier", RangeTooWide, {"max_blocks": 10_000}),
    ("dRPC", None, "ChainException: Unexpected error (code=40000)", EndpointFailed, {}),
    ("jsonrpsee", -32008, "Response is too big", TooMuch, {}),
    ("reth", None, "query exceeds max block range 100000", RangeTooWide, {"max_blocks": 100_000}),
    ("Hyperliquid", None, "query exceeds max block range 50", RangeTooWide, {"max_blocks": 50}),
    ("Altitude", None, "allowed block range threshold exceeded", RangeTooWide, {"max_blocks": None}),
    ("eRPC", -32012, "request exceeded max allowed range", RangeTooWide, {"max_blocks": None}),
    ("Swell", None, "block range greater than 2000 max", RangeTooWide, {"max_blocks": 2000}),
    ("Somnia", None, "block range exceeds 1000", RangeTooWide, {"max_blocks": 1000}),
    ("Harmony", None, "query must be smaller than size 1024", RangeTooWide, {"max_blocks": 1024}),
    ("Moonbeam", None, "block range is too wide (maximum 1024)", RangeTooWide, {"max_blocks": 1024}),
    ("Aurora", None, "up to a 2000 block range", RangeTooWide, {"max_blocks": 2000}),
    ("Monad", None, "block range too large", RangeTooWide, {"max_blocks": None}),
    ("Tron", None, "exceed max block range: 5000", RangeTooWide, {"max_blocks": 5000}),
    ("Polygon zkEVM", None, "query returned more than 10000 results", TooMuch, {"max_logs": 10_000}),
    ("BNB dataseed", -32005, "limit exceeded", EndpointUnusable, {}),
    ("BNB 2022", -32000, "exceed maximum block range: 5000", RangeTooWide, {"max_blocks": 5000}),
    ("addresses", None, "please specify less number of address", TooMuch, {"too_many_addresses": True}),
    (
        "geth",
        None,
        "exceed max addresses or topics per search position",
        TooMuch,
        {"too_many_addresses": True, "max_addresses": None},
    ),
    (
        "Infura filters",
        None,
        "This query contains 6000 filters. The current limit is 5000.",
        TooMuch,
        {"too_many_addresses": True, "max_addresses": 5000},
    ),
    ("generic", None, "retry with the range 1000-1999", TooMuch, {"suggested": (1000, 1999)}),
    ("rate", 429, "Too many requests, please slow down", EndpointBusy, {}),
    ("billing", 402, "Monthly capacity limit exceeded.", EndpointUnusable, {}),
    ("tags", None, "finalized block not found", TagUnsupported, {}),
    ("graph-node", -32005, "", TooMuch, {}),
    # not in the fact sheet, or another wording of it
    ("Alchemy 2026", -32600, ALCHEMY_2026, RangeTooWide, {"max_blocks": 10, "suggested": (10, 19)}),
    ("inverted", None, "Try with this block range [0xc8, 0x64]", TooMuch, {"suggested": (100, 200)}),
    ("rate", -32000, "rate limit exceeded: block range too large", EndpointBusy, {}),
    ("rate", -32000, "daily request count exceeded, request rate limited", EndpointBusy, {}),
    ("rate", -32000, "Exceeded the quota usage", EndpointBusy, {}),
    ("rate", -32000, "50/second request limit reached - reduce calls per second", EndpointBusy, {}),
    ("rate", -32005, "daily limit exceeded for key", EndpointBusy, {}),
    ("tags", -32602, "safe block not found", TagUnsupported, {}),
    ("tags", -32602, "'finalized' is not a supported commitment level", TagUnsupported, {}),
    ("tags", -32602, "malformed blocknumber", TagUnsupported, {}),
    ("EIP-4444", 4444, "Pruned history unavailable", HistoryMissing, {"may_be_behind": False}),
    ("geth", -32000, "missing trie node 8ab1 (path ) state 0x8ab1 is not available", HistoryMissing, {}),
    ("pruned", -32000, "history has been pruned for this block", HistoryMissing, {}),
    ("pruned", -32000, "header not found", HistoryMissing, {"may_be_behind": True}),
    ("pruned", -32000, "state 0xabc is not available", HistoryMissing, {"may_be_behind": False}),
    ("anvil", -32602, "BlockOutOfRangeError: block height is 10 but requested was 20", EndpointFailed, {}),
    ("unknown method", -32601, "Method not found", EndpointUnusable, {}),
    ("unknown method", -32601, "the method eth_getLogs does not exist/is not available", EndpointUnusable, {}),
    ("unknown", -32000, "something else", EndpointFailed, {}),
]


@pytest.mark.parametrize(
    ("code", "message", "kind", "numbers"), [row[1:] for row in KNOWN], ids=[row[0] for row in KNOWN]
)
def test_each_text_gets_its_class_and_its_numbers(
    code: int | None, message: str, kind: type[IndexerError], numbers: dict[str, Any]
) -> None:
    found = translate(GET_LOGS, {"code": code, "message": message}, 200)
    assert type(found) is kind
    assert {name: getattr(found, name) for name in numbers} == numbers
    assert str(found).startswith("eth_getLogs was refused (")
    assert str(found).endswith(".")


def test_the_fact_sheet_holds_no_text_that_this_table_leaves_out() -> None:
    sheet = Path(__file__).parents[3] / "shared" / "facts" / "chains.json"
    if not sheet.exists():
        pytest.skip("the fact sheet is not beside this checkout")
    texts = [row["match"] for row in json.loads(sheet.read_text())["getlogs_errors"]]
    assert len(texts) == 58
    # `N` stands for a number there; what remains are codes without a text, and a text that was not published
    concrete = [re.sub(r"\bN\b", "1000", text).replace("a 5 range (", "a 5 range") for text in texts]
    unknown = [text for text in concrete if not any(row.pattern.search(text) for row in TEXTS)]
    assert [text for text in unknown if not re.search(r"^code -32\d+ / -32\d+$|ServerError|not given", text)] == []


@pytest.mark.parametrize(
    ("message", "data", "kind", "numbers"),
    [
        ("Invalid params", {"range": BLAST_PLAN}, RangeTooWide, {"max_blocks": 2000}),
        ("Response is too big", "Exceeded max limit of 167772160", TooMuch, {}),
        (
            "query returned more than 10000 results",
            {"from": "0x64", "limit": 10000, "to": "0xc8"},
            TooMuch,
            {"suggested": (100, 200), "max_logs": 10_000},
        ),
        ("query returned more than 10000 results", {"from": "0xc8", "to": "0x64"}, TooMuch, {"suggested": (100, 200)}),
        ("query returned more than 10000 results", {"from": "x", "to": None}, TooMuch, {"suggested": None}),
        ("project ID request rate exceeded", {"rate": {"backoff_seconds": 30}}, EndpointBusy, {"retry_after": 30}),
    ],
)
def test_what_stands_in_data_counts(
    message: str, data: object, kind: type[IndexerError], numbers: dict[str, Any]
) -> None:
    found = translate(GET_LOGS, {"code": -32602, "message": message, "data": data}, 200)
    assert type(found) is kind
    assert {name: getattr(found, name) for name in numbers} == numbers


def test_limit_exceeded_disables_getlogs_only() -> None:
    error = {"code": -32005, "message": "limit exceeded"}
    assert type(translate(GET_LOGS, error, 200)) is EndpointUnusable
    assert type(translate("eth_chainId", error, 200)) is EndpointBusy


@pytest.mark.parametrize(
    "message", ["execution reverted: STF", "VM execution error", "out of gas", "invalid opcode: 0xfe"]
)
def test_a_refusal_by_the_contract_is_an_answer(message: str) -> None:
    assert type(translate("eth_call", {"code": -32000, "message": message}, 200)) is Reverted
    assert type(translate("eth_call", {"code": 3, "message": ""}, 200)) is Reverted
    assert type(translate(GET_LOGS, {"code": 3, "message": ""}, 200)) is EndpointFailed


def test_a_heavy_answer_of_another_method_is_not_about_ranges() -> None:
    found = translate("eth_getBlockByNumber", {"code": -32008, "message": "Response is too big"}, 200)
    assert type(found) is EndpointFailed


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "eth_getLogs is limited to a 10,000 range", RangeTooWide),
        (400, "", EndpointFailed),
        (401, "", EndpointUnusable),
        (402, "", EndpointUnusable),
        (403, "", EndpointUnusable),
        (403, "<html>timeout</html>", EndpointUnusable),
        (403, "You are being rate limited", EndpointBusy),
        (404, "<html>range too large</html>", EndpointFailed),
        (413, "", TooMuch),
        (413, "eth_getLogs is limited to a 5 range", RangeTooWide),
        (429, "", EndpointBusy),
        (429, "<html>", EndpointBusy),
        (500, "range too large", EndpointFailed),
        (503, "<html>Service Unavailable</html>", EndpointFailed),
        (200, "<html>range too large</html>", EndpointFailed),
        (200, "Too many requests", EndpointBusy),
        (301, "", EndpointFailed),
    ],
)
def test_without_a_json_error_the_status_decides(status: int, body: str, kind: type[IndexerError]) -> None:
    assert type(translate_http(GET_LOGS, status, body)) is kind


def test_413_is_about_logs_only_for_getlogs() -> None:
    assert type(translate_http("eth_chainId", 413, "")) is EndpointFailed


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.sampled_from(["code", "message", "data"]), json_values),
    st.integers(100, 599),
    st.sampled_from([GET_LOGS, "eth_call", "batch"]),
)
def test_any_error_object_becomes_one_typed_sentence(error: dict[str, object], status: int, method: str) -> None:
    found = translate(method, error, status)
    assert isinstance(found, IndexerError)
    assert str(found).isprintable()
    assert len(str(found)) < 600


@given(st.text(max_size=200), st.integers(100, 599))
def test_any_body_becomes_one_typed_sentence(body: str, status: int) -> None:
    assert str(translate_http(GET_LOGS, status, body)).isprintable()


def test_limits_take_over_what_is_named() -> None:
    limits = Limits()
    limits.learn(TooMuch("", max_blocks=2000, max_logs=10_000), 50_000, 3)
    assert limits == Limits(2000, 10_000, None)


def test_a_limit_that_the_refused_question_kept_is_lowered_below_it() -> None:
    limits = Limits()
    limits.learn(RangeTooWide("", max_blocks=1000), 1000, 1)
    assert limits.max_blocks == 999
    limits.learn(RangeTooWide("", max_blocks=1000), 1, 1)
    assert limits.max_blocks == 1


def test_of_an_unnamed_limit_it_is_known_what_was_refused() -> None:
    limits = Limits()
    limits.learn(RangeTooWide(""), 5000, 1)
    limits.learn(RangeTooWide(""), 6000, 1)
    limits.learn(TooMuch("", too_many_addresses=True), 5000, 600)
    limits.learn(TooMuch(""), 100, 1)
    assert limits == Limits(max_addresses=300, refused_blocks=5000)
    assert limits.blocks == 2500
    assert Limits(7, refused_blocks=5000).blocks == 7
    assert Limits().blocks is None


@pytest.mark.parametrize(("asked", "guess"), [(4000, 1000), (1001, 1000), (1000, 500), (9000, 4500)])
def test_many_addresses_refused_are_taken_for_geths_thousand(asked: int, guess: int) -> None:
    limits = Limits()
    limits.learn(TooMuch("", too_many_addresses=True), 10, asked)
    assert limits.max_addresses == guess


def test_short_ranges_without_a_limit_on_logs_are_believed_until_one_is_refused() -> None:
    """Alchemy's words: up to 2,000 blocks any number of logs, else 10,000 logs."""
    refusal = translate(GET_LOGS, {"code": -32602, "message": ALCHEMY_LONG}, 200)
    assert isinstance(refusal, TooRich)
    limits = Limits()
    limits.learn(refusal, 5000, 1)
    assert limits.free_blocks == 2000
    limits.learn(refusal, 1500, 1)
    limits.learn(refusal, 5000, 1)
    assert limits.free_blocks == 0
    assert Limits.from_dict(limits.as_dict()) == Limits(max_logs=10_000)


def test_limits_survive_being_kept_and_nonsense_is_unknown() -> None:
    assert Limits.from_dict(Limits(5, 6, 7).as_dict()) == Limits(5, 6, 7)
    assert Limits.from_dict({"max_blocks": -1, "max_logs": "5", "max_addresses": True, "url": "x"}) == Limits()


def test_the_tightest_of_several_limits_holds_for_all() -> None:
    assert tightest([Limits(5, None, None), Limits(3, 9, None), Limits()]) == Limits(3, 9, None)
    assert tightest([]) == Limits()
    free = Limits(max_logs=9, free_blocks=5)
    assert tightest([free, Limits(), Limits(max_logs=10, free_blocks=4)]) == Limits(max_logs=9, free_blocks=4)
    assert tightest([free, Limits(max_logs=10)]) == Limits(max_logs=9)
