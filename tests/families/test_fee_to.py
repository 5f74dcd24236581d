"""How a manifest dates the fee switch of a Uniswap v2 factory, and the sentences its mistakes get."""

from __future__ import annotations

from pathlib import Path

import pytest
from eth_utils.address import to_checksum_address

from indexer.errors import BadInput
from indexer.families.fee_to import FeeOptions
from indexer.manifest import Deployment, load_protocols
from tests.families.pair_worlds import (
    FACTORY,
    JAR,
)

MANIFEST = """
[protocol]
id = "fork"
name = "Fork"
category = "dex"
methodology = "None."
[[deployment]]
chain = "ethereum"
family = "uniswap_v2"
start_block = 5
exactness = "None."
[deployment.contracts]
factory = "{factory}"
[deployment.counts]
fee = "accrued"
[deployment.sources]
start_block = "https://a.b/c"
factory = "https://a.b/c"
[deployment.options]
{options}
"""
RECIPIENT = to_checksum_address(JAR)


def interval(first: int, last: int | None = None, source: str = "https://a.b/c") -> str:
    end = "" if last is None else f"last_block = {last}\n"
    return (
        f'[[deployment.options.fee_to]]\nfirst_block = {first}\n{end}recipient = "{RECIPIENT}"\nsource = "{source}"\n'
    )


def manifest(folder: Path, options: str) -> Deployment:
    file = folder / "fork.toml"
    file.write_text(MANIFEST.format(factory=to_checksum_address(FACTORY), options=options))
    (deployment,) = load_protocols([file], ["ethereum"])["fork"].deployments
    return deployment


def test_options_have_uniswaps_values_unless_written(tmp_path: Path) -> None:
    plain = manifest(tmp_path, "").options
    assert isinstance(plain, FeeOptions)
    assert (plain.fee_ppm, plain.protocol_share, plain.fee_to) == (3000, (1, 6), ())
    text = f'fee_ppm = 2500\nprotocol_share = [8, 25]\ninit_code_hash = "0x{"ab" * 32}"\n'
    own = manifest(tmp_path, text + interval(20) + interval(7, 19)).options
    assert isinstance(own, FeeOptions)
    assert (own.fee_ppm, own.protocol_share, own.init_code_hash) == (2500, (8, 25), b"\xab" * 32)
    assert [(one.first_block, one.last_block, one.recipient) for one in own.fee_to] == [(7, 19, JAR), (20, None, JAR)]


def test_the_dates_are_in_the_digest_and_their_sources_are_not(tmp_path: Path) -> None:
    one, other, proven = (
        manifest(tmp_path, text).digest
        for text in (interval(7), interval(8), interval(7, source="Seen in a transaction's trace."))
    )
    assert one == proven != other


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (interval(7) + interval(8), "options.fee_to: has two intervals that hold block 8: give the one from block 7 a last_block before it"),
        (interval(8, 9) + interval(7, 8), "options.fee_to: has two intervals that hold block 8"),
        (interval(7, 7) + interval(7, 7), "options.fee_to: has two intervals that hold block 7"),
        (interval(7, 6), "options.fee_to[0].last_block: lies before first_block: correct one of them"),
        (interval(7, source="trust me"), "options.fee_to[0].source: must be an https:// link"),
        (interval(7).replace(RECIPIENT, RECIPIENT.lower()), "options.fee_to[0].recipient: "),
        (interval(7).replace("first_block = 7\n", ""), "options.fee_to[0].first_block: is missing"),
        (interval(7) + "until = 9\n", "options.fee_to[0].until: is not a key known here"),
        ("fee_ppm = 0.003", "options.fee_ppm: must be a whole number"),
        ("fee_ppm = 1000000", "options.fee_ppm: "),
        ("fee_ppm = -1", "options.fee_ppm: "),
        ("protocol_share = [6, 1]", "options.protocol_share: must be a part and the whole, such as [1, 6]"),
        ("protocol_share = [0, 6]", "options.protocol_share: must be a part and the whole"),
        ("protocol_share = [1]", "options.protocol_share"),
        ('init_code_hash = "0x12"', "options.init_code_hash: '0x12' is no hash: write 0x and 64 hexadecimal digits"),
        ("init_code_hash = 7", "options.init_code_hash: 7 is no hash"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_options_is_a_sentence_with_its_place(tmp_path: Path, options: str, sentence: str) -> None:
    with pytest.raises(BadInput) as refused:
        manifest(tmp_path, options)
    (problem,) = refused.value.problems
    assert problem.startswith(f"fork.toml: deployment[0].{sentence}")
