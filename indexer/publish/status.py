"""How the ledger stands, as sheets: chains, deployments, protocols, disk, leases, checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from typing import Any

from indexer.ledger.checking import Checked, Outcome
from indexer.ledger.standing import Row, Standing
from indexer.publish.figures import UNKNOWN, counted, duration, octets, share
from indexer.publish.rows import aligned
from indexer.publish.sheet import Column, Sheet


def status_sheets(told: Standing, now: datetime) -> list[Sheet]:
    """Everything but the checks; ages are told as of `now`."""
    disk = _disk(told)
    return [
        Sheet("chains", [_chain(row, told, now) for row in told.chains], CHAINS),
        Sheet("deployments", [_deployment(row, told) for row in told.deployments], DEPLOYMENTS),
        Sheet("protocols", told.protocols, PROTOCOLS),
        Sheet("disk", [disk], DISK),
        Sheet("leases", told.leases, LEASES),
    ]


def checks_sheet(found: Sequence[Checked]) -> Sheet:
    """The checks for JSON; rows of failing ones as objects."""
    return Sheet("checks", [_check(one) for one in found])


def checks_text(found: Sequence[Checked]) -> str:
    """Failing checks with their first rows, those that were not finished, and how many hold."""
    parts = [
        f"Check {one.check} fails: {one.sentence}\n{aligned(one.rows)}{' and more' if one.more else ''}"
        for one in found
        if one.outcome is Outcome.FAILS
    ]
    late = [one.check for one in found if one.outcome is Outcome.UNFINISHED]
    if late:
        parts.append(f"Not finished in time, so not known: {', '.join(late)}. Give them more with --patience.")
    holding = sum(one.outcome is Outcome.HOLDS for one in found)
    return "\n\n".join([*parts, f"{holding} of {len(found)} checks hold."])


def _chain(row: Row, told: Standing, now: datetime) -> Row:
    reached = [
        one["held_to"] for one in told.deployments if one["chain"] == row["chain"] and one["held_to"] is not None
    ]
    known = row["final_block"] is not None and reached
    age = None if row["final_time"] is None else int((now - row["final_time"]).total_seconds())
    return {
        **row,
        "final_age_seconds": age,
        "lag_blocks": max(0, row["final_block"] - min(reached)) if known else None,
        "useful_share": _ratio(row["logs_used"], row["logs_received"]),
    }


def _deployment(row: Row, told: Standing) -> Row:
    wanted = row["blocks_wanted"]
    return {**row, "coverage": _ratio(row["blocks_held_of_wanted"], wanted), "disk_octets": _room(row, told)}


def _room(row: Row, told: Standing) -> int | None:
    """Octets of its flows: a part of the partitions, which all deployments share."""
    kept = sum(one["flows_kept"] for one in told.deployments)
    return int(told.room["flow_octets"] or 0) * int(row["flows_kept"]) // kept if kept else None


def _disk(told: Standing) -> Row:
    """projected_octets: of the database once each deployment holds all that is wanted, at its flows per block."""
    now = sum(one["flows_kept"] for one in told.deployments)
    then = sum(
        one["flows_kept"] * max(1, Decimal(one["blocks_wanted"] or 0) / one["blocks_held_of_wanted"])
        for one in told.deployments
        if one["blocks_held_of_wanted"]
    )
    flows = int(told.room["flow_octets"] or 0)
    grown = int(flows * then / now) - flows if now and then else None
    return {**told.room, "projected_octets": None if grown is None else told.room["database_octets"] + max(0, grown)}


def _check(one: Checked) -> dict[str, Any]:
    rows = [dict(zip(one.rows.names, line, strict=True)) for line in one.rows.values]
    return {**asdict(one), "outcome": one.outcome.value, "rows": rows}


def _ratio(part: int | None, whole: int | None) -> Decimal | None:
    return None if part is None or not whole else round(Decimal(part) / Decimal(whole), 6)


def _speed(value: Decimal | None) -> str:
    return UNKNOWN if value is None else counted(value) if value >= 10 else f"{value:.1f}"


CHAINS = (
    Column("chain", lambda row: row["chain"]),
    Column("final head", lambda row: counted(row["final_block"]), right=True),
    Column("age", lambda row: duration(row["final_age_seconds"]), right=True),
    Column("lag", lambda row: counted(row["lag_blocks"]), right=True),
    Column("blocks/s", lambda row: _speed(row["blocks_per_second"]), right=True),
    Column("requests", lambda row: counted(row["requests"]), right=True),
    Column("answers", lambda row: octets(row["octets"]), right=True),
    Column("useful", lambda row: share(row["useful_share"]), right=True),
)
DEPLOYMENTS = (
    Column("deployment", lambda row: row["deployment"]),
    Column("read", lambda row: share(row["coverage"]), right=True),
    Column("from", lambda row: counted(row["held_from"]), right=True),
    Column("to", lambda row: counted(row["held_to"]), right=True),
    Column("flows", lambda row: counted(row["flows"]), right=True),
    Column("disk", lambda row: octets(row["disk_octets"]), right=True),
    Column("undecoded", lambda row: counted(row["quarantined"]), right=True),
)
PROTOCOLS = (
    Column("protocol", lambda row: row["protocol"]),
    Column("chain", lambda row: row["chain"]),
    Column("days", lambda row: counted(row["days"]), right=True),
    Column("from", lambda row: row["first_day"].isoformat()),
    Column("to", lambda row: row["last_day"].isoformat()),
    Column("flows", lambda row: counted(row["flows"]), right=True),
    Column("unpriced", lambda row: share(row["unpriced_share"]), right=True),
)
DISK = (
    Column("database", lambda row: octets(row["database_octets"]), right=True),
    Column("of it flows", lambda row: octets(row["flow_octets"]), right=True),
    Column("once all is read", lambda row: octets(row["projected_octets"]), right=True),
    Column("archive", lambda row: octets(row["archive_octets"]), right=True),
)
LEASES = (
    Column("being read", lambda row: f"{row['chain']} {row['first_block']:,} to {row['last_block']:,}"),
    Column("by", lambda row: row["holder"] if row["running"] else f"{row['holder']} (gone)"),
    Column("for", lambda row: ", ".join(row["deployments"])),
)
