"""What a process need not carry it does not import, and what several need they share."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import httpx2
import pytest

from tests.conftest import NO_TLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import House

ABSENT = (
    "sqlalchemy",
    "alembic",
    "httpx2",
    "boto3",
    "botocore",
    "moto",
    "opentelemetry",
    "proxy.messaging",
    "proxy.demo",
    "proxy.sandbox.app",
)
WITHOUT = f"""
import sys

class Absent:
    def find_spec(self, name, *_):
        if name.startswith({ABSENT!r}):
            raise ImportError(f"{{name}} is not installed")

sys.meta_path.insert(0, Absent())
from proxy.__main__ import main
main()
"""
PATIENCE_S = 60
POLL_S = 0.05
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, and forks on Linux only")


@contextmanager
def served(
    house: "House", data_dir: Path, *arguments: str, imports: IO[bytes] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Serve the house's store; `serve --only delivery` can import nothing that it does not need.

    Python writes to `imports` what each process imports.
    """
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    environment = os.environ | {
        "DATA_DIR": str(data_dir),
        "STORE": house.settings.store,
        "LINK_KEYS": "1:" + "a" * 43,
        "LISTEN_PORT": str(port),
        "DECODE_SLOTS": "1",
        "PYTHONPROFILEIMPORTTIME": "1" if imports else "",
    }
    program = ["-c", WITHOUT] if "delivery" in arguments else ["-m", "proxy"]
    command = [sys.executable, *program, "serve", *arguments]
    with subprocess.Popen(command, env=environment, stderr=imports) as server:  # noqa: S603 - our own program
        try:
            url = f"http://127.0.0.1:{port}"
            until = time.monotonic() + PATIENCE_S
            while not answers(url):
                assert time.monotonic() < until
                with suppress(subprocess.TimeoutExpired):
                    assert server.wait(POLL_S) is None
            yield server, url
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE_S) in {0, -signal.SIGTERM}


def answers(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, verify=NO_TLS).is_success
    except httpx2.TransportError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_delivery_alone_needs_no_database_and_no_provider(
    build: "Callable[..., House]", heavy_jpeg: bytes, tmp_path: Path, workers: str
) -> None:
    house = build()
    house.put("a.jpg", heavy_jpeg)
    path = house.link("a.jpg").removeprefix(house.url)
    made = house.web.get(path).content
    for kept in (tmp_path / "store" / ".medialink" / "renditions").iterdir():
        kept.unlink()
    with served(house, tmp_path / "other", "--only", "delivery", "--workers", workers) as (_, url):
        assert httpx2.get(url + path, trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).content == made


@LINUX
@pytest.mark.parametrize("half", [(), ("--only", "delivery")], ids=["both halves", "delivery"])
def test_workers_share_the_memory_of_what_they_run(house: "House", tmp_path: Path, half: tuple[str, ...]) -> None:
    with (
        (tmp_path / "imports").open("w+b") as imports,
        served(house, tmp_path / "other", *half, "--workers", "2", imports=imports) as (server, _),
    ):
        assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1, "what forks has one thread"
        workers = children_of(server.pid)
        assert len(workers) == 2
        for worker in workers:
            rollup = dict(line.split(":") for line in Path(f"/proc/{worker}/smaps_rollup").read_text().splitlines()[1:])
            own_kb, all_kb = (int(rollup[name].split()[0]) for name in ("Private_Dirty", "Rss"))
            assert own_kb < all_kb / 2
        imports.seek(0)
        counts = Counter(line.rpartition(b"|")[2].strip().decode() for line in imports)
    assert counts["proxy.delivery.serve"] == 2, (
        "by whom looks at the doors first, and by whom the workers are forked of"
    )
    assert counts["sqlalchemy"] == (0 if half else 2)


@LINUX
def test_what_serves_alone_is_imported_once(house: "House", tmp_path: Path) -> None:
    log = tmp_path / "imports"
    with log.open("wb") as imports, served(house, tmp_path / "other", imports=imports):
        pass
    counts = Counter(line.rpartition("|")[2].strip() for line in log.read_text().splitlines())
    assert {name: counts[name] for name in ("proxy.delivery.serve", "sqlalchemy", "uvloop")} == {
        "proxy.delivery.serve": 1,
        "sqlalchemy": 1,
        "uvloop": 1,
    }


@LINUX
def test_a_worker_that_dies_is_replaced(house: "House", tmp_path: Path) -> None:
    with served(house, tmp_path / "other", "--only", "delivery", "--workers", "2") as (server, url):
        first = children_of(server.pid)
        os.kill(first[0], signal.SIGKILL)
        until = time.monotonic() + PATIENCE_S
        while len(children := children_of(server.pid)) < 2 or first[0] in children:
            assert time.monotonic() < until
        assert first[1] in children
        assert answers(url)


HEAVY = (
    "alembic",
    "asyncio",
    "boto3",
    "botocore",
    "cryptography",
    "httpx2",
    "PIL",
    "prometheus_client",
    "proxy.app",
    "proxy.delivery.shapes",
    "proxy.messaging",
    "proxy.sandbox.app",
    "proxy.settings",
    "pydantic_settings",
    "rich",
    "sqlalchemy",
    "starlette",
    "structlog",
    "typer",
    "uvicorn",
)
LOADED = f"""
import sys
from proxy.__main__ import main
try:
    main()
finally:
    sys.stderr.write(" ".join(name for name in {HEAVY!r} if name in sys.modules))
"""
SETTINGS = {"asyncio", "proxy.settings", "pydantic_settings", "typer"}
DELIVERY = SETTINGS | {"cryptography", "PIL", "prometheus_client", "proxy.app", "rich", "starlette", "structlog"}


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (("--help",), {"rich", "typer"}),
        (("check", "--help"), {"rich", "typer"}),
        (("health",), set[str]()),
        (("settings",), SETTINGS | {"rich"}),
        (("settings", "--json"), SETTINGS),
        (("put", "photo.jpg"), DELIVERY),
        (("check", "photo.jpg", "--kind", "image"), DELIVERY),
        (("link", "photo.jpg", "--kind", "image"), DELIVERY | {"proxy.messaging"}),
        (("takedown", "--list"), DELIVERY),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else "",
)
def test_a_command_imports_only_what_it_needs(
    light_jpeg: bytes, tmp_path: Path, arguments: tuple[str, ...], needed: set[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(light_jpeg)
    told = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", LOADED, *arguments],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "LISTEN_PORT": "9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert set(told.stderr.rpartition("\n")[2].split()) == needed
    assert "Traceback" not in told.stderr
