"""A decoder hangs, crashes or is killed: who asked is told so, the next finds another, and nobody else notices."""

import io
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

if TYPE_CHECKING:
    import httpx2

    from tests.conftest import House

Build = Callable[..., "House"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the decoder in /proc")
TIME_LIMIT_S = 2
PATIENCE_S = 30


@pytest.fixture(scope="session")
def long_work() -> bytes:
    """Draw what no decoder shrinks early, so that there is time to find the one that is at it."""
    out = io.BytesIO()
    Image.radial_gradient("L").resize((6000, 4000)).convert("RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()


@pytest.fixture
def house(build: Build, webp: bytes, long_work: bytes) -> "House":
    house = build(decode_slots=2, decode_timeout_s=TIME_LIMIT_S)
    house.put("hit.pdf", b"%PDF-1.7 small")
    house.put("warm.webp", webp)
    house.put("other.webp", webp + b"other")
    house.put("long.png", long_work)
    house.link("warm.webp")  # the first starts the pool
    return house


def ask(house: "House", key: str) -> "httpx2.Response":
    return house.api.post("/links", json={"kind": "image", "key": key})


def decoder_in(folder: Path) -> int:
    """Find the process that has opened something there and is not this one."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        for opened in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                if int(opened.parts[2]) != os.getpid() and str(opened.readlink()).startswith(f"{folder}/"):
                    return int(opened.parts[2])
    raise TimeoutError("nobody decodes")


@pytest.mark.parametrize(
    ("trouble", "code", "told"),
    [
        (signal.SIGSTOP, "decode_limit", f"{TIME_LIMIT_S} seconds"),
        (signal.SIGKILL, "decode_limit", "MB of memory"),
        (signal.SIGSEGV, "undecodable", "the decoder crashed (SIGSEGV)"),
    ],
    ids=["hangs", "is killed", "crashes"],
)
def test_a_decoder_in_trouble_is_a_refusal_and_nobody_else_notices(
    house: "House", webp: bytes, trouble: signal.Signals, code: str, told: str
) -> None:
    hit = house.link("hit.pdf", "document")
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(ask, house, "long.png")
        decoder = decoder_in(house.settings.data_dir)
        os.kill(decoder, trouble)
        others = [ask(house, "other.webp").status_code, *(house.web.get(hit).status_code for _ in range(20))]
        refused = asked.result(PATIENCE_S)
    assert others == [201, *[200] * 20]
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, code)
    assert told in refused.json()["error"]["message"]
    assert not Path(f"/proc/{decoder}").exists()
    house.put("next.webp", webp + b"next")
    assert ask(house, "next.webp").status_code == 201


def test_what_is_too_complex_is_remembered_for_good_and_not_decoded_again(house: "House") -> None:
    """A limit that hangs on the bytes alone is like any other refusal; one of time or memory is asked again."""
    out = io.BytesIO()
    Image.new("RGB", (16, 16)).save(out, "JPEG", progressive=True)
    start, _, last = out.getvalue().rpartition(b"\xff\xda")
    house.put("scans.jpg", start + (b"\xff\xda" + last[:-2]) * 101 + last[-2:])
    refused = [ask(house, "scans.jpg") for _ in range(2)]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in refused] == [(422, "too_complex")] * 2
    assert "100 scans" in refused[0].json()["error"]["message"]
    kept = list((house.settings.data_dir.parent / "store" / ".medialink" / "renditions").iterdir())
    assert any(b"too_complex" in file.read_bytes() for file in kept)
