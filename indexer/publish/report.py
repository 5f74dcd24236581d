"""The table at the end of a run: what each protocol earned and what it printed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from indexer.ledger.connect import Database
from indexer.ledger.sql import query

_WIDEST = 1_000  # columns a table may have
_DOLLARS = ("fees_usd", "supply_side_usd", "revenue_usd", "incentives_usd", "earnings_usd")
_NOTE = "dollars of closed days; - is unknown\nreal share = supply side / (supply side + incentives)"


async def protocol_table(database: Database, protocols: Sequence[str]) -> Table:
    """Totals over all closed days, one row per chain and protocol; a dash where the ledger does not know."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, caption=_NOTE, caption_justify="left")
    for heading in ("protocol", "chain", "days"):
        table.add_column(heading, no_wrap=True)
    for heading in ("fees", "supply\nside", "revenue", "incen-\ntives", "earnings", "real\nshare"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in map(dict, await database.fetch(query("protocol_totals"), list(protocols))):
        figures = [dollars(row[name]) for name in _DOLLARS]
        share = "-" if row["real_share"] is None else f"{row['real_share'] * 100:.1f} %"
        table.add_row(row["protocol"], row["chain"], str(row["days"]), *figures, share)
        table.caption = "\n".join([str(table.caption), *_remarks(row)])
    return table


def show(console: Console, table: Table) -> None:
    """Prints it; where the terminal is too narrow lines break, but no figure is cut."""
    wide = Console(file=console.file, width=_WIDEST, force_terminal=console.is_terminal, no_color=console.no_color)
    wide.width = max(console.width, wide.measure(table).maximum)
    wide.print(table, crop=False)


def _remarks(row: Mapping[str, Any]) -> Iterator[str]:
    """What must be known to read a row rightly."""
    if row["unpriced"]:
        yield f"{row['protocol']} on {row['chain']}: {row['unpriced']:,} flows have no price and are in no sum"
    if row["coverage"] is not None and row["coverage"] < 1:
        share = f"{row['coverage'] * 100:.1f} % of its blocks"
        yield f"{row['protocol']} on {row['chain']}: a day was read in part ({share})"


def dollars(value: Decimal | None) -> str:
    """Whole dollars with separators, a dash for unknown."""
    return "-" if value is None else f"{value:,.0f}"
