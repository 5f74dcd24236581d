"""psql on the ledger's database: the connection goes through the environment, so that no process list shows it."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from urllib.parse import parse_qsl, unquote, urlsplit

from indexer.errors import DatabaseUnusable
from indexer.ledger.embedded import packaged_psql

# https://www.postgresql.org/docs/current/libpq-envars.html
_VARIABLES = {
    "host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "passfile": "PGPASSFILE",
    "dbname": "PGDATABASE", "database": "PGDATABASE", "service": "PGSERVICE", "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT", "application_name": "PGAPPNAME", "sslmode": "PGSSLMODE",
    "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "sslrootcert": "PGSSLROOTCERT", "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING", "gssencmode": "PGGSSENCMODE", "krbsrvname": "PGKRBSRVNAME",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}  # fmt: skip


async def psql(url: str, *, embedded: bool) -> int:
    """Runs psql in this terminal on the database of a URL, in UTC; its exit code. Raises DatabaseUnusable.

    embedded: take the psql of the embedded server, which otherwise stands in where the system has none.
    """
    own = None if embedded else shutil.which("psql")
    program = packaged_psql() if own is None else Path(own)
    with _interrupts_are_psqls():
        process = await asyncio.create_subprocess_exec(program, env={**os.environ, **connection_variables(url)})
        try:
            return await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            await process.wait()
            raise


def connection_variables(url: str) -> dict[str, str]:
    """The environment variables of libpq for a postgresql:// URL, and UTC. Raises DatabaseUnusable, without the URL."""
    try:
        parts = urlsplit(url)
        told = dict(_of_authority(parts.netloc))
        if parts.path.strip("/"):
            told["dbname"] = unquote(parts.path[1:])
        told |= dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        variables = {_VARIABLES[name]: value for name, value in told.items()}
    except (KeyError, ValueError):  # its text may hold a part of the password
        raise DatabaseUnusable(
            "The database URL has a part that psql cannot be given through the environment: leave options such as "
            "prepared_statement_cache_size out of it, or start psql yourself."
        ) from None
    return {"PGTZ": "UTC", "PGAPPNAME": "indexer sql"} | variables


def _of_authority(authority: str) -> Iterator[tuple[str, str]]:
    """user:password@host:port,host:port as libpq reads it; a host in brackets is an IPv6 address."""
    credentials, at, places = authority.rpartition("@")
    user, colon, password = credentials.partition(":")
    if at and user:
        yield "user", unquote(user)
    if colon and password:
        yield "password", unquote(password)
    hosts, ports = [], []
    for place in places.split(","):
        host, _, port = place.rpartition(":") if ":" in place.rpartition("]")[2] else (place, "", "")
        hosts.append(unquote(host).strip("[]"))
        ports.append(port)
    if any(hosts):
        yield "host", ",".join(hosts)
    if any(ports):
        yield "port", ",".join(ports)


@contextmanager
def _interrupts_are_psqls() -> Iterator[None]:
    """Ctrl-C reaches psql, which takes its statement back; it must not end the program around it."""

    def left(_signal: int, _frame: FrameType | None) -> None:
        """Handled, so that a child starts with the default: an ignored signal would stay ignored there."""

    previous = signal.signal(signal.SIGINT, left)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
