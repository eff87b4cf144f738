"""Links: the same for the same content, new for new content, and opened only whole."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.delivery.links import Link, Links, Sharing, rendition_id
from proxy.errors import MedialinkError, NotFound
from proxy.media.kinds import Kind
from proxy.storage.store import Key

SECRET = bytes(range(32))
LINKS = Links({1: SECRET})
LINK = Link(
    kind=Kind.IMAGE,
    key=Key("orders/2026/Café Ünal (1).png"),
    version="v:3/L4kqtJlcpXroDTDmJ+rmSpXd3dIbrHY",
    recipe="0123456789abcdef",
    media_type="image/jpeg",
)
UNRESERVED = string.ascii_letters + string.digits + "-._~"

links = st.builds(
    Link,
    kind=st.sampled_from(Kind),
    key=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80).map(Key),
    version=st.text(string.printable, min_size=1, max_size=40),
    recipe=st.none() | st.text("0123456789abcdef", min_size=16, max_size=16),
    media_type=st.sampled_from(["image/jpeg", "application/pdf", "audio/ogg; codecs=opus", "application/zip"]),
    sharing=st.sampled_from(Sharing),
    expires_at=st.none() | st.integers(0, 2**40),
)


def parts(path: str) -> tuple[str, str, str]:
    _, m, tag, token, name = path.split("/")
    assert m == "m"
    return tag, token, name


@given(links)
def test_what_is_minted_opens(link: Link) -> None:
    assert LINKS.open(*parts(LINKS.mint(link))) == link


@given(links)
def test_nothing_on_the_way_can_escape_a_link_differently(link: Link) -> None:
    assert set("".join(parts(LINKS.mint(link)))) <= set(UNRESERVED)


@given(links)
def test_a_name_is_short_and_ends_in_the_delivered_type(link: Link) -> None:
    name = parts(LINKS.mint(link))[2]
    endings = {
        "image/jpeg": ".jpg",
        "application/pdf": ".pdf",
        "audio/ogg; codecs=opus": ".ogg",
        "application/zip": ".zip",
    }
    assert len(name.encode()) <= 64
    assert name.endswith(endings[link.media_type])
    assert len(name) > len(endings[link.media_type])


def test_the_same_content_has_the_same_link_in_every_process() -> None:
    assert LINKS.mint(LINK) == Links({1: SECRET}).mint(LINK)


@pytest.mark.parametrize(
    "change",
    [
        {"version": "v:other"},
        {"kind": Kind.DOCUMENT},
        {"key": Key("orders/2026/b.png")},
        {"recipe": "f" * 16},
        {"recipe": None},
        {"expires_at": 1_800_000_000},
        {"sharing": Sharing.PRIVATE},
    ],
    ids=str,
)
def test_new_content_has_a_new_link(change: dict[str, object]) -> None:
    values = {name: getattr(LINK, name) for name in Link.__slots__} | change
    assert LINKS.mint(Link(**values)) != LINKS.mint(LINK)


def test_every_single_character_counts() -> None:
    path = LINKS.mint(LINK)
    opened = []
    for at in range(len("/m/"), len(path)):
        for other in {"A", "a", "0", "-", "_", ".", "~", "%"} - {path[at]}:
            changed = path[:at] + other + path[at + 1 :]
            try:
                _, _, tag, token, name = changed.split("/")
                LINKS.open(tag, token, name)
            except (NotFound, ValueError):
                continue
            opened.append(changed)
    assert opened == []


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80))
def test_forgeries_are_not_found_and_nothing_else(tag: str, token: str, name: str) -> None:
    with pytest.raises(NotFound):
        LINKS.open(tag, token, name)


def test_only_one_spelling_of_a_token_is_ours() -> None:
    tag, token, name = parts(LINKS.mint(LINK))
    for spelling in (token + "=", token + "==", token + "A", " " + token, token.replace("-", "+").replace("_", "/")):
        if spelling != token:
            with pytest.raises(NotFound):
                LINKS.open(tag, spelling, name)


def test_a_link_shows_neither_folder_nor_version() -> None:
    tag, token, name = parts(LINKS.mint(LINK))
    assert name == "Cafe-Unal-1.jpg"
    assert not re.search("orders|2026|L4kq", tag + token)


def test_names_can_be_switched_off() -> None:
    nameless = Links({1: SECRET}, show_names=False)
    assert parts(nameless.mint(LINK))[2] == "file.jpg"
    assert nameless.file_name(LINK) == "file.jpg"


@pytest.mark.parametrize(
    ("key", "name"),
    [("a/Café (1).png", "Café (1).jpg"), ("b.jpg", "b.jpg"), ("B.JPG", "B.JPG"), ("c", "c.jpg"), ("d.1", "d.1.jpg")],
)
def test_a_file_is_named_as_its_owner_named_it(key: str, name: str) -> None:
    values = {field: getattr(LINK, field) for field in Link.__slots__} | {"key": Key(key)}
    assert LINKS.file_name(Link(**values)) == name


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("отчёт.pdf", "file.jpg"),
        ("請求書 42.pdf", "42.jpg"),
        ("v1.2", "v1-2.jpg"),
        ("archive.tar.gz", "archive-tar.jpg"),
        (".htaccess", "htaccess.jpg"),
        ("a/b/-- --.png", "file.jpg"),
        ("x" * 300, "x" * 60 + ".jpg"),
    ],
)
def test_awkward_keys_have_plain_names(key: str, name: str) -> None:
    values = {field: getattr(LINK, field) for field in Link.__slots__} | {"key": Key(key)}
    assert parts(LINKS.mint(Link(**values)))[2] == name


def test_everything_made_of_one_source_has_one_tag() -> None:
    values = {name: getattr(LINK, name) for name in Link.__slots__}
    tags = {
        parts(LINKS.mint(Link(**(values | change))))[0]
        for change in ({}, {"version": "e:new"}, {"kind": Kind.DOCUMENT}, {"recipe": None})
    }
    assert len(tags) == 1
    assert re.fullmatch(r"[a-z2-7]{10}", tags.pop())


def test_keys_rotate_without_breaking_links() -> None:
    before = LINKS.mint(LINK)
    rotated = Links({2: SECRET[::-1], 1: SECRET})
    assert rotated.mint(LINK) != before
    assert rotated.open(*parts(before)) == LINK
    with pytest.raises(NotFound):
        Links({2: SECRET[::-1]}).open(*parts(before))


@pytest.mark.parametrize("keys", [{}, {1: b"short"}])
def test_weak_keys_do_not_construct(keys: dict[int, bytes]) -> None:
    with pytest.raises(ValueError, match="link keys"):
        Links(keys)


def test_a_link_of_a_later_format_is_not_found() -> None:
    later = Links({1: SECRET})
    path = later.mint(LINK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proxy.delivery.links.FORMAT", 2)
        with pytest.raises(MedialinkError):
            later.open(*parts(path))


def test_links_stay_what_they_are() -> None:
    """A link that changes loses every cached copy, and an id that changes orphans every kept rendition.

    These are written down for good: a change of the format comes with a new format number.
    """
    assert LINK.rendition_id == "4244236be83c3df8ec213dc87cfd778d"
    assert LINKS.mint(LINK) == (
        "/m/jwjd56hiuv/"
        "ATkAfZWn5awr3812foOO_2iMPXkqPncAynCn38ZMnxbfZodcQiyift922BpAd3Sh162vQId8ZO6842kkbPeP-9QYJeRNNI5QAYJhOknw"
        "LTPf3QjJJW79U75lP4eQrrxJoTipdaFS7pSqYLVFXw5A0U71k0Rt_GcEFReHf7yTb-Zp5vI0z0ZthCLzU4_ia5EXwac"
        "/Cafe-Unal-1.jpg"
    )


def test_what_goes_out_as_it_is_has_an_id_of_its_own() -> None:
    names = [rendition_id(LINK.kind, LINK.key, LINK.version, recipe) for recipe in (None, "", "null")]
    assert len(set(names)) == 3
