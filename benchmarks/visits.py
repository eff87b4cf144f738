"""The visitors of the soak: each kind of request that a service gets, and what its answer must be."""

import hashlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx2
from PIL import Image

TOKEN = "token-of-the-soak"  # noqa: S105 - lives as long as the run, on the loopback
START_LIMIT_S = 60.0
POLL_S = 0.01
TIMEOUT_S = 60.0
HITS = {"hit-20k.pdf": 20_000, "hit-200k.pdf": 200_000, "hit-5m.pdf": 5_000_000}
COLD_DOCUMENTS, COLD_BYTES = 300, 100_000
COLD_IMAGES, HEAVY_IMAGES = 20, 8
LARGE, LARGE_BYTES = "large.pdf", 80_000_000
PIECE_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service and where it keeps what it can lose."""

    url: str
    pid: int
    cache: Path
    renditions: Path
    ready_s: float

    def link(self, key: str, kind: str) -> str:
        answer = httpx2.post(
            f"{self.url}/links",
            json={"kind": kind, "key": key},
            headers={"Authorization": f"Bearer {TOKEN}"},
            trust_env=False,
            timeout=TIMEOUT_S,
        )
        return str(answer.raise_for_status().json()["link"]).removeprefix(self.url)

    def forget(self) -> None:
        """Make everything cold, as anybody may at any time."""
        for folder, pattern in ((self.cache / "files", "*/*"), (self.renditions, "*")):
            for file in folder.glob(pattern):
                file.unlink(missing_ok=True)


@contextmanager
def service(root: Path, media: Path, **settings: str) -> Iterator[Service]:
    """Run `serve --workers 2` over a folder until it is left."""
    root.mkdir()
    (root / "env").touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    own = {
        "PATH": os.environ.get("PATH", os.defpath),
        "ENV_FILE": str(root / "env"),
        "DATA_DIR": str(root),
        "STORE": f"file://{media}",
        "LISTEN_PORT": str(port),
        "PUBLIC_URL": url,
        "ALIAS_PREFIXES": "hit",
        "GATEWAY_KEYS": hashlib.sha256(TOKEN.encode()).hexdigest(),
    }
    begun_s = time.monotonic()
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "proxy", "serve", "--workers", "2"], env=own | settings, stdout=log, stderr=log
        )
    try:
        while not _is_ready(url):
            if process.poll() is not None or time.monotonic() > begun_s + START_LIMIT_S:
                raise RuntimeError(f"the service does not start: {(root / 'log').read_text()[-2000:]}")
            time.sleep(POLL_S)
        yield Service(
            url=url,
            pid=process.pid,
            cache=Path(settings.get("CACHE_DIR", root / "cache")),
            renditions=media / ".medialink" / "renditions",
            ready_s=time.monotonic() - begun_s,
        )
    finally:
        process.terminate()
        process.wait(START_LIMIT_S)


def _is_ready(url: str) -> bool:
    try:
        return httpx2.get(f"{url}/readyz", trust_env=False, timeout=TIMEOUT_S).status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def lay_media(media: Path) -> None:
    media.mkdir()
    sizes = HITS | {LARGE: LARGE_BYTES} | {f"cold-{number}.pdf": COLD_BYTES for number in range(COLD_DOCUMENTS)}
    for number, (key, size_bytes) in enumerate(sizes.items()):
        noise = Random(number).randbytes(size_bytes)  # noqa: S311 - a body that does not compress
        (media / key).write_bytes((b"%PDF-1.7\n" + noise)[:size_bytes])
    for number in range(COLD_IMAGES):
        (media / f"cold-{number}.webp").write_bytes(_picture(640, 480, "WEBP"))
    heavy = _picture(6000, 4000, "JPEG")
    for number in range(HEAVY_IMAGES):
        (media / f"heavy-{number}.jpg").write_bytes(heavy)


def _picture(width: int, height: int, form: str) -> bytes:
    out = BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(out, form, quality=90)
    return out.getvalue()


class Visitors:
    """Asks in every way; `wrong` tells what was not answered as it must be."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sizes = dict(HITS)
        self._links = {key: service.link(key, "document") for key in HITS}
        self._cold = [service.link(f"cold-{number}.pdf", "document") for number in range(COLD_DOCUMENTS)]
        self._images = [service.link(f"cold-{number}.webp", "image") for number in range(COLD_IMAGES)]
        self.wrong: list[str] = []
        self._kinds: Mapping[Callable[[httpx2.Client, Random], bool], int] = {
            self._hit: 55,
            self._revalidate: 15,
            self._part: 10,
            self._head: 7,
            self._cold_document: 4,
            self._cold_image: 1,
            self._missing: 3,
            self._alias: 4,
            self._hang_up: 1,
        }

    def visit(self, client: httpx2.Client, number: int) -> None:
        chance = Random(number)  # noqa: S311 - no secret
        (kind,) = chance.choices(list(self._kinds), list(self._kinds.values()))
        try:
            right = kind(client, chance)
        except httpx2.HTTPError as error:
            self.wrong.append(f"{kind.__name__}: {error!r}")
        else:
            if not right:
                self.wrong.append(kind.__name__)

    def _any_hit(self, chance: Random) -> tuple[str, int]:
        (key,) = chance.choices(list(HITS), [60, 36, 4])
        return self._links[key], HITS[key]

    def _hit(self, client: httpx2.Client, chance: Random) -> bool:
        link, size_bytes = self._any_hit(chance)
        return len(client.get(link).content) == size_bytes

    def _revalidate(self, client: httpx2.Client, chance: Random) -> bool:
        link, _ = self._any_hit(chance)
        etag = client.head(link).headers["etag"]
        return client.get(link, headers={"If-None-Match": etag}).status_code == httpx2.codes.NOT_MODIFIED

    def _part(self, client: httpx2.Client, chance: Random) -> bool:
        link, size_bytes = self._any_hit(chance)
        first = chance.randrange(size_bytes - 1000)
        return len(client.get(link, headers={"Range": f"bytes={first}-{first + 999}"}).content) == 1000  # noqa: PLR2004 - as asked

    def _head(self, client: httpx2.Client, chance: Random) -> bool:
        link, size_bytes = self._any_hit(chance)
        return int(client.head(link).headers["content-length"]) == size_bytes

    def _cold_document(self, client: httpx2.Client, chance: Random) -> bool:
        return len(client.get(chance.choice(self._cold)).content) == COLD_BYTES

    def _cold_image(self, client: httpx2.Client, chance: Random) -> bool:
        return client.get(chance.choice(self._images)).headers.get("content-type") == "image/jpeg"

    def _missing(self, client: httpx2.Client, chance: Random) -> bool:
        return client.get(f"/m/{chance.random()}/x/y.pdf").status_code == httpx2.codes.NOT_FOUND

    def _alias(self, client: httpx2.Client, chance: Random) -> bool:
        key = chance.choice(list(HITS)[:2])
        return len(client.get(f"/document/{key}").content) == HITS[key]

    def _hang_up(self, client: httpx2.Client, chance: Random) -> bool:
        """Read a little of a large body, and leave."""
        del chance
        address = urlsplit(str(client.base_url))
        leaving = http.client.HTTPConnection(address.hostname or "", address.port, timeout=TIMEOUT_S)
        leaving.request("GET", self._links["hit-5m.pdf"])
        part = leaving.getresponse().read(PIECE_BYTES)
        leaving.close()
        return len(part) == PIECE_BYTES
