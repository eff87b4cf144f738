"""The ledger's databases: a file of SQLite, and a PostgreSQL of our own."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from tests.messaging.postgres_server import PostgresServer, find_binaries, running_postgres


@pytest.fixture(scope="session")
def postgres_binaries(need: Callable[[str], NoReturn]) -> Path:
    return find_binaries() or need("PostgreSQL is not installed (Debian: apt-get install postgresql)")


@pytest.fixture(scope="session")
def postgres(postgres_binaries: Path) -> Iterator[PostgresServer]:
    """Give the server that all tests share; each makes a database of its own."""
    with running_postgres(postgres_binaries) as server:
        yield server


@pytest.fixture
def own_postgres(postgres_binaries: Path) -> Iterator[PostgresServer]:
    """Give a server that the test may break."""
    with running_postgres(postgres_binaries) as server:
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Name an empty database of each kind: what the ledger promises it keeps on both."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('file')}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.url(server.new_database())
