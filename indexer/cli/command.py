"""The command that the verbs are added to."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from indexer.cli.exits import epilog

ORDER = (
    "init", "check", "demo", "up", "status", "protocols", "sql", "explain", "prices", "export", "reclassify",
    "restatements",
)  # fmt: skip


class InOrder(TyperGroup):
    """Verbs in the order in which people need them, whatever module they come from; unlisted ones last."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names for the help."""
        return sorted(super().list_commands(ctx), key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))


cli = typer.Typer(
    cls=InOrder,
    help="Every fee and every emission, read from the chain, in your Postgres.",
    epilog=epilog(),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
