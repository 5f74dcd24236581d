"""What the archive holds is not asked again; what it does not is asked alone, kept, or named as missing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from indexer.archive.store import Folder
from indexer.chain.sizing import GLANCE
from indexer.errors import ArchiveUnusable
from indexer.families.uniswap_v3 import SHARE
from indexer.ledger.archive import listed
from indexer.ledger.connect import Database
from indexer.ledger.context import known_tokens
from indexer.model import Span
from indexer.work.asking import ask_facts, ask_state
from indexer.work.gaps import SHOWN, Gaps
from indexer.work.group import Group
from indexer.work.history import ensure_history, steps_for
from indexer.work.reading import read_range
from indexer.work.source import Gathered, events_of, range_blocks, read_logs, unarchived
from tests.families.columns import Booked, booked
from tests.work.world import ETHEREUM, HEAD, START, TOKEN0, World, address, deployment, group_over, pool_address

POOL, OTHER, THIRD = pool_address(3000), pool_address(500), pool_address(10_000)
OPEN = deployment("dex.open")
NAMES = (OPEN.id,)
SPAN = Span(START, START + 99)


@dataclass
class Noting(World):
    """A world that notes every question about logs: first block after START, last, and contracts named."""

    questions: list[tuple[int, int, tuple[str, ...] | None]] = field(default_factory=list)

    def search(self, question: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = (int(question[end], 16) - START for end in ("fromBlock", "toBlock"))
        named = question.get("address")
        self.questions.append((first, last, None if named is None else tuple(named)))
        return super().search(question)


@pytest.fixture
def world() -> Noting:
    """Two pools that trade every tenth block, and a switch that is set twice."""
    made = Noting()
    for pool, fee in ((POOL, 3000), (OTHER, 500), (THIRD, 10_000)):
        made.pool(pool, fee=fee)
        made.settle(pool)
    for block in range(0, 100, 10):
        made.swap(POOL, START + block, 0, 10**9 + block)
        made.swap(OTHER, START + block, 1, -(10**9) - block)
    made.switch(POOL, START + 15, 0, 4, 4)
    made.switch(POOL, START + 55, 0, 0, 10)
    return made


@asynccontextmanager
async def archived(
    world: World, database: Database, folder: Path, *deployments: Any, gaps: Gaps | None = None
) -> AsyncIterator[Group]:
    async with group_over(world, database, *(deployments or (OPEN,)), store=Folder(folder), gaps=gaps) as group:
        assert group.archive is not None
        await group.archive.look(Span(0, HEAD))
        yield group


async def keep(group: Group, names: tuple[str, ...], *spans: Span) -> None:
    """Reads spans and lists what that kept, as commits do."""
    for span in spans:
        found = await read_logs(group, names, span)
        assert group.archive is not None
        await group.archive.list_files(found.kept)


def places(found: Gathered) -> list[tuple[int, int]]:
    return sorted(
        (int(block) - START, int(index))
        for raw in found.logs.groups.values()
        for block, index in zip(raw.where.block, raw.where.log_index, strict=True)
    )


async def test_what_was_read_is_not_asked_again(world: Noting, database: Database, tmp_path: Path) -> None:
    """By another process, whatever the span; the same logs, the same files, the same last hash."""
    async with archived(world, database, tmp_path) as group:
        fresh = await read_logs(group, NAMES, SPAN)
        assert group.archive is not None
        await group.archive.list_files(fresh.kept)
    asked = len(world.questions)
    async with archived(world, database, tmp_path) as group:
        again = await read_logs(group, NAMES, SPAN)
        part = await read_logs(group, NAMES, Span(START + 15, START + 40))
    assert len(world.questions) == asked
    assert places(again) == places(fresh)
    assert len(places(fresh)) == 22
    assert places(part) == [place for place in places(fresh) if 15 <= place[0] <= 40]
    assert (again.logs.anchor, again.logs.endpoint) == (fresh.logs.anchor, fresh.logs.endpoint)
    assert again.files == part.files == [one.file for one in fresh.kept]
    assert (again.kept, part.logs.anchor) == ([], None), "the last block of a part is not known by its hash"


async def test_only_blocks_that_are_missing_are_asked(world: Noting, database: Database, tmp_path: Path) -> None:
    """Before, between and after what the archive has; what is fetched is kept for the next time."""
    async with archived(world, database, tmp_path) as group:
        await keep(group, NAMES, Span(START + 10, START + 29), Span(START + 50, START + 69))
    world.questions.clear()
    async with archived(world, database, tmp_path) as group:
        found = await read_logs(group, NAMES, SPAN)
    assert [question[:2] for question in world.questions] == [(0, 9), (30, 49), (70, 99)]
    assert places(found) == sorted(set(places(found)))
    assert len(places(found)) == 22
    assert [(one.span.first - START, one.span.last - START) for one in found.kept] == [(0, 9), (30, 49), (70, 99)]
    assert len(found.files) == 2


async def test_only_contracts_that_are_missing_are_asked(world: Noting, database: Database, tmp_path: Path) -> None:
    """A third pool is added to the manifest: its logs are asked for, those of the others are there."""
    two, three = deployment("dex.two", pools=[POOL, OTHER]), deployment("dex.two", pools=[POOL, OTHER, THIRD])
    world.swap(THIRD, START + 33, 0, 7)
    async with archived(world, database, tmp_path, two) as group:
        await keep(group, (two.id,), SPAN)
    world.questions.clear()
    async with archived(world, database, tmp_path, three) as group:
        found = await read_logs(group, (three.id,), SPAN)
    assert world.questions == [(0, 99, ("0x" + THIRD.hex(),))]
    assert len(places(found)) == 23


async def test_logs_asked_of_any_contract_answer_for_each(world: Noting, database: Database, tmp_path: Path) -> None:
    """But not the other way round: what named contracts said is not what all say."""
    bound = deployment("dex.bound", pools=[POOL])
    async with archived(world, database, tmp_path, OPEN) as group:
        await keep(group, NAMES, SPAN)
    world.questions.clear()
    async with archived(world, database, tmp_path, bound) as group:
        assert len(places(await read_logs(group, (bound.id,), SPAN))) == 22, "the others are left out when classified"
    assert world.questions == []
    second = tmp_path / "second"
    async with group_over(world, database, bound, store=Folder(second)) as group:
        await database.fetch("DELETE FROM archive")
        await keep(group, (bound.id,), SPAN)
    world.questions.clear()
    async with archived(world, database, second) as group:
        await read_logs(group, NAMES, SPAN)
    assert [question[2] for question in world.questions] == [None]


async def test_ranges_are_whole_files_as_long_as_these_are_small(
    world: Noting, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that each is read once; where the archive ends, the endpoints' pace counts, up to where it begins again."""
    spans = [Span(START + first, START + first + 9) for first in (0, 10, 20, 30, 60)]
    async with archived(world, database, tmp_path) as group:
        await keep(group, NAMES, *spans)
    async with archived(world, database, tmp_path) as group:
        assert range_blocks(group, START, NAMES) == 40
        assert range_blocks(group, START + 5, NAMES) == 35
        assert range_blocks(group, START + 40, NAMES) == 20
        assert range_blocks(group, START + 70, NAMES) == group.range_blocks
        group.steps_from_state = True
        assert range_blocks(group, START, NAMES) == 10, "the state is known at the first block of each file only"
        group.steps_from_state = False
        monkeypatch.setattr("indexer.work.source.RANGE_LOGS", 5)
        assert [range_blocks(group, START + first, NAMES) for first in (0, 10, 20)] == [20, 20, 20]
        monkeypatch.setattr("indexer.work.source.RANGE_LOGS", 1)
        assert [range_blocks(group, START + first, NAMES) for first in (0, 10)] == [10, 10]


async def test_what_is_left_to_ask_is_told_beforehand(world: Noting, database: Database, tmp_path: Path) -> None:
    async with archived(world, database, tmp_path) as group:
        await keep(group, NAMES, Span(START + 10, START + 29))
    async with archived(world, database, tmp_path) as group:
        left = await unarchived(group, events_of(group, NAMES), [SPAN], timed=True)
    assert left == [Span(START, START + 9), Span(START + 30, START + 99)]


async def test_a_file_that_cannot_be_used_is_refused_or_asked_again(
    world: Noting, database: Database, tmp_path: Path
) -> None:
    """With leave to mend its blocks count as never asked, and the index forgets it."""
    async with archived(world, database, tmp_path) as group:
        await keep(group, NAMES, Span(START, START + 49), Span(START + 50, START + 99))
    rows = await listed(database, ETHEREUM.chain_id, Span(START, START))
    (tmp_path / rows[0].file).write_bytes(b"damaged")
    world.questions.clear()
    async with archived(world, database, tmp_path) as group:
        with pytest.raises(ArchiveUnusable, match=rows[0].file):
            await read_logs(group, NAMES, SPAN)
        assert world.questions == []
        assert group.archive is not None
        group.archive.mend = True
        found = await read_logs(group, NAMES, SPAN)
        await group.archive.list_files(found.kept)
    assert [question[:2] for question in world.questions] == [(0, 49)]
    assert len(places(found)) == 22
    async with archived(world, database, tmp_path) as group:
        assert len(places(await read_logs(group, NAMES, SPAN))) == 22
    assert len(world.questions) == 1


# ---------------------------------------------------------------- eth_calls


async def test_facts_are_asked_once_and_hold_at_any_block(world: Noting, database: Database, tmp_path: Path) -> None:
    """Reverts too; another question to the same contract is asked alone."""
    calls = [(POOL, b"\1\2\3\4"), (POOL, b"\5\6\7\\8"), (OTHER, b"\1\2\3\4")]
    world.answers |= {calls[0]: b"one".ljust(32), calls[1]: None, calls[2]: b"two".ljust(32)}
    async with archived(world, database, tmp_path) as group:
        told = await ask_facts(group, calls[:2], HEAD - 5)
    assert told == [b"one".ljust(32), None]
    async with archived(world, database, tmp_path) as group:
        world.asked.clear()
        assert await ask_facts(group, calls, HEAD) == [*told, b"two".ljust(32)]
        assert set(world.asked) == {calls[2]}
        assert group.told_at == {POOL: HEAD - 5}


async def test_state_is_as_of_its_block(world: Noting, database: Database, tmp_path: Path) -> None:
    call = (POOL, b"\1\2\3\4")
    world.answers[call] = lambda block: block.to_bytes(32, "big")
    async with archived(world, database, tmp_path) as group:
        await ask_state(group, [call], HEAD - 9)
        world.asked.clear()
        for block in (HEAD - 9, HEAD - 8, HEAD - 9):
            assert await ask_state(group, [call], block) == [block.to_bytes(32, "big")]
    assert world.asked[call] == 1


async def test_what_was_answered_is_listed_before_anything_is_made_of_it(
    world: Noting, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies after it asked has lost nothing: what the ledger knows, the archive can tell again."""
    from indexer.ledger import context

    async def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(context, "put_contracts", dies)
    async with archived(world, database, tmp_path) as group:
        with pytest.raises(KeyboardInterrupt):
            await read_range(group, SPAN, NAMES, HEAD)
    monkeypatch.undo()
    world.asked.clear()
    async with archived(world, database, tmp_path) as group:
        await read_range(group, SPAN, NAMES, HEAD)
    assert world.times_asked(POOL) == world.times_asked(OTHER) == 0


# ---------------------------------------------------------------- offline


async def flows(group: Group, spans: Sequence[Span]) -> list[Booked]:
    found: list[Booked] = []
    for span in spans:
        reading = await read_range(group, span, NAMES, HEAD)
        found += [row for classified in reading.classified.values() for row in booked(classified)]
        if group.archive is not None:
            await group.archive.list_files(reading.kept)
    return sorted(found, key=lambda row: (row[0], row[1], row[5], row[6]))


SPANS = [Span(START, START + 30), Span(START + 31, START + 60), Span(START + 61, START + 99)]


@pytest.mark.parametrize("from_state", [False, True], ids=["events", "state"])
async def test_all_of_it_is_made_again_without_an_endpoint(
    world: Noting, database: Database, tmp_path: Path, from_state: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members, parameters by their events or by state, tokens: nothing is asked, the flows are the same."""
    old = deployment(OPEN.id, start=START - 2 * GLANCE)
    if from_state:  # at an endpoint of short ranges nobody reads all events since the start
        monkeypatch.setattr("indexer.work.source.DEAR", 0)
        world.max_blocks = 40
    async with archived(world, database, tmp_path, old) as group:
        await ensure_history(group, SPAN)
        fresh = await flows(group, SPANS)
        assert group.steps_from_state is from_state
    assert {row[4].side for row in fresh} > {"supply"}
    for table in ("contract", "history", "parameter", "token"):
        await database.fetch(f"DELETE FROM {table}")
    world.questions.clear()
    world.asked.clear()
    async with archived(world, database, tmp_path, old, gaps=Gaps()) as group:
        await ensure_history(group, SPAN)
        assert await flows(group, SPANS) == fresh
        assert group.steps_from_state is from_state
        assert not group.gaps
        assert group.pool.requests == 0
    assert await known_tokens(database, ETHEREUM.chain_id, [TOKEN0]) == {TOKEN0}


async def test_what_is_missing_is_gathered_and_named(world: Noting, database: Database, tmp_path: Path) -> None:
    """Topics, blocks and questions, each once, one a line; the endpoint is left alone."""
    async with archived(world, database, tmp_path) as group:
        await keep(group, NAMES, Span(START + 10, START + 29))
    gaps = Gaps()
    world.questions.clear()
    async with archived(world, database, tmp_path, gaps=gaps) as group:
        await read_range(group, SPAN, NAMES, HEAD)
        assert group.pool.requests == 0
    lines = str(gaps.refusal()).splitlines()
    topic = "0xc42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"
    assert f"any contract, Swap ({topic}): blocks {START} to {START + 9}" in lines
    assert f"any contract, Swap ({topic}): blocks {START + 30} to {START + 99}" in lines
    assert f"0x{POOL.hex()}, eth_call token0(): was never asked" in lines
    assert len(lines) == len(set(lines)) == 2 + 5 * 2 + 2 * 5, "5 events of 2 spans, 2 pools with 5 questions"
    assert lines[0] == "The archive does not hold what these rules need:"
    assert lines[-1].endswith("Run indexer reclassify --fetch, which asks the endpoints for just that.")
    assert gaps.refusal().exit_code == 5


async def test_history_that_is_missing_is_named(world: Noting, database: Database, tmp_path: Path) -> None:
    """From the deployment's start on, since a switch may have been set before the first block wanted."""
    gaps = Gaps()
    async with archived(world, database, tmp_path, gaps=gaps) as group:
        await ensure_history(group, SPAN)
    assert [(atom.emitter, spans) for atom, spans in gaps.logs.items()] == [(None, [SPAN])]


async def test_strictly_the_first_thing_missing_is_refused(world: Noting, database: Database, tmp_path: Path) -> None:
    async with archived(world, database, tmp_path, gaps=Gaps(strict=True)) as group:
        with pytest.raises(ArchiveUnusable, match=f"Swap .* blocks {START} to {START + 99}"):
            await read_range(group, SPAN, NAMES, HEAD)


def test_a_long_list_is_capped() -> None:
    """What is said of the rest is how much it is."""
    gaps = Gaps()
    gaps.note_calls([(address(str(number)), b"\1\2\3\4") for number in range(SHOWN + 7)], 5)
    lines = str(gaps.refusal()).splitlines()
    assert (len(lines), lines[-2]) == (SHOWN + 3, "... and 7 more.")
    assert lines[1].endswith("eth_call 0x01020304: was not asked at block 5")


async def test_steps_come_from_the_archive_in_every_part(world: Noting, database: Database, tmp_path: Path) -> None:
    """Half of the history was read by an earlier run, the rest is asked."""
    async with archived(world, database, tmp_path) as group:
        await ensure_history(group, Span(START, START + 49))
    await database.fetch("DELETE FROM history")
    await database.fetch("DELETE FROM parameter")
    world.questions.clear()
    async with archived(world, database, tmp_path) as group:
        await ensure_history(group, SPAN)
        steps = await steps_for(group, OPEN, [POOL], SPAN, [])
    assert [step.block - START for step in steps[POOL, SHARE]] == [15, 55]
    assert [question[:2] for question in world.questions] == [(50, 99)]
