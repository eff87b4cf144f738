"""A client that causes too many misses is told to wait; hits, and everybody else, go on."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx2

from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from tests.conftest import House

ALLOWED = 6


def from_(house: "House", client: str, path: str) -> httpx2.Response:
    return house.web.get(path, headers={"X-Forwarded-For": client})


def test_misses_are_limited_by_client_and_hits_are_not(build: Callable[..., "House"], light_jpeg: bytes) -> None:
    first = build()
    for number in range(ALLOWED + 1):
        first.put(f"{number}.jpg", light_jpeg + bytes([number]))
    paths = [first.link(f"{number}.jpg").removeprefix(first.url) for number in range(ALLOWED + 1)]
    house = build(misses_per_minute=ALLOWED, trusted_proxies=("127.0.0.0/8",))
    assert [from_(house, "192.0.2.1", path).status_code for path in paths] == [200] * ALLOWED + [429]
    refused = from_(house, "192.0.2.1", paths[-1])
    assert (refused.json()["error"]["code"], refused.headers["retry-after"]) == ("rate_limited", "10")
    for _ in range(2):
        assert {from_(house, "192.0.2.1", path).status_code for path in paths[:-1]} == {200}, "hits pay nothing"
    assert from_(house, "192.0.2.2", paths[-1]).status_code == 200
    assert from_(house, "192.0.2.1", paths[-1]).status_code == 200, "what somebody else has paid for is a hit"


def test_looks_for_what_is_not_there_are_misses(build: Callable[..., "House"]) -> None:
    house = build(misses_per_minute=ALLOWED, alias_prefixes=("open/",))
    asked = [house.web.get(f"/image/open/{number}.jpg.png").status_code for number in range(ALLOWED + 1)]
    assert asked == [404] * ALLOWED + [429]
    assert house.web.get("/image/open/0.jpg.png").status_code == 404, "that there is nothing is remembered"
    assert house.web.get("/image/closed/a.jpg").status_code == 404


def test_verdicts_are_limited_where_they_must_be_made(build: Callable[..., "House"], light_jpeg: bytes) -> None:
    house = build(misses_per_minute=ALLOWED)
    for number in range(ALLOWED + 1):
        house.put(f"{number}.jpg", light_jpeg + bytes([number]))
    wishes = [{"kind": "image", "key": f"{number}.jpg"} for number in range(ALLOWED + 1)]
    assert [house.api.post("/links", json=wish).status_code for wish in wishes] == [201] * ALLOWED + [429]
    assert house.api.post("/links", json=wishes[0]).status_code == 201


def test_an_unversioned_bucket_is_told_in_health_and_stays_ready(
    build: Callable[..., "House"], moto_url: str, new_bucket: Callable[..., str]
) -> None:
    def ready(*, versioned: bool) -> dict[str, str]:
        house = build(
            store=f"s3://{new_bucket(moto_url, versioned=versioned)}",
            s3_endpoint_url=moto_url,
            s3_region="us-east-1",
            s3_access_key_id=ACCESS_KEY,
            s3_secret_access_key=SECRET_KEY,
        )
        answer = house.web.get("/readyz")
        assert answer.status_code == 200
        return dict(answer.json())

    assert "Switch versioning on" in ready(versioned=False)["versions"]
    assert "versions" not in ready(versioned=True)
