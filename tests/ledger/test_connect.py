"""Opening a database: what is wrong is told, the URL never."""

from __future__ import annotations

import traceback

import pytest

from indexer.errors import BadInput, DatabaseUnusable
from indexer.ledger.connect import Database
from indexer.ledger.reading import ask

SECRET = "hunter2secret"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://user:{SECRET}/more@localhost/db",
        f"postgresql://user:{SECRET}#x@localhost/db",
        f"user:{SECRET}@localhost/db",
        f"postgresql://user:{SECRET}@127.0.0.1:1/db",
        f"postgresql://user:{SECRET}@no-such-host.invalid/db",
    ],
)
async def test_no_part_of_a_url_is_shown(url: str) -> None:
    """A password with a slash is a common mistake, and the driver quotes it."""
    with pytest.raises(DatabaseUnusable) as refused:
        await Database.open(url)
    shown = "".join(traceback.format_exception(refused.value))
    assert SECRET not in shown
    assert "user" not in str(refused.value).replace("user:password", "")


async def test_a_statement_that_wants_arguments_is_refused_with_a_sentence(database: Database) -> None:
    with pytest.raises(BadInput, match="Postgres refuses the statement"):
        await ask(database, "SELECT $1::int")
