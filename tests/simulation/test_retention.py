"""Old months without their flows: figures stay, the archive makes the flows again, and what comes late is summed whole."""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from indexer import app
from indexer.errors import ArchiveUnusable, BadInput
from indexer.families.uniswap_v3 import UniswapV3
from indexer.ledger.connect import Database
from indexer.publish.explain import explain
from indexer.reclassify import rederived
from indexer.work import job
from indexer.work.retain import drop_old_months, months_before
from tests.simulation.demo import complaints, index, outcome, redo, settings
from tests.simulation.node import DemoChain

LATER = date(2026, 3, 5)  # January is over and a month away
FLOWS = """
SELECT block_number, log_index, leg, encode(contract, 'hex'), kind::text, side::text, basis::text, encode(token, 'hex'), amount
FROM flow WHERE deployment = $1 AND (block_time AT TIME ZONE 'UTC')::date = $2 ORDER BY 1, 2, 3, 4
"""


def without_flows(told: dict[str, Any]) -> dict[str, Any]:
    return {name: rows for name, rows in told.items() if name != "flows"}


@pytest.fixture
async def place(database: Database, node: DemoChain, tmp_path: Path) -> str:
    """The demo chain in the ledger, and its archive."""
    await index(database, node.url, archive=str(tmp_path))
    return str(tmp_path)


async def sums(database: Database) -> list[tuple[Any, ...]]:
    """Of what logs told: streams are cut anew whenever a day is closed."""
    rows = await database.fetch(
        "SELECT deployment, day, token, sum(amount) FROM flow_daily GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows]


async def count(database: Database) -> int:
    return int((await database.fetch("SELECT count(*) AS n FROM flow"))[0]["n"])


async def test_figures_stay_when_flows_go(
    database: Database, node: DemoChain, place: str, undisturbed: dict[str, Any]
) -> None:
    """No check complains, a further run has nothing to do, and nothing is asked."""
    assert await drop_old_months(database, 1, LATER) == [date(2026, 1, 1)]
    assert await count(database) == 0
    assert without_flows(await outcome(database)) == without_flows(undisturbed)
    assert await complaints(database) == {}
    asked = node.count("eth_getLogs")
    await index(database, node.url, archive=place)
    assert node.count("eth_getLogs") == asked
    assert without_flows(await outcome(database)) == without_flows(undisturbed)
    assert await complaints(database) == {}


async def test_the_setting_drops_after_closing(
    database: Database, node: DemoChain, tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole months before those that are kept; none that is not old enough."""
    await index(database, node.url, archive=str(tmp_path), keep_flows=1)
    assert await count(database) > 0, "January is not over when the demo chain ends"
    monkeypatch.setattr(job, "drop_old_months", lambda ledger, months, _: drop_old_months(ledger, months, LATER))
    await index(database, node.url, archive=str(tmp_path), keep_flows=2)
    assert await count(database) > 0
    await index(database, node.url, archive=str(tmp_path), keep_flows=1)
    assert await count(database) == 0
    assert without_flows(await outcome(database)) == without_flows(undisturbed)


async def test_flows_that_are_not_archived_are_kept(database: Database, node: DemoChain) -> None:
    await index(database, node.url)
    before = await count(database)
    assert await drop_old_months(database, 1, LATER) == []
    assert await count(database) == before > 0


async def test_the_archive_makes_each_day_s_flows_again(database: Database, place: str) -> None:
    """Those of every deployment and closed day, without an endpoint, and nothing is written."""
    chosen = settings((), archive=place)
    days = await database.fetch("SELECT deployment, day FROM deployment_day WHERE day < '2026-01-14' ORDER BY 1, 2")
    wanted = [(row["deployment"], row["day"]) for row in days if not row["deployment"].startswith("demo_feed")]
    before = {key: [tuple(row) for row in await database.fetch(FLOWS, *key)] for key in wanted}
    assert sum(map(len, before.values())) > 10_000
    await drop_old_months(database, 1, LATER)
    kept = await outcome(database)
    for key in wanted[::3]:
        assert booked(await rederived(chosen, app.catalogue(chosen), database, *key)) == before[key], key
    assert await outcome(database) == kept
    assert await database.fetch("SELECT FROM lease") == []


def booked(made: Any) -> list[tuple[Any, ...]]:
    from indexer.decode import wide

    rows = []
    for flows in made:
        where, label = flows.where, flows.label
        for at, amount in enumerate(wide.to_ints(flows.amount)):
            rows.append(
                (
                    int(where.block[at]), int(where.log_index[at]), flows.leg, where.contract[at].tobytes().hex(),
                    label.kind.value, label.side.value, label.basis.value, flows.token[at].tobytes().hex(), amount,
                )
            )  # fmt: skip
    return sorted(rows)


async def test_explain_is_the_same_before_and_after(database: Database, place: str) -> None:
    """Down to the logs; without the archive at hand the tree says why it ends."""
    day = date(2026, 1, 5)
    before = await explain(database, "demo_dex", day)
    await drop_old_months(database, 1, LATER)
    chosen = settings((), archive=place)
    again = partial(rederived, chosen, app.catalogue(chosen), database)
    assert await explain(database, "demo_dex", day, rederived=again) == before
    assert await explain(database, "demo_dex", day) != before


async def test_what_cannot_be_made_again_says_why(
    database: Database, place: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such deployment, a day that is open, another archive, another rule."""
    chosen, day = settings((), archive=place), date(2026, 1, 5)
    with pytest.raises(BadInput, match="demo_dexx.demo: no manifest has it"):
        await rederived(chosen, app.catalogue(chosen), database, "demo_dexx.demo", day)
    with pytest.raises(BadInput, match="2026-02-05 is not closed"):
        await rederived(chosen, app.catalogue(chosen), database, "demo_dex.demo", date(2026, 2, 5))
    other = settings((), archive=str(tmp_path_factory.mktemp("empty")))
    with pytest.raises(ArchiveUnusable, match="is not in"):
        await rederived(other, app.catalogue(other), database, "demo_dex.demo", day)
    monkeypatch.setattr(UniswapV3, "version", 99)
    with pytest.raises(BadInput, match="run indexer reclassify first"):
        await rederived(chosen, app.catalogue(chosen), database, "demo_dex.demo", day)


async def test_late_blocks_of_a_dropped_day_are_summed_with_those_dropped(
    database: Database, node: DemoChain, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """A later half was read, closed and dropped; then the earlier one comes. The day's sum is that of both."""
    await index(database, node.url, archive=str(tmp_path), start=440)
    assert await drop_old_months(database, 1, LATER) == [date(2026, 1, 1)]
    await index(database, node.url, archive=str(tmp_path), start=0)
    assert without_flows(await outcome(database)) == without_flows(undisturbed)
    assert await complaints(database) == {}
    late = await database.fetch("SELECT DISTINCT day FROM range_day WHERE dropped ORDER BY 1")
    assert late, "days that nothing touched stay without their flows"
    assert await drop_old_months(database, 1, LATER) == [date(2026, 1, 1)]
    assert await complaints(database) == {}
    assert without_flows(await outcome(database)) == without_flows(undisturbed)


async def test_without_the_archive_such_a_day_waits(
    database: Database, node: DemoChain, tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    """Its old sum is shown meanwhile; with the archive back it is closed."""
    await index(database, node.url, archive=str(tmp_path), start=440)
    await drop_old_months(database, 1, LATER)
    before = await sums(database)
    await index(database, node.url, start=0)
    rows = await database.fetch("SELECT deployment, day FROM dirty_day WHERE day < '2026-01-14'")
    waiting = {tuple(row) for row in rows}
    assert (
        [row for row in await sums(database) if row[:2] in waiting]
        == [row for row in before if row[:2] in waiting]
        != []
    )
    await index(database, node.url, archive=str(tmp_path), start=0)
    assert without_flows(await outcome(database)) == without_flows(undisturbed)
    assert await complaints(database) == {}


async def test_a_dropped_month_is_reclassified_as_any_other(
    database: Database, node: DemoChain, place: str, undisturbed: dict[str, Any]
) -> None:
    """One deployment redone: its flows are made again, the others' sums stay; then the month goes again."""
    await drop_old_months(database, 1, LATER)
    asked = len(node.asked)
    await redo(database, place, "demo_dex")
    assert without_flows(await outcome(database)) == without_flows(undisturbed)
    assert [row[0] for row in (await outcome(database))["flows"]] == ["demo_dex.demo"]
    assert await complaints(database) == {}
    assert await drop_old_months(database, 1, LATER) == [date(2026, 1, 1)]
    assert await complaints(database) == {}
    await redo(database, place, everything=True)
    assert await outcome(database) == undisturbed
    assert await complaints(database) == {}
    assert len(node.asked) == asked


@pytest.mark.parametrize(
    ("day", "months", "first"),
    [
        (date(2026, 3, 31), 1, date(2026, 2, 1)),
        (date(2026, 3, 1), 3, date(2025, 12, 1)),
        (date(2026, 1, 15), 1, date(2025, 12, 1)),
        (date(2026, 12, 31), 24, date(2024, 12, 1)),
    ],
)
def test_months_are_whole_ones(day: date, months: int, first: date) -> None:
    """One month kept: the present one and the one before it."""
    assert months_before(day, months) == first
