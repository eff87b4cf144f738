"""What a cache in front keeps of a link depends on the link alone: nobody else's header or query gets into it."""

from typing import TYPE_CHECKING

import httpx2
import pytest

if TYPE_CHECKING:
    from tests.conftest import House

PASSING = {"date", "server-timing", "x-request-id", "age"}


def kept(answer: httpx2.Response) -> tuple[int, dict[str, str], bytes]:
    """Take of an answer what is not of its moment."""
    headers = {name: value for name, value in answer.headers.items() if name not in PASSING}
    return answer.status_code, headers, answer.content


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "8"},
        {"X-Forwarded-For": "10.0.0.1", "Forwarded": "for=10.0.0.1;host=evil.example"},
        {"X-Original-URL": "/healthz", "X-Rewrite-URL": "/healthz"},
        {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "HEAD"},
        {"Accept": "text/html", "Accept-Encoding": "gzip", "Accept-Language": "de", "Cookie": "a=b"},
        {"Origin": "https://evil.example", "Authorization": "Bearer x"},
    ],
    ids="+".join,
)
def test_a_link_gives_everybody_the_same(house: "House", light_jpeg: bytes, headers: dict[str, str]) -> None:
    house.put("a.jpg", light_jpeg)
    link = house.link("a.jpg")
    house.web.get(link)
    plain = kept(house.web.get(link))
    assert plain[2] == light_jpeg
    assert kept(house.web.get(link, headers=headers)) == plain
    assert kept(house.web.get(f"{link}?utm_source={'x' * 100}", headers=headers)) == plain


def test_what_is_served_is_nothing_but_what_it_says(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg + b"<script>alert(1)</script>")
    answer = house.web.get(house.link("a.jpg"))
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_a_given_link_names_the_public_address_whatever_the_host_says(house: "House", light_jpeg: bytes) -> None:
    house.put("a.jpg", light_jpeg)
    wish = {"kind": "image", "key": "a.jpg"}
    answer = house.api.post("/links", json=wish, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert answer.json()["link"].startswith(f"{house.settings.public_url}/m/")
    assert "evil" not in answer.text + answer.headers["location"]
