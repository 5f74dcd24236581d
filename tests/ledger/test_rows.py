"""Flows through the binary COPY and back, and digests that Python and SQL must agree on."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import asyncpg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from indexer.ledger.connect import Database
from indexer.ledger.rows import COLUMNS, HEADER, TRAILER, Owner, add_digests, copy_rows, day_parts, row_hashes
from indexer.model import Basis, Flows, Kind, Label, Side, Source
from tests.ledger.made import DAY, JANUARY, Row, flows, octets, stored, utc

MOST = 2**256 - 1
labels = st.builds(Label, *map(st.sampled_from, (Kind, Source, Side, Basis)))
amounts = st.one_of(
    st.integers(1, MOST),
    st.integers(0, 77).map(lambda digits: 10**digits),
    st.integers(0, 255).map(lambda bit: 1 << bit),
    st.sampled_from([1, 9_999, 10_000, 99_999_999, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 2**255, MOST]),
)
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=60)
rows = st.builds(
    Row,
    st.integers(0, 2**39 - 1),
    st.integers(JANUARY - 40 * DAY, JANUARY + 40 * DAY),
    st.integers(0, 2**24 - 1),
    st.binary(min_size=20, max_size=20),
    st.binary(min_size=32, max_size=32),
)
MONTHS = [utc(JANUARY + days * DAY) for days in (-41, -31, -1, 0, 31)]


@st.composite
def batches(draw: st.DrawFn) -> tuple[Owner, list[Flows]]:
    """Up to three batches of an owner, no place twice."""
    owner = Owner(draw(st.integers(1, 2**63 - 1)), draw(names), draw(names))
    made = []
    for leg in range(draw(st.integers(1, 3))):
        held = draw(st.lists(rows, min_size=1, max_size=8, unique_by=lambda row: (row.block, row.log_index)))
        sums = draw(st.lists(amounts, min_size=len(held), max_size=len(held)))
        tokens = draw(st.lists(st.binary(min_size=20, max_size=20), min_size=len(held), max_size=len(held)))
        made.append(replace(flows(held, sums, label=draw(labels), leg=leg), token=octets(tokens, 20)))
    return owner, made


async def copied(database: Database, owner: Owner, made: list[Flows]) -> None:
    """An emptied flow table with these rows."""

    async def stream() -> object:
        yield HEADER
        for batch in made:
            yield copy_rows(owner, batch)
        yield TRAILER

    async with database.pool.acquire() as connection:
        await connection.execute("DELETE FROM flow")
        for month in MONTHS:
            await connection.execute("SELECT ensure_flow_month($1)", month)
        await connection.copy_to_table("flow", source=stream(), columns=COLUMNS, format="binary")


def expected(owner: Owner, made: list[Flows]) -> list[tuple[object, ...]]:
    """The same rows, put together one by one."""
    told: list[tuple[object, ...]] = []
    for batch in made:
        place, label = batch.where, batch.label
        for at in range(len(batch)):
            amount = int.from_bytes(batch.amount[at].astype(">u4").tobytes(), "big")
            told.append(
                (
                    owner.chain_id, int(place.block[at]), utc(int(place.time[at])), int(place.log_index[at]),
                    label.kind.value, label.source.value, label.side.value, label.basis.value, batch.leg,
                    place.tx_hash[at].tobytes(), place.contract[at].tobytes(), owner.protocol, owner.deployment,
                    batch.token[at].tobytes(), amount,
                )
            )  # fmt: skip
    return sorted(told, key=lambda row: (row[1], row[3], row[8], row[10]))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches())
@example((Owner(1, "p", "p.d"), [flows([Row(0, JANUARY, 0, bytes(20), bytes(32))], [MOST])]))
async def test_any_flows_come_back_as_they_were_and_hash_alike_in_sql(
    database: Database, held: tuple[Owner, list[Flows]]
) -> None:
    owner, made = held
    await copied(database, owner, made)
    assert await stored(database) == expected(owner, made)
    in_sql = await database.fetch("SELECT sha256(flow_octets(flow)) AS hash FROM flow")
    in_python = [digest for batch in made for digest in row_hashes(owner, batch)]
    assert sorted(row["hash"] for row in in_sql) == sorted(in_python)
    total = await database.fetch(
        "SELECT uint256_octets(mod(sum(octets_uint256(sha256(flow_octets(f)))), 2::numeric ^ 256)) AS total FROM flow AS f"
    )
    assert total[0]["total"] == add_digests(in_python)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=50))
@example([b"\xff" * 32] * 3)
@example([])
def test_digests_add_up_modulo_2_to_the_256(digests: list[bytes]) -> None:
    total = sum(int.from_bytes(digest, "big") for digest in digests) % 2**256
    assert add_digests(digests) == total.to_bytes(32, "big")


@given(batches())
@settings(deadline=None)
def test_a_days_part_counts_its_flows_and_is_blind_to_order(held: tuple[Owner, list[Flows]]) -> None:
    owner, made = held
    parts = day_parts(owner, made)
    by_day: dict[int, list[tuple[int, bytes]]] = {}
    for batch in made:
        for at, digest in enumerate(row_hashes(owner, batch)):
            by_day.setdefault(int(batch.where.time[at]) // DAY, []).append((int(batch.where.block[at]), digest))
    assert [(part.day, part.flows) for part in parts] == [(day, len(by_day[day])) for day in sorted(by_day)]
    for part in parts:
        blocks = [block for block, _ in by_day[part.day]]
        assert (part.first_block, part.last_block) == (min(blocks), max(blocks))
        assert part.digest == add_digests([digest for _, digest in reversed(by_day[part.day])])
    assert day_parts(owner, made[::-1]) == parts


@pytest.mark.parametrize(
    "change",
    ["chain_id", "block", "time", "log_index", "leg", "tx_hash", "contract", "token", "amount", "protocol", "label"],
)
def test_a_digest_tells_every_natural_column(change: str) -> None:
    owner, row = Owner(1, "p", "p.d"), Row(1, JANUARY, 1)
    plain = row_hashes(owner, flows([row], [5]))
    changed = {
        "chain_id": lambda: row_hashes(replace(owner, chain_id=2), flows([row], [5])),
        "block": lambda: row_hashes(owner, flows([replace(row, block=2)], [5])),
        "time": lambda: row_hashes(owner, flows([replace(row, time=JANUARY + 1)], [5])),
        "log_index": lambda: row_hashes(owner, flows([replace(row, log_index=2)], [5])),
        "leg": lambda: row_hashes(owner, flows([row], [5], leg=1)),
        "tx_hash": lambda: row_hashes(owner, flows([replace(row, tx_hash=b"\1" * 32)], [5])),
        "contract": lambda: row_hashes(owner, flows([replace(row, contract=b"\1" * 20)], [5])),
        "token": lambda: row_hashes(owner, flows([row], [5], token=b"\1" * 20)),
        "amount": lambda: row_hashes(owner, flows([row], [6])),
        "protocol": lambda: row_hashes(replace(owner, protocol="q"), flows([row], [5])),
        "label": lambda: row_hashes(
            owner, flows([row], [5], label=Label(Kind.LOSS, Source.SWAP, Side.SUPPLY, Basis.ACCRUED))
        ),
    }[change]()
    assert changed != plain


async def test_256_bit_numbers_survive_the_way_to_octets_and_back(database: Database) -> None:
    numbers = [0, 1, 255, 256, 2**32 - 1, 2**32, 2**64, 2**128 - 1, 2**224, 2**255, MOST - 1, MOST]
    rows_back = await database.fetch(
        "SELECT uint256_octets(n) AS octets, octets_uint256(uint256_octets(n)) AS back FROM unnest($1::numeric[]) AS n",
        numbers,
    )
    assert [row["octets"] for row in rows_back] == [number.to_bytes(32, "big") for number in numbers]
    assert [int(row["back"]) for row in rows_back] == numbers


async def test_the_octets_are_those_that_the_docstring_names(database: Database) -> None:
    """A third way to the same hash, so that Python and SQL cannot be wrong alike."""
    owner, row = Owner(5, "prøto", "prøto.x"), Row(77, JANUARY + 3, 9, b"\x0a" * 20, b"\x0b" * 32)
    await copied(database, owner, [flows([row], [123456789], token=b"\x0c" * 20, leg=2)])
    number = lambda value, width: value.to_bytes(width, "big")  # noqa: E731
    spelled = (
        number(5, 8) + number(77, 8) + number(JANUARY + 3, 8) + number(9, 4) + number(2, 2)
        + row.tx_hash + row.contract + b"\x0c" * 20 + number(123456789, 32)
        + "prøto/prøto.x/fee/swap/supply/accrued".encode()
    )  # fmt: skip
    told = await database.fetch("SELECT flow_octets(flow) AS octets FROM flow")
    assert told[0]["octets"] == spelled
    assert row_hashes(owner, flows([row], [123456789], token=b"\x0c" * 20, leg=2)) == [hashlib.sha256(spelled).digest()]


async def test_zero_is_no_flow(database: Database) -> None:
    """The table itself refuses an amount that a family should have left out."""
    with pytest.raises(asyncpg.CheckViolationError):
        await copied(database, Owner(1, "p", "p.d"), [flows([Row(1, JANUARY)], [0])])
