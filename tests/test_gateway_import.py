"""FOREIGN_LINKS=import, over real sockets: a message names a file elsewhere, and WhatsApp fetches it from us."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from proxy.messaging import importing
from proxy.messaging.import_network import PublicNetwork
from tests.conftest import API_KEY, NUMBER, TOKEN
from tests.messaging.foreign_host import NAME, PUBLIC, Asked, Beyond, ForeignHost, Resolver, answer, foreign_host
from tests.s3_servers import ACCESS_KEY, SECRET_KEY

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

    from tests.conftest import House

Build = Callable[..., "House"]
LINK = f"http://{NAME}/photos/lake.jpg"
PATH = "/photos/lake.jpg"


@pytest.fixture
def elsewhere(light_jpeg: bytes) -> Iterator[ForeignHost]:
    with foreign_host() as host:
        host.pages[PATH] = answer(200, light_jpeg, ETag='"1"', Content_Type="text/html")
        yield host


@pytest.fixture
def resolver() -> Resolver:
    return Resolver()


@pytest.fixture
def build_importing(build: Build, elsewhere: ForeignHost, resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> Build:
    """Build houses whose internet is the test's; all else is the house's own."""
    monkeypatch.setattr(
        "proxy.gateway_doors.PublicNetwork", lambda _beyond: PublicNetwork(Beyond(elsewhere.port), resolver)
    )

    def make(**values: Any) -> "House":
        return build(**{"waba_key": "house", "foreign_links": "import", "import_hosts": f"http://{NAME}"} | values)

    return make


def post(house: "House", link: str = LINK, kind: str = "image", **headers: str) -> httpx2.Response:
    body = {"messaging_product": "whatsapp", "to": NUMBER, "type": kind, kind: {"link": link}}
    return house.api.post("/waba/messages", json=body, headers=headers)


def posted(house: "House") -> list[str]:
    return [message["posted"]["image"]["link"] for message in house.whatsapp.get("/sandbox/messages").json()]


def refused(answered: httpx2.Response, status: int, code: int, says: str) -> None:
    error = answered.json()["error"]
    assert (answered.status_code, error["code"]) == (status, code), answered.text
    assert error["error_data"]["details"].startswith("image: ")
    assert says in error["error_data"]["details"]
    assert LINK not in answered.text


def test_a_foreign_link_is_imported_delivered_and_written_down(
    build_importing: Build, elsewhere: ForeignHost, light_jpeg: bytes
) -> None:
    house = build_importing()
    answered = post(house)
    assert answered.status_code == 200, answered.text
    assert answered.headers["x-medialink-links"] == "replaced=0, kept=0, imported=1, foreign=0"
    assert "x-medialink-warning" not in answered.headers
    (link,) = posted(house)
    assert link.startswith(f"{house.url}/m/")
    assert link.endswith("/lake.jpg")
    told = house.story(answered.json()["messages"][0]["id"])
    assert told["statuses"][-1]["status"] == "delivered"
    fetched = house.web.get(link)
    assert (fetched.content, fetched.headers["content-type"]) == (light_jpeg, "image/jpeg")
    assert [asked.path for asked in elsewhere.asked] == [PATH], "WhatsApp asks us, and we asked once"
    (stored,) = (file for file in (house.settings.data_dir.parent / "store" / "imported").rglob("*.jpg"))
    assert stored.parent.name == hashlib.sha256(light_jpeg).hexdigest()[:32]


def test_cards_with_one_link_import_it_once(build_importing: Build, elsewhere: ForeignHost) -> None:
    house = build_importing()
    card = {"components": [{"type": "header", "parameters": [{"type": "image", "image": {"link": LINK}}]}]}
    template = {
        "name": "offer",
        "language": {"code": "de"},
        "components": [{"type": "carousel", "cards": [{"card_index": n, **card} for n in range(10)]}],
    }
    answered = house.api.post(
        "/waba/messages",
        json={"messaging_product": "whatsapp", "to": NUMBER, "type": "template", "template": template},
    )
    assert answered.headers["x-medialink-links"] == "replaced=0, kept=0, imported=10, foreign=0", answered.text
    assert len(elsewhere.asked) == 1


def test_a_file_that_stays_keeps_its_link_and_one_that_changed_gets_a_new_one(
    build_importing: Build, elsewhere: ForeignHost, heavy_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FRESH_S", 0.0)
    house = build_importing()
    assert post(house).status_code == 200
    unchanged, first = answer(304, ETag='"1"'), elsewhere.pages[PATH]
    elsewhere.pages[PATH] = lambda asked: (unchanged if asked.headers.get("if-none-match") == '"1"' else first)(asked)
    assert post(house).status_code == 200
    assert [asked.headers.get("if-none-match") for asked in elsewhere.asked] == [None, '"1"']
    elsewhere.pages[PATH] = answer(200, heavy_jpeg, ETag='"2"')
    assert post(house).status_code == 200
    before, still, after = posted(house)
    assert before == still != after


def test_a_restart_gives_the_same_link(build_importing: Build, elsewhere: ForeignHost) -> None:
    links = []
    for _ in range(2):
        house = build_importing()
        assert post(house).status_code == 200
        links += [link.removeprefix(house.url) for link in posted(house)]
    assert len(elsewhere.asked) == 2
    assert len(set(links)) == 1


def test_a_bucket_that_keeps_versions_gets_one_of_each_content(
    build_importing: Build,
    server_url: str,
    new_bucket: Callable[..., str],
    client_of: "Callable[[str], S3Client]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second version of the same bytes would be another link: its version stands in it."""
    monkeypatch.setattr(importing, "FRESH_S", 0.0)
    bucket = new_bucket(server_url, versioned=True)
    links = []
    for _ in range(2):
        house = build_importing(
            store=f"s3://{bucket}",
            s3_endpoint_url=server_url,
            s3_region="us-east-1",
            s3_access_key_id=ACCESS_KEY,
            s3_secret_access_key=SECRET_KEY,
        )
        assert [post(house).status_code, post(house).status_code] == [200, 200]
        links += [link.removeprefix(house.url) for link in posted(house)]
    assert len(links) == 4
    assert len(set(links)) == 1
    versions = client_of(server_url).list_object_versions(Bucket=bucket, Prefix="imported/")["Versions"]
    assert len(versions) == 1


@pytest.mark.parametrize(
    ("link", "says"),
    [
        pytest.param("http://169.254.169.254/latest/meta-data/", "names no host", id="metadata"),
        pytest.param("https://elsewhere.example/a.jpg", "IMPORT_HOSTS does not name", id="another host"),
        pytest.param(f"https://{NAME}/a.jpg", "IMPORT_HOSTS does not name", id="another scheme"),
        pytest.param(f"http://{NAME}@127.0.0.1/a.jpg", "a user name", id="a user"),
        pytest.param(f"http://{NAME}/none.jpg", "HTTP 404", id="not there"),
    ],
)
def test_what_may_not_be_imported_is_refused_with_its_place(
    build_importing: Build, elsewhere: ForeignHost, link: str, says: str
) -> None:
    house = build_importing()
    refused(post(house, link), 400, 131053, says)
    assert posted(house) == []
    assert {asked.path for asked in elsewhere.asked} <= {"/none.jpg"}


def test_a_name_that_rebinds_to_an_address_inside_is_refused(
    build_importing: Build, elsewhere: ForeignHost, resolver: Resolver
) -> None:
    house = build_importing()
    elsewhere.pages[PATH] = answer(302, Location="/again.jpg", Connection="close")
    resolver.answers = [[PUBLIC], ["127.0.0.1"]]
    refused(post(house), 400, 131053, "not of the public internet")
    assert [asked.path for asked in elsewhere.asked] == [PATH]


def test_what_whatsapp_would_refuse_is_refused_after_the_import(build_importing: Build, elsewhere: ForeignHost) -> None:
    elsewhere.pages[PATH] = answer(200, b"<html>please log in</html>", Content_Type="image/jpeg")
    refused(post(build_importing()), 400, 131053, "The bytes are")


def test_a_host_that_is_away_may_be_tried_again(build_importing: Build, elsewhere: ForeignHost) -> None:
    house = build_importing()
    works = elsewhere.pages[PATH]
    elsewhere.pages[PATH] = answer(503)
    answered = post(house)
    refused(answered, 503, 131016, "HTTP 503")
    assert answered.headers["retry-after"] == "5"
    elsewhere.pages[PATH] = works
    assert post(house).status_code == 200


def test_more_than_is_taken_in_is_refused(build_importing: Build) -> None:
    refused(post(build_importing(max_source_bytes=1000)), 413, 100, "1000 bytes")


def test_a_slow_host_is_left_and_the_import_goes_on(
    build_importing: Build, elsewhere: ForeignHost, light_jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "FRESH_S", 60.0)
    house = build_importing(gateway_wait_s=0.3)
    works = answer(200, light_jpeg)

    def slow(asked: Asked) -> Iterator[bytes]:
        elsewhere.gone.wait(1.0)
        yield from works(asked)

    elsewhere.pages[PATH] = slow
    answered = post(house)
    assert (answered.status_code, answered.json()["error"]["code"]) == (503, 131016)
    elsewhere.pages[PATH] = works
    until = time.monotonic() + 20
    while post(house).status_code != 200:
        assert time.monotonic() < until
    assert len(elsewhere.asked) == 1, "the import went on, and is asked for by nobody again"


def test_a_caller_with_prefixes_imports_what_its_own_link_names_and_nothing_more(
    build_importing: Build, elsewhere: ForeignHost
) -> None:
    limited = f"{hashlib.sha256(API_KEY.encode()).hexdigest()}=mine/"
    house = build_importing(
        gateway_keys=f"{limited},{hashlib.sha256(TOKEN.encode()).hexdigest()}", alias_prefixes="imported/"
    )
    body = {"messaging_product": "whatsapp", "to": NUMBER, "type": "image", "image": {"link": LINK}}
    theirs = {"D360-API-KEY": API_KEY}
    assert house.web.post("/waba/messages", json=body, headers=theirs).status_code == 200
    (stored,) = (house.settings.data_dir.parent / "store").rglob("lake.jpg")
    key = stored.relative_to(house.settings.data_dir.parent / "store")
    body["image"] = {"link": f"{house.url}/image/{key}"}
    assert house.web.post("/waba/messages", json=body, headers=theirs).status_code == 403
    assert len(elsewhere.asked) == 1


def test_a_link_that_may_be_no_medium_is_imported_too(build_importing: Build, elsewhere: ForeignHost) -> None:
    """As with `refuse`: what has a link under the name of a kind is treated as one."""
    house = build_importing()
    body = {"messaging_product": "whatsapp", "to": NUMBER, "type": "text", "text": {"body": "a"}}
    answered = house.api.post("/waba/messages", content=json.dumps(body | {"image": {"link": LINK}}))
    assert answered.headers["x-medialink-links"] == "replaced=0, kept=0, imported=1, foreign=0"
    assert len(elsewhere.asked) == 1
