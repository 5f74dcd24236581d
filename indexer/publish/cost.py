"""What a run will cost, told to people: as one line before it starts, and as the table of check."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.publish.figures import counted, duration, octets, rough
from indexer.publish.sheet import Column, Row, Sheet

_NOTE = "about, from a small sample"


def cost_line(row: Row) -> str:
    """'ethereum: blocks 1 to 9, about 5,000 logs: 12 requests (720 compute units), 1.2 MB, 3 s'; row: an estimate."""
    paid = "" if row["credits"] is None else f" ({counted(row['credits'])} {row['unit']})"
    what = (
        f"{row['chain']}: blocks {counted(row['first'])} to {counted(row['last'])}, about {counted(row['logs'])} logs"
    )
    return f"{what}: {counted(row['requests'])} requests{paid}, {octets(row['octets'])}, {duration(_time(row))}"


def cost_sheet(rows: Sequence[Row]) -> Sheet:
    """The table of check; rows: estimates as mappings."""
    units = sorted({row["unit"] for row in rows if row["credits"] is not None})
    return Sheet("cost", rows, COLUMNS, "; ".join([_NOTE, *(f"credits are {unit}" for unit in units)]))


COLUMNS = (
    Column("chain", lambda row: row["chain"]),
    Column("blocks", lambda row: rough(row["last"] - row["first"] + 1), right=True),
    Column("logs", lambda row: rough(row["logs"]), right=True),
    Column("requests", lambda row: rough(row["requests"]), right=True),
    Column("credits", lambda row: rough(row["credits"]), right=True),
    Column("answers", lambda row: octets(row["octets"]), right=True),
    Column("time", lambda row: duration(_time(row)), right=True),
)


def _time(row: Row) -> int:
    return max(1, int(row["seconds"]))
