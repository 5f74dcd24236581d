"""Flows made again from the archive are those of a fresh index; what it lacks is told, or asked alone; kills lose nothing."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from indexer.decode.signature import parse_event
from indexer.errors import ArchiveUnusable, BadInput
from indexer.families import FAMILIES, uniswap_v3
from indexer.families.uniswap_v3 import UniswapV3
from indexer.ledger import ranges
from indexer.ledger.connect import Database
from indexer.ledger.embedded import EmbeddedPostgres
from indexer.model import Subscription
from indexer.work import backfill
from tests.simulation.demo import FOLDER, complaints, index, opened, outcome, redo
from tests.simulation.node import DemoChain
from tests.simulation.test_crash import KILLED, workers

MINT = (
    "Mint(address sender, address indexed owner, int24 indexed tickLower, int24 indexed tickUpper, uint128 amount, "
    "uint256 amount0, uint256 amount1)"
)
V3 = ("demo_dex.demo", "demo_farm.demo.exchange")
_KEPT: dict[str, Any] = {}


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the archive that `held` filled."""
    return tmp_path_factory.mktemp("archive")


@pytest.fixture
async def held(
    server: EmbeddedPostgres, template: str, archive: Path, tmp_path: Path
) -> AsyncIterator[tuple[Database, str]]:
    """A ledger of the demo chain and its archive, both for this test alone."""
    admin = await asyncpg.connect(server.url("postgres"))
    if not any(archive.iterdir()):
        await admin.execute(f'CREATE DATABASE "archived" TEMPLATE "{template}"')
        async with DemoChain() as node, opened(server.url("archived")) as database:
            await index(database, node.url, archive=str(archive))
    place = tmp_path / "archive"
    shutil.copytree(archive, place)
    await admin.execute('CREATE DATABASE "held" TEMPLATE "archived"')
    try:
        async with opened(server.url("held")) as database:
            yield database, str(place)
    finally:
        await admin.execute('DROP DATABASE "held" WITH (FORCE)')
        await admin.close()


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half the fee, as a new version of the family has it."""
    monkeypatch.setattr(uniswap_v3, "PPM", 2 * 10**6)
    monkeypatch.setattr(UniswapV3, "version", 99)


@pytest.fixture
async def fresh(changed: None, server: EmbeddedPostgres, template: str) -> dict[str, Any]:
    """What an index from scratch makes by the changed rule."""
    if "fresh" not in _KEPT:
        admin = await asyncpg.connect(server.url("postgres"))
        await admin.execute(f'CREATE DATABASE "changed" TEMPLATE "{template}"')
        await admin.close()
        async with DemoChain() as node, opened(server.url("changed")) as database:
            await index(database, node.url)
            _KEPT["fresh"] = await outcome(database)
    return _KEPT["fresh"]


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opens a connection but to the database is caught."""

    async def caught(*_: object, **__: object) -> None:
        raise AssertionError("a node was asked")

    monkeypatch.setattr("indexer.chain.rpc.Endpoint.call", caught)
    monkeypatch.setattr("aiohttp.TCPConnector.connect", caught)


def files(place: str) -> set[str]:
    return {path.name for path in Path(place).rglob("*") if path.is_file()}


async def contents(database: Database) -> dict[str, Any]:
    """All that a refusal must leave as it was."""
    tables = (
        "flow",
        "range",
        "range_deployment",
        "contract",
        "history",
        "deployment",
        "archive",
        "restated_day",
        "lease",
    )
    counts = [await database.fetch(f"SELECT count(*) AS n FROM {table}") for table in tables]
    return {"counts": [rows[0]["n"] for rows in counts]} | await outcome(database)


# ---------------------------------------------------------------- the same as a fresh index


async def test_a_changed_fee_rule_equals_a_fresh_index_without_one_request(
    held: tuple[Database, str], fresh: dict[str, Any], silence: None
) -> None:
    """Digests, sums, prices and all: only what changed is made again, and its files are not written anew."""
    database, place = held
    before, kept = await outcome(database), files(place)
    done = await redo(database, place)
    assert sorted(done.deployments) == sorted(V3)
    assert await outcome(database) == fresh != before
    assert await complaints(database) == {}
    assert files(place) == kept
    again = await redo(database, place)
    assert (again.deployments, again.days) == ([], [])


async def test_an_index_that_was_not_changed_is_left_alone(held: tuple[Database, str], silence: None) -> None:
    database, place = held
    before = await contents(database)
    assert (await redo(database, place)).deployments == []
    assert await contents(database) == before


async def test_everything_made_again_is_what_it_was(
    held: tuple[Database, str], undisturbed: dict[str, Any], silence: None
) -> None:
    """Every family of the demo, feeds and streams among them; and one protocol alone."""
    database, place = held
    done = await redo(database, place, everything=True)
    assert {name.split(".")[0] for name in done.deployments} >= {"demo_dex", "demo_farm"}
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}
    assert (await redo(database, place, "demo_dex")).deployments == ["demo_dex.demo"]
    assert await outcome(database) == undisturbed
    rows = await database.fetch("SELECT DISTINCT reason FROM restated_day")
    assert [row["reason"] for row in rows] == ["read again on request"]
    assert await database.fetch("SELECT FROM restatements") == []


@pytest.mark.parametrize("blocks", [13, 400])
async def test_the_size_of_ranges_does_not_matter(
    blocks: int, held: tuple[Database, str], fresh: dict[str, Any], silence: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Smaller than the files, or several at once: logs are taken from within files, or from many."""
    database, place = held
    monkeypatch.setattr(backfill, "range_blocks", lambda group, first, names: blocks)
    await redo(database, place)
    assert await outcome(database) == fresh
    assert await complaints(database) == {}


async def test_many_small_files_become_few_ranges(
    database: Database, node: DemoChain, fresh: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive of ranges of forty blocks each; another rule makes it a few ranges of whole files."""
    monkeypatch.setattr(UniswapV3, "version", 98)
    monkeypatch.setattr("indexer.chain.fetch.Fetcher.range_blocks", property(lambda _: 40))
    await index(database, node.url, archive=str(tmp_path))
    count = "SELECT count(*) AS n FROM range_deployment WHERE deployment = 'demo_dex.demo'"
    before = (await database.fetch(count))[0]["n"]
    monkeypatch.setattr(UniswapV3, "version", 99)
    asked = len(node.asked)
    await redo(database, str(tmp_path))
    assert (await database.fetch(count))[0]["n"] * 10 < before
    assert await outcome(database) == fresh
    assert len(node.asked) == asked


async def test_a_changed_manifest_equals_a_fresh_index(
    held: tuple[Database, str], tmp_path: Path, database: Database, node: DemoChain
) -> None:
    """A deployment loses a contract: what it read of it goes, and nobody is asked."""
    folder = tmp_path / "protocols"
    shutil.copytree(FOLDER / "protocols", folder)
    text = (folder / "demo_farm.toml").read_text("utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("harvesters = ")]
    (folder / "demo_farm.toml").write_text("\n".join(kept) + "\n", "utf-8")
    ledger, place = held
    done = await _redo_with(ledger, place, folder)
    assert done == ["demo_farm.demo.chef"]
    await index(database, node.url, manifests=[str(folder)])
    assert await outcome(ledger) == await outcome(database)
    rows = await ledger.fetch("SELECT DISTINCT reason FROM restated_day")
    assert [row["reason"] for row in rows] == ["manifest changed"]


async def _redo_with(database: Database, place: str, manifests: Path) -> list[str]:
    from indexer import app
    from indexer.reclassify import reclassify
    from tests.simulation.demo import settings

    chosen = settings((), archive=place, manifests=[str(manifests)])
    return (await reclassify(chosen, app.catalogue(chosen), database, app.Run())).deployments


async def test_a_run_after_a_change_reads_the_archive_first(
    held: tuple[Database, str], fresh: dict[str, Any], node: DemoChain
) -> None:
    """`up` retires what the old version read, and asks for no log: the archive has them all."""
    database, place = held
    await index(database, node.url, archive=place)
    assert [params for method, params in node.asked if method == "eth_getLogs"] == []
    assert await outcome(database) == fresh
    assert await complaints(database) == {}


async def test_a_protocol_added_later_asks_for_no_log_that_is_there(
    database: Database, node: DemoChain, tmp_path: Path
) -> None:
    """The second exchange's swaps came with those of the first: only what else its protocol wants is asked."""
    await index(database, node.url, archive=str(tmp_path), protocols=["demo_dex"])
    asked = len(node.asked)
    await index(database, node.url, archive=str(tmp_path), protocols=["demo_dex", "demo_farm"])
    swap = "0x" + parse_event(uniswap_v3.SWAP).topic0.hex()
    questions = [params[0] for method, params in node.asked[asked:] if method == "eth_getLogs"]
    later = [question["topics"][0] for question in questions if "topics" in question]  # others look at one block whole
    assert later
    assert all(swap not in (topics or [swap]) for topics in later)


# ---------------------------------------------------------------- what the archive lacks


@pytest.fixture
def widened(monkeypatch: pytest.MonkeyPatch) -> None:
    """The new version wants an event that the archive never asked for."""
    subscriptions = UniswapV3.subscriptions

    def more(self: UniswapV3, contracts: Any) -> tuple[Subscription, ...]:
        return (*subscriptions(self, contracts), Subscription(MINT, contracts.get("pools") or None))

    monkeypatch.setattr(UniswapV3, "subscriptions", more)
    monkeypatch.setattr(UniswapV3, "version", 99)


async def test_a_new_topic_is_refused_before_anything_is_changed(
    held: tuple[Database, str], widened: None, silence: None
) -> None:
    """With contract, topic and span."""
    database, place = held
    before = await contents(database)
    with pytest.raises(ArchiveUnusable) as caught:
        await redo(database, place)
    (rows,) = await database.fetch(
        "SELECT max(last_block) AS last FROM range_deployment WHERE deployment = ANY($1)", list(V3)
    )
    lines = str(caught.value).splitlines()
    assert f"any contract, Mint (0x{parse_event(MINT).topic0.hex()}): blocks 2 to {rows['last']}" in lines
    assert all("Mint" in line or "eth_call" in line for line in lines[1:-1])
    assert await contents(database) == before


async def test_with_leave_to_fetch_just_the_new_topic_is_asked_and_kept(
    held: tuple[Database, str], widened: None, node: DemoChain
) -> None:
    """Then it is in the archive, too: all of it can be made again without a node."""
    database, place = held
    before = await outcome(database)
    await redo(database, place, rpc=node.url, fetch=True)
    questions = [params[0] for method, params in node.asked if method == "eth_getLogs"]
    assert questions
    assert {tuple(question["topics"][0]) for question in questions} == {("0x" + parse_event(MINT).topic0.hex(),)}
    assert {question.get("address") for question in questions} == {None}
    assert await outcome(database) == before, "nothing is made of the event yet"
    assert await complaints(database) == {}
    asked = len(node.asked)
    await redo(database, place, everything=True)
    assert len(node.asked) == asked
    assert await outcome(database) == before


async def test_questions_that_were_never_asked_are_named(
    held: tuple[Database, str], changed: None, monkeypatch: pytest.MonkeyPatch, silence: None
) -> None:
    """A family that asks its members for more: contract and function."""
    database, place = held
    admit = UniswapV3.admit
    monkeypatch.setattr(UniswapV3, "questions", (*UniswapV3.questions, "liquidity() returns (uint128)"))
    monkeypatch.setattr(UniswapV3, "admit", lambda self, held, contract, told: admit(self, held, contract, told[:5]))
    before = await contents(database)
    with pytest.raises(ArchiveUnusable, match="eth_call liquidity\\(\\): was never asked") as caught:
        await redo(database, place)
    lines = str(caught.value).splitlines()[1:-1]
    assert all("eth_call liquidity()" in line for line in lines)
    assert len(lines) == len(set(lines)) > 3
    assert await contents(database) == before


async def test_blocks_that_were_read_without_an_archive_are_named(
    database: Database, node: DemoChain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that had it switched off left a hole, which --fetch fills."""
    await index(database, node.url, start=0, to=299, archive=str(tmp_path))
    await index(database, node.url, start=300, to=399)
    await index(database, node.url, start=400, to=700, archive=str(tmp_path))
    monkeypatch.setattr(UniswapV3, "version", 99)
    with pytest.raises(ArchiveUnusable, match="Swap .*: blocks 300 to 399") as caught:
        await redo(database, str(tmp_path))
    assert "blocks 2 to" not in str(caught.value)
    before, asked = await outcome(database), len(node.spans)
    await redo(database, str(tmp_path), rpc=node.url, fetch=True)
    assert node.spans[asked:]
    assert all(300 <= first <= last <= 399 for first, last in node.spans[asked:])
    assert await outcome(database) == before


async def test_a_damaged_file_is_refused_by_name_and_mended_by_asking_again(
    held: tuple[Database, str], fresh: dict[str, Any], node: DemoChain
) -> None:
    """Before anything is changed; with --fetch its blocks are asked for, and no others."""
    database, place = held
    (row,) = await database.fetch(
        "SELECT file, first_block, last_block FROM archive WHERE holds = 'logs' ORDER BY logs DESC LIMIT 1"
    )
    path = Path(place) / row["file"]
    path.write_bytes(path.read_bytes()[:-100])
    before = await contents(database)
    with pytest.raises(ArchiveUnusable, match=f"The archive file {row['file']} is damaged") as caught:
        await redo(database, place)
    assert caught.value.exit_code == 5
    assert "reclassify --fetch" in str(caught.value)
    assert await contents(database) == before
    await redo(database, place, rpc=node.url, fetch=True)
    assert await outcome(database) == fresh
    assert await complaints(database) == {}
    asked = list(node.spans)
    assert asked
    assert all(row["first_block"] <= first <= last <= row["last_block"] for first, last in asked)


async def test_a_file_of_answers_that_is_gone_is_refused_by_name_and_asked_again(
    held: tuple[Database, str], fresh: dict[str, Any], node: DemoChain
) -> None:
    database, place = held
    gone = await database.fetch("SELECT file FROM archive WHERE holds = 'facts'")
    for row in gone:
        (Path(place) / row["file"]).unlink()
    with pytest.raises(ArchiveUnusable, match="The archive file .* is not in .*: *|is not in"):
        await redo(database, place)
    await redo(database, place, rpc=node.url, fetch=True)
    assert (node.count("eth_getLogs"), node.count("eth_call") > 0) == (0, True)
    assert await outcome(database) == fresh


async def test_what_cannot_be_done_is_said(held: tuple[Database, str], changed: None) -> None:
    """No archive, no endpoint to fetch from, no such protocol."""
    database, place = held
    for sentence, how in (
        ("archive: there is none", {"place": "none"}),
        ("--fetch needs an endpoint of demo", {"fetch": True}),
        ("demo_dexx: no such protocol: did you mean demo_dex\\?", {"name": "demo_dexx"}),
    ):
        names = [how["name"]] if "name" in how else []
        with pytest.raises(BadInput, match=sentence):
            await redo(database, str(how.get("place", place)), *names, fetch=bool(how.get("fetch")))  # type: ignore[arg-type]


# ---------------------------------------------------------------- kills


@pytest.mark.parametrize("finish", ["redo", "up"])
async def test_a_kill_in_the_middle_loses_and_doubles_nothing(
    finish: str, held: tuple[Database, str], fresh: dict[str, Any], server: EmbeddedPostgres, node: DemoChain
) -> None:
    """Killed at a dozen points, in the rehearsal too; another reclassify completes it, or the next run does."""
    database, place = held
    dice = random.Random(finish)
    async with workers(server.url("held"), node, 100) as source:
        whole = {"archive": place, "changed": True}
        for kill in range(12):
            point = dice.choice([dice.randint(1, 60), dice.randint(60, 400)])
            ended = await source.run(point, redo=True, **whole)
            assert ended["code"] in (KILLED, 0), f"kill {kill} at point {point}"
            assert set(await complaints(database)) <= {"expired_leases.sql"}, f"kill {kill} at point {point}"
        assert (await source.run(redo=finish == "redo", **whole))["code"] == 0
    assert await outcome(database) == fresh
    assert await complaints(database) == {}
    assert node.count("eth_getLogs") == 0


async def test_an_interrupted_one_is_taken_up_without_being_asked_for(
    held: tuple[Database, str], fresh: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version is the new one already, and some ranges are there: the rest is still to be made."""
    database, place = held
    monkeypatch.setattr(backfill, "range_blocks", lambda group, first, names: 100)
    commit, left = ranges.commit, [3]

    async def until(*values: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise asyncio.CancelledError
        await commit(*values)

    monkeypatch.setattr(ranges, "commit", until)
    with pytest.raises(asyncio.CancelledError):
        await redo(database, place)
    monkeypatch.setattr(ranges, "commit", commit)
    done = await redo(database, place)
    assert sorted(done.deployments) == sorted(V3)
    assert await outcome(database) == fresh
    assert await complaints(database) == {}


async def test_a_crash_between_file_and_commit_leaves_an_orphan_only(
    database: Database, node: DemoChain, undisturbed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The index lists what was committed and nothing else; the next run goes on as if the file were not there."""
    commit = ranges.commit

    async def dies(*_: Any) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(ranges, "commit", dies)
    with pytest.raises(asyncio.CancelledError):
        await index(database, node.url, archive=str(tmp_path))
    rows = await database.fetch("SELECT file FROM archive WHERE holds = 'logs'")
    orphans = files(str(tmp_path)) - {
        Path(row["file"]).name for row in await database.fetch("SELECT file FROM archive")
    }
    assert orphans
    assert await database.fetch("SELECT FROM range_archive") == []
    monkeypatch.setattr(ranges, "commit", commit)
    await index(database, node.url, archive=str(tmp_path))
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}
    assert len(rows) < len(await database.fetch("SELECT file FROM archive WHERE holds = 'logs'"))


@pytest.fixture(autouse=True)
def families_unchanged() -> Iterator[None]:
    """No test leaves a rule changed."""
    yield
    assert (uniswap_v3.PPM, FAMILIES["uniswap_v3"].version) == (10**6, 2)
