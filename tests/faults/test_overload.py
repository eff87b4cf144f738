"""More is asked for than can be made: who must wait too long is told so at once, and nobody else notices."""

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from tests.faults.faulty_s3 import Fault, FaultyS3

if TYPE_CHECKING:
    import httpx2

    from tests.conftest import House

Build = Callable[..., "House"]

CROWD = 4
PLACES = 2
"""One at work and one in the queue; nobody else's source is even fetched."""
ENOUGH = 20
SMALL = b"%PDF-1.7 small"


@pytest.fixture(scope="session")
def long_work() -> bytes:
    """Draw what is light to fetch and long to make fit: 24 megapixels of PNG, which no decoder shrinks early."""
    out = io.BytesIO()
    Image.radial_gradient("L").resize((6000, 4000)).convert("RGB").save(out, "PNG", compress_level=1)
    return out.getvalue()


def is_busy(answer: "httpx2.Response") -> bool:
    return (
        answer.status_code == 503
        and answer.json()["error"]["code"] == "busy"
        and int(answer.headers["retry-after"]) > 0
        and answer.headers["cache-control"] == "no-store"
    )


def test_who_finds_the_queue_full_is_told_at_once_and_hits_go_on(
    build_over: Build, s3: FaultyS3, long_work: bytes
) -> None:
    house = build_over(s3, decode_slots=1, decode_queue=1, store_read_timeout_s=30)
    s3.put("a.pdf", SMALL)
    hit = house.link("a.pdf", "document")
    keys = [f"open/{number}.png" for number in range(CROWD)]
    for key in keys:
        s3.put(key, long_work + key.encode())
    hits = 0
    with ThreadPoolExecutor(CROWD) as threads:
        with s3.breaking(Fault.HELD, only=f"GET /{s3.bucket}/open/"):
            crowd = [threads.submit(house.web.get, f"/image/{key}") for key in keys]
            assert all(is_busy(one.result()) for one in islice(as_completed(crowd), CROWD - PLACES))
        while hits < ENOUGH and not any(one.done() and one.result().status_code == 200 for one in crowd):
            answer = house.web.get(hit)
            assert (answer.content, answer.headers["cache-status"]) == (SMALL, "medialink; hit")
            hits += 1
        answers = [one.result() for one in crowd]
    assert len({call for call in s3.calls if call.startswith(f"GET /{s3.bucket}/open/")}) == PLACES
    assert hits > 3
    made = [key for key, answer in zip(keys, answers, strict=True) if answer.status_code == 200]
    turned_away = [key for key, answer in zip(keys, answers, strict=True) if is_busy(answer)]
    assert sorted(made + turned_away) == keys
    assert len(made) == PLACES
    assert house.web.get(f"/image/{turned_away[0]}").status_code == 200


def test_who_waits_too_long_is_told_so_and_finds_it_made_later(
    build_over: Build, s3: FaultyS3, long_work: bytes
) -> None:
    house = build_over(s3, wait_limit_s=0.2)
    s3.put("open/a.png", long_work)
    assert is_busy(house.web.get("/image/open/a.png"))
    while (answer := house.web.get("/image/open/a.png")).status_code != 200:
        assert is_busy(answer)
    assert sum(call.startswith(f"GET /{s3.bucket}/open/") for call in s3.calls) == 1
    assert house.web.get("/image/open/a.png").headers["cache-status"] == "medialink; hit"
