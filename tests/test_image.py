"""The image, as far as it goes without a daemon: its entry commands run an installed copy, and may write nowhere else.

That the Dockerfile builds, and what comes of it, `make image` tells.
"""

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn, Protocol

import httpx2
import pytest
from PIL import Image

from proxy.servers import OPTIONS
from tests.conftest import NO_TLS, TOKEN, picture
from tests.s3_servers import free_ports

PATIENCE_S = 60
IMAGE_USER = 10001
PRELOADED = "/usr/local/lib/libjemalloc.so.2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A command of the image, and where it listens: the service's port, then the platform's."""

    process: subprocess.Popen[bytes]
    ports: list[int]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def platform(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"


class Start(Protocol):
    def __call__(self, arguments: str, *, beside: Running | None = None) -> Running: ...


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile's last stage: each instruction with what it says, comments and broken lines aside."""
    text = re.sub(r"^#.*\n", "", Path("Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    told = [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in text.splitlines())]
    last = max(at for at, (name, _) in enumerate(told) if name == "FROM")
    return [(name, rest) for name, rest in told[last:] if name]


def said(wanted: str) -> str:
    """Give what the one instruction of a name says."""
    (rest,) = [rest for name, rest in instructions() if name == wanted]
    return rest


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(said("ENV")))


@pytest.fixture(scope="session")
def root() -> Iterator[Path]:
    """Make a folder that another user may enter; pytest keeps its own to itself."""
    with TemporaryDirectory(prefix="medialink-image-") as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="session")
def code(root: Path) -> Iterator[Path]:
    """Install the package as the image does, where nobody may write."""
    folder = root / "medialink"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    source = folder.with_name("source")
    shutil.copytree("proxy", source / "proxy", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(name, source)
    subprocess.run([*pip, "--target", str(folder), str(source)], check=True, timeout=PATIENCE_S)  # noqa: S603 - ours
    let_write(folder, allowed=False)
    yield folder
    let_write(folder, allowed=True)


def let_write(folder: Path, *, allowed: bool) -> None:
    for path in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | stat.S_IWUSR if allowed else mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))


@pytest.fixture
def unprivileged(need: Callable[[str], NoReturn]) -> list[str]:
    """Take root's rights away but for reading, which the interpreter may need where it lies in root's home."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        need("setpriv is not installed (Debian: util-linux)")
    read_only = ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    user = [f"--reuid={IMAGE_USER}", f"--regid={IMAGE_USER}", "--clear-groups", "--no-new-privs"]
    return ["setpriv", *user, *read_only, "--bounding-set=-all,+dac_read_search"]


@pytest.fixture
def volumes(root: Path, unprivileged: list[str]) -> Iterator[dict[str, Path]]:
    """Make what the image's VOLUME names: nothing else may be written to."""
    made = {volume: root / volume.strip("/") for volume in json.loads(said("VOLUME"))}
    for folder in made.values():
        folder.mkdir()
        if unprivileged:
            os.chown(folder, IMAGE_USER, IMAGE_USER)
    yield made
    for folder in made.values():
        shutil.rmtree(folder)


@pytest.fixture
def start(code: Path, unprivileged: list[str], volumes: dict[str, Path]) -> Iterator[Start]:
    """Run the image's entry point with its environment."""
    image = environment()
    with ExitStack() as running:

        def run(arguments: str, *, beside: Running | None = None) -> Running:
            ports = beside.ports if beside else free_ports(2)
            (command,) = json.loads(said("ENTRYPOINT"))
            given = {
                "PATH": f"{code / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(code),
                "DATA_DIR": str(volumes[image["DATA_DIR"]]),
                "TMPDIR": str(volumes["/tmp"]),  # noqa: S108 - the image's own
                "LISTEN_PORT": str(ports[0]),
                "METRICS_PORT": str(ports[1]),
                "GATEWAY_KEYS": "1a" * 32,
                "ALIAS_PREFIXES": "open/",
            }
            process = running.enter_context(
                subprocess.Popen(  # noqa: S603 - what the Dockerfile says
                    [*unprivileged, str(code / "bin" / command), *arguments.split()],
                    cwd=volumes[said("WORKDIR")],
                    env={name: value for name, value in image.items() if name != "LD_PRELOAD"} | given,
                )
            )
            running.callback(process.kill)
            return Running(process=process, ports=ports)

        yield run


def wait_until_ready(service: Running) -> dict[str, str]:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with suppress(httpx2.TransportError):
            answer = httpx2.get(f"{service.platform}/readyz", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S)
            assert answer.status_code == 200, answer.text
            return dict(answer.json())
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"it ended with {service.process.wait(0.05)}")
    pytest.fail("it does not answer")


def stop(service: Running) -> None:
    service.process.send_signal(signal.Signals[said("STOPSIGNAL")])
    assert service.process.wait(OPTIONS["timeout_graceful_shutdown"]) in {0, -signal.SIGTERM}


def test_delivery_runs_from_the_entry_point_without_rights(start: Start, volumes: dict[str, Path]) -> None:
    media = volumes["/data"] / "media" / "open"
    service = start("serve --only delivery")
    assert wait_until_ready(service) == {"store": "ok", "cache": "ok", "takedowns": "ok"}
    media.mkdir()
    (media / "a.webp").write_bytes(picture(640, 480, form="WEBP"))
    made = httpx2.get(f"{service.url}/image/open/a.webp.jpg", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S)
    assert (made.status_code, made.headers["content-type"]) == (200, "image/jpeg")
    stop(service)


def test_messaging_runs_from_the_entry_point_without_rights(start: Start) -> None:
    service = start("serve --only messaging")
    assert wait_until_ready(service) == {"store": "ok", "cache": "ok", "ledger": "ok", "takedowns": "ok"}
    authorization = {"Authorization": f"Bearer {TOKEN}"}
    refused = httpx2.post(f"{service.url}/links", headers=authorization, trust_env=False, verify=NO_TLS, json={})
    assert refused.status_code == 401
    stop(service)


def test_it_serves_both_when_nothing_is_said_and_its_healthcheck_finds_it(start: Start) -> None:
    (command,) = json.loads(said("CMD"))
    service = start(command)
    wait_until_ready(service)
    program, *arguments = json.loads(said("HEALTHCHECK").split(" CMD ")[1])
    assert program == json.loads(said("ENTRYPOINT"))[0]
    healthcheck = start(" ".join(arguments), beside=service)
    assert healthcheck.process.wait(PATIENCE_S) == 0
    stop(service)
    healthcheck = start(" ".join(arguments), beside=service)
    assert healthcheck.process.wait(PATIENCE_S) != 0


def test_it_draws_the_picture_of_a_report_without_fonts_of_a_system(start: Start, volumes: dict[str, Path]) -> None:
    service = start("serve --only messaging")
    wait_until_ready(service)
    drawing = start("report --png report.png", beside=service)
    assert drawing.process.wait(PATIENCE_S) == 0
    with Image.open(volumes[said("WORKDIR")] / "report.png") as drawn:
        assert drawn.format == "PNG"
        assert min(drawn.convert("L").tobytes()) < 128, "nothing is written on it"
    stop(service)


def test_health_and_metrics_are_at_a_port_of_their_own_that_the_image_names(start: Start) -> None:
    assert said("EXPOSE").split() == ["8080", environment()["METRICS_PORT"]]
    service = start("serve --only delivery")
    wait_until_ready(service)
    for path in ("/healthz", "/readyz", "/metrics"):
        statuses = [
            httpx2.get(f"{base}{path}", trust_env=False, verify=NO_TLS, timeout=PATIENCE_S).status_code
            for base in (service.platform, service.url)
        ]
        assert statuses == [200, 404]
    stop(service)


def test_what_runs_has_no_rights_and_cannot_write_to_its_code(start: Start, code: Path) -> None:
    service = start("serve --only delivery")
    wait_until_ready(service)
    process = Path(f"/proc/{service.process.pid}/status")
    status = dict(line.split(":\t", 1) for line in process.read_text().splitlines())
    only_to_read = 1 << 2
    assert int(status["CapEff"], 16) in {0, only_to_read}
    assert status["Uid"].split() == [str(IMAGE_USER if os.geteuid() == 0 else os.getuid())] * 4
    assert not any(path.stat().st_mode & 0o222 for path in code.rglob("*"))
    stop(service)


def test_its_user_is_a_number_and_owns_the_data() -> None:
    assert said("USER") == f"{IMAGE_USER}:{IMAGE_USER}"
    assert any(f"--owner {IMAGE_USER} --group {IMAGE_USER} {environment()['DATA_DIR']}" in run for _, run in runs())


def runs() -> list[tuple[str, str]]:
    return [(name, rest) for name, rest in instructions() if name == "RUN"]


def test_jemalloc_is_preloaded_from_where_it_is_put() -> None:
    assert environment()["LD_PRELOAD"] == PRELOADED
    assert any(PRELOADED in run and "libjemalloc2" in run for _, run in runs())


def test_no_build_tool_is_left_in_it() -> None:
    assert any("pip uninstall --yes pip" in run and "ensurepip" in run for _, run in runs())
    assert not any(re.search(r"gcc|build-essential|python3?-dev|pip install", run) for _, run in runs())


def test_it_says_what_it_is() -> None:
    labels = dict(pair.split("=", 1) for _, rest in instructions() if _ == "LABEL" for pair in shlex.split(rest))
    titles = {
        f"org.opencontainers.image.{name}" for name in ("title", "description", "version", "revision", "base.name")
    }
    assert set(labels) == titles
    assert (
        labels["org.opencontainers.image.title"] == tomllib.loads(Path("pyproject.toml").read_text())["project"]["name"]
    )
    (base,) = re.findall(r"^ARG BASE=(\S+)", Path("Dockerfile").read_text(), re.MULTILINE)
    assert labels["org.opencontainers.image.base.name"] == f"docker.io/library/{base}"


def test_the_build_gets_what_it_copies_and_nothing_else() -> None:
    text = Path("Dockerfile").read_text()
    copied = {
        source.removesuffix("/")
        for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE)
        for source in sources.split()
    }
    first, *let_in = [line for line in Path(".dockerignore").read_text().splitlines() if not line.startswith("**")]
    assert first == "*"
    assert {line.removeprefix("!") for line in let_in} == copied
    assert all(Path(source).exists() for source in copied)


def test_it_carries_what_the_tests_ran_with_and_the_driver_for_postgresql() -> None:
    locked = {
        name: set(re.findall(r"^(\S+==\S+)", Path(f"requirements/{name}.txt").read_text(), re.MULTILINE))
        for name in ("run", "image", "dev")
    }
    more = {pin.split("==")[0] for pin in locked["image"] - locked["run"]}
    assert locked["run"] < locked["image"] <= locked["dev"]
    asked = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {re.split(r"[\[>]", wanted)[0] for extra in asked.values() for wanted in extra} < more


@pytest.fixture
def notices(tmp_path: Path) -> Callable[..., str]:
    """Install a thing, and let the image's script say what is there."""

    def tell(metadata: str, *files: str, licence: str = "") -> str:
        folder = tmp_path / "thing-1.0.dist-info"
        (folder / "licenses").mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.4\nName: thing\nVersion: 1.0\n{metadata}\n")
        (folder / "licenses" / "LICENSE").write_text(licence)
        (folder / "RECORD").write_text("".join(f"{file},,\n" for file in (*files, f"{folder.name}/licenses/LICENSE")))
        return subprocess.run(
            [sys.executable, "-S", "docker/notices.py"],
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        ).stdout

    return tell


def copyleft(told: str) -> list[str]:
    """Read the section on the GPL out of the notices."""
    return told.split("Under the GPL or the LGPL\n\n")[1].split("\nAll\n", maxsplit=1)[0].splitlines()


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        pytest.param("License-Expression: LGPL-3.0-only", ["thing 1.0: LGPL-3.0-only"], id="an expression"),
        pytest.param("License: LGPL", ["thing 1.0: LGPL"], id="free text"),
        pytest.param(
            "Classifier: License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)",
            ["thing 1.0: GNU Library or Lesser General Public License (LGPL)"],
            id="a classifier",
        ),
        pytest.param("License-Expression: BSD-3-Clause", [], id="neither"),
    ],
)
def test_the_notices_name_what_is_under_the_gpl(notices: Callable[..., str], metadata: str, named: list[str]) -> None:
    assert copyleft(notices(metadata)) == named


def test_the_notices_name_the_libraries_that_a_wheel_hides(notices: Callable[..., str]) -> None:
    told = notices("License-Expression: MIT", "thing.libs/libx264-d6533a8d.so.165", "thing.libs/libopus-114e2b1a.so.0")
    assert copyleft(told) == ["libx264-d6533a8d.so.165 in thing 1.0: GPL-2.0-or-later"]


def test_the_notices_name_the_source_of_each_library_where_the_wheel_does() -> None:
    told = subprocess.run(
        [sys.executable, "docker/notices.py"], capture_output=True, text=True, timeout=PATIENCE_S, check=True
    ).stdout
    named = [
        re.fullmatch(r"lib(\w+)-.* in pillow_heif [\d.]+: (\S+); source: https://\S+", line) for line in copyleft(told)
    ]
    assert [line.groups() for line in named if line] == [
        ("de265", "LGPL-3.0-or-later"),
        ("heif", "LGPL-3.0-or-later"),
        ("x265", "GPL-2.0-or-later"),
    ]


def test_the_notices_carry_the_licences_themselves(notices: Callable[..., str]) -> None:
    told = notices("License: MIT", licence="Permission is hereby granted")
    assert "\nAll\n\nthing 1.0: MIT\n" in told
    assert told.endswith("\nthing 1.0\n\nPermission is hereby granted\n")
