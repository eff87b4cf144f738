"""What every store keeps: the same claims over a folder, and over S3 with and without versions."""

import asyncio
import os
import sys
from asyncio import run
from collections.abc import Callable, Iterable
from contextlib import aclosing
from pathlib import Path

import pytest

from proxy.errors import DiskFull, Malformed, NotFound, SourceReplaced, StoreAway, TooLarge
from proxy.storage.parts import PART_BYTES
from proxy.storage.store import Key, Source, Store, parse_key, reserved_key
from tests.storage.bodies import MIB, body_of, fetch, take

KEY = parse_key("folder/photo.jpg")
JPEG = "image/jpeg"
AWKWARD = {
    "plus": "a+b/c+d.jpg",
    "percent": "100%25%2F.jpg",
    "hash-and-question": "a#b?c=d&e.jpg",
    "quotes": 'it\'s "so" (1).jpg',
    "spaces": "a  b / c .jpg",
    "cyrillic": "фото/Отпуск на море.jpg",
    "japanese": "写真/夏休み.jpg",
    "rtl": "صور/\u202eصورة.jpg",
    "emoji": "👩‍👩‍👧/🏖️.jpg",
    "dots": "...a/..b/c..jpg",
    "tilde-and-star": "~user/*[a]{b}<c>|d.jpg",
    "long": "x" * 200 + "/" + "ж" * 120,
}


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some MiB be many parts."""
    monkeypatch.setattr("proxy.storage.parts.PART_BYTES", MIB // 4)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let some names be many pages: one is 1,000 names, too many to put."""
    monkeypatch.setattr("proxy.storage.listing.PAGE_NAMES", 2)
    monkeypatch.setattr("proxy.storage.walk.PAGE_NAMES", 2)


def test_what_is_put_is_found_and_fetched(store: Store, file_of: Callable[[bytes], Path], into: Path) -> None:
    put = run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    found = run(store.find(KEY))
    fetched = run(take(store, KEY, into=into, max_bytes=3))
    assert into.read_bytes() == b"one"
    assert (
        (put.key, put.version, put.size_bytes) == (found.key, found.version, found.size_bytes) == (KEY, put.version, 3)
    )
    assert fetched == found
    assert found.modified_at.utcoffset() is not None
    assert abs((put.modified_at - found.modified_at).total_seconds()) <= 1
    assert fetch(store, KEY, put.version) == b"one"


def test_a_body_of_many_chunks_arrives_whole(store: Store, file_of: Callable[[bytes], Path]) -> None:
    body = bytes(range(256)) * 10_001
    run(store.put(KEY, file_of(body), media_type=JPEG))
    assert fetch(store, KEY, max_bytes=len(body)) == body


def test_what_has_arrived_can_be_read_before_the_rest_is_there(
    store: Store, file_of: Callable[[bytes], Path], into: Path
) -> None:
    body = body_of(2 * PART_BYTES + MIB + 5)
    version = run(store.put(KEY, file_of(body), media_type=JPEG)).version
    told: list[tuple[Source, int]] = []

    def read_along(source: Source, arrived_bytes: int) -> None:
        before = told[-1][1] if told else 0
        with into.open("rb") as reader:
            assert os.pread(reader.fileno(), arrived_bytes - before, before) == body[before:arrived_bytes]
        told.append((source, arrived_bytes))

    source = run(take(store, KEY, version, into=into, progress=read_along))
    counts = [arrived_bytes for _, arrived_bytes in told]
    assert counts == sorted(set(counts))
    assert (counts[0], counts[-1]) == (0, len(body))
    assert len(counts) > 10
    assert {announced for announced, _ in told} == {source}
    assert source.version == version
    assert into.read_bytes() == body


def test_the_newest_is_announced_as_what_it_is(store: Store, file_of: Callable[[bytes], Path], into: Path) -> None:
    for body in (b"some", b""):
        put = run(store.put(KEY, file_of(body), media_type=JPEG))
        told: list[tuple[str, int, int]] = []

        def hear(source: Source, arrived_bytes: int, told: list[tuple[str, int, int]] = told) -> None:
            told.append((source.version, source.size_bytes, arrived_bytes))

        run(take(store, KEY, into=into, progress=hear))
        assert told == [(put.version, len(body), count) for count in ([0, len(body)] if body else [0])]


@pytest.mark.usefixtures("small_parts")
def test_what_is_replaced_while_it_is_fetched_comes_whole_or_not_at_all(
    open_again: Callable[[], Store], file_of: Callable[[bytes], Path], into: Path, *, keeps_versions: bool
) -> None:
    store, other = open_again(), open_again()
    old, new = body_of(3 * MIB), body_of(3 * MIB)[::-1]
    newer = file_of(new)
    version = run(store.put(KEY, file_of(old), media_type=JPEG)).version

    def replace(_: Source, arrived_bytes: int) -> None:
        if arrived_bytes == 0:
            run(other.put(KEY, newer, media_type=JPEG))

    for wanted in (version, None):
        run(store.put(KEY, file_of(old), media_type=JPEG))
        try:
            run(take(store, KEY, wanted, into=into, progress=replace))
        except (SourceReplaced, StoreAway):  # SeaweedFS takes the old bytes away under their reader
            assert not keeps_versions
        else:
            assert into.read_bytes() == old
        assert fetch(store, KEY) == new


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("at_bytes", [0, 1], ids=["announced", "arriving"])
def test_what_progress_raises_ends_the_fetch_as_it_is(
    store: Store, file_of: Callable[[bytes], Path], into: Path, at_bytes: int
) -> None:
    run(store.put(KEY, file_of(body_of(3 * MIB)), media_type=JPEG))
    for error in (DiskFull(), ValueError("mine"), OSError("mine"), TimeoutError("mine"), KeyError("mine")):
        told: list[int] = []

        def refuse(_: Source, arrived_bytes: int, told: list[int] = told, error: Exception = error) -> None:
            told.append(arrived_bytes)
            if arrived_bytes >= at_bytes:
                raise error

        with pytest.raises(type(error)) as caught:
            run(take(store, KEY, into=into, progress=refuse))
        assert caught.value is error
        assert len(told) == at_bytes + 1


@pytest.mark.usefixtures("small_parts")
def test_a_fetch_that_is_given_up_writes_nothing_more(
    store: Store, file_of: Callable[[bytes], Path], into: Path
) -> None:
    run(store.put(KEY, file_of(body_of(9 * MIB)), media_type=JPEG))
    told: list[int] = []

    async def give_up() -> None:
        fetching = asyncio.create_task(take(store, KEY, into=into, progress=lambda _, count: told.append(count)))
        while len(told) < 2:  # noqa: ASYNC110 - told of in another thread
            await asyncio.sleep(0)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        seen = len(told), os.stat(into).st_blocks  # noqa: PTH116 - a look
        await store.find(KEY)
        assert (len(told), os.stat(into).st_blocks) == seen  # noqa: PTH116 - a look

    run(give_up())


def test_the_empty_object_is_an_object(store: Store, file_of: Callable[[bytes], Path]) -> None:
    run(store.put(KEY, file_of(b""), media_type=JPEG))
    assert fetch(store, KEY, max_bytes=0) == b""
    assert run(store.find(KEY)).size_bytes == 0


def test_the_version_stays_while_the_content_stays(
    store: Store, file_of: Callable[[bytes], Path], *, keeps_versions: bool
) -> None:
    put = run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    assert {run(store.find(KEY)).version for _ in range(3)} == {put.version}
    again = run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    assert (again.version == put.version) is not keeps_versions


def test_the_version_changes_with_the_content(store: Store, file_of: Callable[[bytes], Path]) -> None:
    bodies = (b"one", b"two", b"tri", b"")
    versions = [run(store.put(KEY, file_of(body), media_type=JPEG)).version for body in bodies]
    assert len(set(versions)) == len(bodies)
    assert run(store.find(KEY)).version == versions[-1]


def test_an_old_version_is_itself_or_gone(
    store: Store, file_of: Callable[[bytes], Path], *, keeps_versions: bool
) -> None:
    old = run(store.put(KEY, file_of(b"old"), media_type=JPEG)).version
    new = run(store.put(KEY, file_of(b"new"), media_type=JPEG)).version
    if keeps_versions:
        assert fetch(store, KEY, old) == b"old"
    else:
        with pytest.raises(SourceReplaced):
            fetch(store, KEY, old)
    assert fetch(store, KEY, new) == b"new"


def test_a_version_that_the_store_never_gave_is_gone(store: Store, file_of: Callable[[bytes], Path]) -> None:
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    for version in ("v:never-given", "e:0123", "h:0123", "x", "v:", "e:", 'e:", *', "v:null"):
        with pytest.raises(SourceReplaced):
            fetch(store, KEY, version)


def test_what_is_not_there_is_not_found(store: Store, file_of: Callable[[bytes], Path]) -> None:
    version = run(store.put(parse_key("folder/other"), file_of(b"one"), media_type=JPEG)).version
    with pytest.raises(NotFound):
        run(store.find(KEY))
    with pytest.raises(NotFound):
        fetch(store, KEY)
    with pytest.raises(SourceReplaced):
        fetch(store, KEY, version)


def test_a_key_is_no_folder_and_no_prefix(store: Store, file_of: Callable[[bytes], Path]) -> None:
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    for text in ("folder", "folder/photo.jpg/below", "folder/photo", "photo.jpg"):
        with pytest.raises(NotFound):
            run(store.find(parse_key(text)))
        with pytest.raises(NotFound):
            fetch(store, parse_key(text))


def test_nothing_of_what_is_over_the_limit_is_written_or_told(
    store: Store, file_of: Callable[[bytes], Path], into: Path
) -> None:
    told: list[int] = []
    source = run(store.put(KEY, file_of(b"12345"), media_type=JPEG))
    for version in (None, source.version):
        with pytest.raises(TooLarge) as refused:
            run(take(store, KEY, version, into=into, max_bytes=4, progress=lambda _, arrived: told.append(arrived)))
        assert (refused.value.size_bytes, refused.value.limit_bytes) == (5, 4)
        assert into.read_bytes() == b""
    assert told == []


def test_awkward_keys_name_what_they_say(store: Store, file_of: Callable[[bytes], Path]) -> None:
    keys = [parse_key(text) for text in AWKWARD.values()]
    versions = {}
    for key in keys:
        assert run(store.put_new(key, file_of(b"first"), media_type=JPEG)), key
        versions[key] = run(store.put(key, file_of(key.encode()), media_type=JPEG)).version
    for key in keys:
        assert run(store.find(key)).key == key
        assert fetch(store, key, versions[key]) == key.encode()


def test_composed_and_combining_forms_are_two_keys(
    store: Store, store_name: str, file_of: Callable[[bytes], Path]
) -> None:
    if sys.platform == "darwin" and store_name == "folder":
        pytest.skip("macOS takes both forms for one name")
    composed, combining = parse_key("caf\u00e9"), parse_key("cafe\u0301")
    run(store.put(composed, file_of(b"composed"), media_type=JPEG))
    with pytest.raises(NotFound):
        run(store.find(combining))
    assert fetch(store, composed) == b"composed"


def test_put_new_leaves_the_first(store: Store, file_of: Callable[[bytes], Path]) -> None:
    assert run(store.put_new(KEY, file_of(b"first"), media_type=JPEG))
    assert not run(store.put_new(KEY, file_of(b"second"), media_type=JPEG))
    assert not run(store.put_new(KEY, file_of(b"first"), media_type=JPEG))
    assert fetch(store, KEY) == b"first"


def test_one_of_many_wins_put_new(open_again: Callable[[], Store], file_of: Callable[[bytes], Path]) -> None:
    bodies = [bytes([number]) * 1000 for number in range(8)]

    async def race() -> list[bool]:
        stores = [open_again(), open_again()]
        return await asyncio.gather(
            *(stores[n % 2].put_new(KEY, file_of(body), media_type=JPEG) for n, body in enumerate(bodies))
        )

    won = run(race())
    assert won.count(True) == 1
    assert fetch(open_again(), KEY) == bodies[won.index(True)]


def test_our_own_objects_are_kept_like_others(store: Store, file_of: Callable[[bytes], Path]) -> None:
    key = reserved_key("renditions/0123/body")
    assert run(store.put_new(key, file_of(b"made"), media_type=JPEG))
    assert fetch(store, key) == b"made"


def test_a_key_that_nobody_parsed_is_refused_again(store: Store, file_of: Callable[[bytes], Path], into: Path) -> None:
    body = file_of(b"one")
    for text in ("", "/etc/passwd", "../root", "a/../../b", "a//b", "a\\b", "a/.", ".medialink/../a", "\udcff"):
        key = Key(text)
        for call in (
            store.find(key),
            take(store, key, into=into),
            store.put(key, body, media_type=JPEG),
            store.put_new(key, body, media_type=JPEG),
        ):
            with pytest.raises(Malformed):
                run(call)


def test_a_store_that_answers_passes_the_check(store: Store) -> None:
    run(store.check())


def test_what_lies_in_a_folder_of_our_own_is_listed_until_it_is_deleted(
    open_again: Callable[[], Store], file_of: Callable[[bytes], Path]
) -> None:
    store, other = open_again(), open_again()
    folder = reserved_key("list")
    assert run(store.names(folder, max_names=10)) == frozenset()
    for name in ("list/a", "list/b", "list/below/c", "list-d", "other/e"):
        run(store.put(reserved_key(name), file_of(b"one"), media_type=JPEG))
    run(store.put(parse_key("list/f"), file_of(b"one"), media_type=JPEG))
    assert run(other.names(folder, max_names=10)) == {"a", "b"}
    for _ in range(2):
        run(other.delete(reserved_key("list/a")))
    run(other.delete(reserved_key("nowhere/a")))
    assert run(store.names(folder, max_names=10)) == {"b"}
    with pytest.raises(NotFound):
        run(store.find(reserved_key("list/a")))


@pytest.mark.usefixtures("small_pages")
def test_a_list_is_read_over_its_pages_up_to_its_bound(store: Store, file_of: Callable[[bytes], Path]) -> None:
    names = {f"name-{number}" for number in range(7)}
    for name in names:
        run(store.put(reserved_key(f"list/{name}"), file_of(b"one"), media_type=JPEG))
    assert run(store.names(reserved_key("list"), max_names=7)) == names
    some = run(store.names(reserved_key("list"), max_names=3))
    assert len(some) == 3
    assert some < names


def put_all(store: Store, keys: Iterable[str], body: Path) -> None:
    async def work() -> None:
        for key in keys:
            await store.put(Key(key), body, media_type=JPEG)

    run(work())


def pages_of(store: Store, prefix: str) -> list[list[str]]:
    async def work() -> list[list[str]]:
        return [page async for page in store.keys(prefix)]

    return run(work())


def keys_of(store: Store, prefix: str) -> list[str]:
    return sorted(name for page in pages_of(store, prefix) for name in page)


@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b", "a/b/", "a/b/c d", "b/a/b.jpg", "a/x", "x/", "z.jpg/", "a/."])
def test_the_keys_that_begin_so_are_named_and_no_others(
    store: Store, file_of: Callable[[bytes], Path], prefix: str
) -> None:
    keys = ["a/.b/c.jpg", "a/b.jpg", "a/b/c d+%.jpg", "a/b/фото/写真.jpg", "ab.jpg", "b/a/b.jpg", "z.jpg"]
    put_all(store, keys, file_of(b"one"))
    assert keys_of(store, prefix) == sorted(key for key in keys if key.startswith(prefix))


def test_a_store_without_media_names_no_keys(store: Store) -> None:
    assert keys_of(store, "") == keys_of(store, "a/") == []


def test_awkward_keys_are_named_as_they_are(store: Store, file_of: Callable[[bytes], Path]) -> None:
    keys = sorted(AWKWARD.values())
    put_all(store, keys, file_of(b"one"))
    assert keys_of(store, "") == keys
    for key in keys:
        assert keys_of(store, key) == [key]
        assert key in keys_of(store, key[:-1])


def test_what_is_ours_is_not_among_the_keys(store: Store, file_of: Callable[[bytes], Path]) -> None:
    ours = (".medialink/renditions/0123/body", ".medialink/list/a")
    put_all(store, ("a.jpg", ".medialinks/b.jpg", "c/.medialink/d.jpg", *ours), file_of(b"one"))
    assert keys_of(store, "") == [".medialinks/b.jpg", "a.jpg", "c/.medialink/d.jpg"]
    assert keys_of(store, ".medi") == keys_of(store, ".medialink") == [".medialinks/b.jpg"]


@pytest.mark.usefixtures("small_pages")
def test_keys_come_in_pages_whole_and_once(store: Store, file_of: Callable[[bytes], Path]) -> None:
    keys = sorted([f"p/{number}.jpg" for number in range(5)] + [f"p/{number}/{number}.jpg" for number in range(4)])
    put_all(store, [*keys, "q.jpg", ".medialink/p"], file_of(b"one"))
    pages = pages_of(store, "p/")
    assert [len(page) for page in pages] == [2, 2, 2, 2, 1]
    assert sorted(name for page in pages for name in page) == keys
    assert keys_of(store, "") == [*keys, "q.jpg"]


@pytest.mark.usefixtures("small_pages")
def test_a_list_may_be_given_up_after_any_page(store: Store, file_of: Callable[[bytes], Path]) -> None:
    put_all(store, [f"{number}.jpg" for number in range(5)], file_of(b"one"))

    async def first() -> list[str]:
        async with aclosing(store.keys("")) as pages:
            return await anext(pages)

    assert len(run(first())) == 2
    assert len(keys_of(store, "")) == 5


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//", ".medialink/", ".MEDIALINK/a", "a\\", "a\n", "\udcff"])
def test_a_prefix_that_no_key_can_have_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(Malformed):
        keys_of(store, prefix)


def test_the_doors_to_our_own_do_not_open_for_media(store: Store, file_of: Callable[[bytes], Path]) -> None:
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    for text in (KEY, "folder", ".medialink", ".medialink/../folder/photo.jpg", ".MEDIALINK/a"):
        with pytest.raises(Malformed):
            run(store.delete(Key(text)))
        with pytest.raises(Malformed):
            run(store.names(Key(text), max_names=10))
    assert fetch(store, KEY) == b"one"
