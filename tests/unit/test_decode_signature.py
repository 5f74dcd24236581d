"""Signatures are compiled as Solidity would, and mistakes in them are named."""

import pytest
from eth_abi.grammar import normalize
from eth_utils.abi import event_signature_to_log_topic, function_signature_to_4byte_selector
from hypothesis import given
from hypothesis import strategies as st

from indexer.decode import Event, Function, Param, parse_event, parse_function
from indexer.decode.signature import canonical_type, parse_type

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
SWAP = (
    "event Swap(address indexed sender, address indexed recipient, int256 amount0, int256 amount1, "
    "uint160 sqrtPriceX96, uint128 liquidity, int24 tick);"
)
POOL_CREATED = (
    "PoolCreated(address indexed token0, address indexed token1, uint24 indexed fee, int24 tickSpacing, address pool)"
)


@pytest.mark.parametrize(
    ("text", "topic0"),
    [
        (TRANSFER, "ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"),
        (SWAP, "c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"),
        (POOL_CREATED, "783cca1c0412dd0d695e784568c96da2e9c22ff989357a2e8b1d9b2b4e6b7118"),
    ],
)
def test_topic0_of_events_everybody_knows(text: str, topic0: str) -> None:
    assert parse_event(text).topic0.hex() == topic0


def test_an_event_knows_its_parameters() -> None:
    event = parse_event(SWAP)
    assert event.name == "Swap"
    assert event.canonical == "Swap(address,address,int256,int256,uint160,uint128,int24)"
    assert [param.name for param in event.indexed] == ["sender", "recipient"]
    assert [param.name for param in event.plain] == ["amount0", "amount1", "sqrtPriceX96", "liquidity", "tick"]
    assert event.topic_count == 3


def test_tuples_arrays_aliases_and_missing_names() -> None:
    event = parse_event("Filled((uint a, address b)[] indexed orders, tuple(int, bytes32[2][])[3], address payable to)")
    assert event.params == (
        Param("orders", "(uint256,address)[]", True),
        Param("arg1", "(int256,bytes32[2][])[3]", False),
        Param("to", "address", False),
    )
    assert event.canonical == "Filled((uint256,address)[],(int256,bytes32[2][])[3],address)"


def test_an_event_without_parameters_has_one_topic() -> None:
    assert parse_event("Paused()") == Event("Paused", ())
    assert parse_event("Paused()").topic_count == 1


def test_the_same_text_is_compiled_once() -> None:
    assert parse_event(TRANSFER) is parse_event(TRANSFER)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("E(uint7 a)", "unknown type 'uint7'"),
        ("E(uint264 a)", "unknown type 'uint264'"),
        ("E(int0 a)", "unknown type 'int0'"),
        ("E(uint08 a)", "unknown type 'uint08'"),
        ("E(bytes33 a)", "unknown type 'bytes33'"),
        ("E(bytes0 a)", "unknown type 'bytes0'"),
        ("E(address20 a)", "unknown type 'address20'"),
        ("E(fixed128x18 a)", "unknown type 'fixed128x18'"),
        ("E(IERC20 token)", "write address for a contract"),
        ("E(bool indexed a, bool indexed b, bool indexed c, bool indexed d)", "more than 3 indexed"),
        ("E(uint256 a, uint256 a)", "the name 'a' twice"),
        ("E(uint256 arg1, uint256)", "the name 'arg1' twice"),
        ("E(uint256 a", "ends where"),
        ("E(uint256 a))", "goes on with ')'"),
        ("E((uint256 a)", "ends where"),
        ("E uint256 a)", "has 'uint256' where '('"),
        ("E(uint256,)", "unknown type ')'"),
        ("E(uint256 a b)", "has 'b' where"),
        ("E(uint256[0] a)", "'0' where an array's length"),
        ("E(uint256[2 a)", "has 'a' where ']'"),
        ("E(uint256[99999999] a)", "larger than any log"),
        ("E(() a)", "tuple without components"),
        ("E((uint256 indexed x) a)", "marks something as indexed"),
        ("E(uint256[][][][][][][][][] a)", "more than 8 brackets"),
        ("E(" + "(" * 5000 + "uint256" + ")" * 5000 + ")", "deeper than 8"),
        ("(uint256 a)", "'(' where the event's name"),
        ("", "ends where the event's name"),
        ("E(uint256 a) anonymous", "goes on with 'anonymous'"),
        ("1E(uint256 a)", "'1' where the event's name"),
    ],
)
def test_a_faulty_event_is_refused_with_its_text_and_fault(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"^Event signature '.*\.$") as refused:
        parse_event(text)
    assert fault in str(refused.value)
    assert text[:100] in str(refused.value)


@given(st.text(alphabet="Eab (),[]0123456789;uintbytes$_", max_size=40) | st.text(max_size=40))
def test_any_text_is_an_event_or_a_value_error(text: str) -> None:
    try:
        event = parse_event(text)
    except ValueError as refused:
        assert str(refused).startswith("Event signature ")
    else:
        assert event.topic0 == event_signature_to_log_topic(event.canonical)


@pytest.mark.parametrize("bits", range(8, 257, 8))
def test_integers_of_every_width_are_known(bits: int) -> None:
    assert [param.type for param in parse_event(f"E(uint{bits}, int{bits})").params] == [f"uint{bits}", f"int{bits}"]


@pytest.mark.parametrize("text", ["uint", "int[]", "(uint,int[3])[]", "string", "bytes", "bytes32[2][]", "bool"])
def test_canonical_types_agree_with_eth_abi(text: str) -> None:
    assert canonical_type(parse_type(text)) == normalize(text)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    ("text", "function", "selector"),
    [
        ("token0() returns (address)", Function("token0", (), ("address",)), "0dfe1681"),
        (
            "function slot0() external view returns (uint160 price, int24 tick, uint16, uint16, uint16, uint8, bool);",
            Function("slot0", (), ("uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool")),
            "3850c7bd",
        ),
        ("transfer(address to, uint amount)", Function("transfer", ("address", "uint256"), ()), "a9059cbb"),
        ("f((uint8 a, bytes b)[] calldata x)", Function("f", ("(uint8,bytes)[]",), ()), None),
    ],
)
def test_functions_and_their_selectors(text: str, function: Function, selector: str | None) -> None:
    found = parse_function(text)
    assert found == function
    assert found.selector == function_signature_to_4byte_selector(found.canonical)
    assert selector in (None, found.selector.hex())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("token0() returns address", "has 'address' where '('"),
        ("token0() returns", "ends where"),
        ("f(uint256 indexed a)", "marks something as indexed"),
        ("f(uint7)", "unknown type 'uint7'"),
    ],
)
def test_a_faulty_function_is_refused_with_its_fault(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=r"^Function signature ") as refused:
        parse_function(text)
    assert fault in str(refused.value)
