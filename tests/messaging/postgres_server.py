"""A real PostgreSQL on a free port, which a test may stop, kill, freeze and start again."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import psycopg

from tests.s3_servers import free_ports

READY_S = 30
POLL_S = 0.02
OWNER = "medialink"
OWNER_PASSWORD = "owner-of-the-test"
ADMIN = "admin"
SYSTEM_USER = "postgres"
"""Debian's package makes it: PostgreSQL does not run as root."""
CONFIGURATION: Mapping[str, str] = MappingProxyType(
    {
        "fsync": "off",
        "max_connections": "60",
        "shared_buffers": "16MB",
        "timezone": "Asia/Kathmandu",  # +05:45: nothing of ours may lean on the server's clock being in UTC
        "default_transaction_isolation": "serializable",  # nor on what an administrator chose
    }
)


def find_binaries() -> Path | None:
    """Find the folder of `postgres` and `initdb`: PATH, else Debian's, the newest first."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda file: -int(file.parts[-3]))
    found = [Path(on_path).resolve()] if on_path else debian
    return found[0].parent if found else None


class PostgresServer:
    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(folder, SYSTEM_USER, SYSTEM_USER)
            self._user = {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count()
        (self.port,) = free_ports(1)
        self.data = folder / "data"
        who = ["-U", ADMIN, "--auth-local=trust", "--auth-host=scram-sha-256"]
        subprocess.run(  # noqa: S603 - the arguments are ours
            [self._binaries / "initdb", "-D", self.data, *who, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **self._user,
        )

    def start(self, **configuration: str) -> Self:
        flags = [f"--{name}={value}" for name, value in {**CONFIGURATION, **configuration}.items()]
        places = ["-D", str(self.data), "-k", str(self._folder), "-h", "localhost", "-p", str(self.port)]
        with (self._folder / "log").open("ab") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603 - the arguments are ours
                [self._binaries / "postgres", *places, *flags], stdout=log, stderr=log, cwd=self._folder, **self._user
            )
        self._process = process
        until(lambda: process.poll() is not None or self._answers())
        assert process.poll() is None, (self._folder / "log").read_text()[-2000:]
        return self

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT is what `pg_ctl stop -m fast` sends, SIGQUIT what a crash comes next to."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(READY_S)
            self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no process of the server run, as a stalled machine would; the kernel still acknowledges what comes."""
        assert self._process is not None
        sessions = self.run("SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        processes = [self._process.pid, *(pid for (pid,) in sessions)]
        try:
            signal_all(processes, signal.SIGSTOP)
            yield
        finally:
            signal_all(processes[::-1], signal.SIGCONT)

    def put(self, name: str, content: bytes) -> Path:
        """Lay a file beside the data, of the server's own user and closed to others, as its key has to be."""
        file = self._folder / name
        file.touch(mode=0o600)
        file.write_bytes(content)
        if self._user:
            shutil.chown(file, SYSTEM_USER, SYSTEM_USER)
        return file

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Come in by the back door, as the administrator."""
        return psycopg.connect(
            host=str(self._folder), port=self.port, user=ADMIN, dbname=database, autocommit=True, connect_timeout=5
        )

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with self.connect(database) as connection:
            answer = connection.execute(statement.encode())
            return answer.fetchall() if answer.description else []

    def new_database(self, *, owner: str = OWNER, encoding: str = "UTF8") -> str:
        """Make a database for an ordinary user."""
        name = f"ledger_{next(self._numbers)}"
        if not self.run(f"SELECT 1 FROM pg_roles WHERE rolname = '{OWNER}'"):  # noqa: S608 - our own words
            self.run(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{OWNER_PASSWORD}'")
        locale = "LC_COLLATE 'C' LC_CTYPE 'C'"
        self.run(f"CREATE DATABASE {name} OWNER {owner} TEMPLATE template0 ENCODING '{encoding}' {locale}")
        return name

    def url(self, database: str, *, password: str = OWNER_PASSWORD) -> str:
        return f"postgresql://{OWNER}:{password}@localhost:{self.port}/{database}"

    def sessions(self, database: str, condition: str = "true") -> int:
        """Count those whom the server knows in a database, or of them those who meet a condition."""
        of_ours = f"datname = '{database}' AND usename = '{OWNER}' AND ({condition})"
        ((number,),) = self.run(f"SELECT count(*) FROM pg_stat_activity WHERE {of_ours}")  # noqa: S608 - our own words
        return int(number)

    def terminate(self, database: str) -> None:
        self.run(
            f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "  # noqa: S608 - our own words
            f"WHERE datname = '{database}' AND usename = '{OWNER}'"
        )


@contextmanager
def running_postgres(binaries: Path) -> Iterator[PostgresServer]:
    """Run a server in a folder that its own user can reach; pytest's are closed to all but ours."""
    with tempfile.TemporaryDirectory(prefix="medialink-postgres-") as folder:
        server = PostgresServer(binaries, Path(folder))
        try:
            yield server.start()
        finally:
            server.stop(signal.SIGQUIT)


def signal_all(processes: Sequence[int], what: signal.Signals) -> None:
    """Reach those that are still there: PostgreSQL's own workers come and go."""
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, what)


def until(condition: Callable[[], object], *, within_s: float = READY_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        time.sleep(POLL_S)
        assert time.monotonic() < deadline, "what was waited for did not come"
