import asyncio
import os
import resource
import socket
import sys
from asyncio import run
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest

from proxy.errors import DiskFull, Malformed, MedialinkError, NotFound, SourceReplaced, StoreAway
from proxy.storage.folder import STALE_AFTER_NS, FolderStore
from proxy.storage.hashes import SETTLED_AFTER_NS, Memo
from proxy.storage.store import Source, parse_key
from tests.storage.bodies import MIB, fetch, take

KEY = parse_key("folder/photo.jpg")
JPEG = "image/jpeg"
YEAR_2100_NS = 4_102_444_800 * 10**9


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def store(root: Path) -> Iterator[FolderStore]:
    opened = FolderStore(root)
    yield opened
    run(opened.close())


@pytest.fixture
def later(root: Path) -> Iterator[FolderStore]:
    """Open a store that sees every file as settled long ago."""
    opened = FolderStore(root, clock_ns=lambda: YEAR_2100_NS)
    yield opened
    run(opened.close())


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_bytes(b"secret")
    return folder


def drafts(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".medialink/tmp").iterdir())


def test_the_version_is_the_hash_of_the_bytes(store: FolderStore, file_of: Callable[[bytes], Path]) -> None:
    put = run(store.put(KEY, file_of(b"abc"), media_type=JPEG))
    assert put.version == "h:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert put == run(store.find(KEY))


def test_a_file_that_others_put_there_is_a_source(store: FolderStore, root: Path) -> None:
    (root / "ordner").mkdir()
    (root / "ordner" / "ü (1).jpg").write_bytes(b"by hand")
    assert fetch(store, parse_key("ordner/ü (1).jpg")) == b"by hand"


def assert_not_there(store: FolderStore, text: str) -> None:
    with pytest.raises(NotFound):
        run(store.find(parse_key(text)))
    with pytest.raises(NotFound):
        fetch(store, parse_key(text))
    with pytest.raises(SourceReplaced):
        fetch(store, parse_key(text), "h:0")


def test_no_symlink_is_followed(store: FolderStore, root: Path, outside: Path) -> None:
    (root / "inside").write_bytes(b"inside")
    (root / "to-file").symlink_to(outside / "secret")
    (root / "to-folder").symlink_to(outside)
    (root / "to-inside").symlink_to("inside")
    (root / "to-itself").symlink_to("to-itself")
    (root / "deep").mkdir()
    (root / "deep" / "up").symlink_to("..")
    for text in ("to-file", "to-folder/secret", "to-inside", "to-itself", "deep/up/inside", "to-folder"):
        assert_not_there(store, text)
    assert fetch(store, parse_key("inside")) == b"inside"


def test_only_files_are_sources(store: FolderStore, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "folder").mkdir()
    os.mkfifo(root / "fifo")
    monkeypatch.chdir(root)  # the path of a socket may have about 100 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        for text in ("folder", "fifo", "socket"):
            assert_not_there(store, text)


def test_a_device_is_no_source() -> None:
    devices = FolderStore(Path("/dev"))
    assert_not_there(devices, "null")
    run(devices.close())


def test_a_root_behind_a_symlink_is_a_root(root: Path, tmp_path: Path, file_of: Callable[[bytes], Path]) -> None:
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    linked = FolderStore(tmp_path / "link")
    run(linked.put(KEY, file_of(b"one"), media_type=JPEG))
    run(linked.close())
    assert (root / KEY).read_bytes() == b"one"


def test_nothing_is_written_through_a_symlink(
    store: FolderStore, root: Path, outside: Path, file_of: Callable[[bytes], Path]
) -> None:
    (root / "to-folder").symlink_to(outside)
    (root / "to-file").symlink_to(outside / "secret")
    for put in (store.put, store.put_new):
        with pytest.raises(Malformed):
            run(put(parse_key("to-folder/new"), file_of(b"new"), media_type=JPEG))
    with pytest.raises(Malformed):
        run(store.put_new(parse_key("to-file"), file_of(b"new"), media_type=JPEG))
    run(store.put(parse_key("to-file"), file_of(b"new"), media_type=JPEG))
    assert fetch(store, parse_key("to-file")) == b"new"
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_bytes() == b"secret"


def test_a_reserved_folder_that_is_a_symlink_is_not_written_to(
    root: Path, outside: Path, file_of: Callable[[bytes], Path]
) -> None:
    root.mkdir()
    (root / ".medialink").symlink_to(outside)
    store = FolderStore(root)
    with pytest.raises(StoreAway):
        run(store.put(KEY, file_of(b"new"), media_type=JPEG))
    run(store.close())
    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_a_name_is_a_file_or_a_folder(store: FolderStore, file_of: Callable[[bytes], Path]) -> None:
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    for put in (store.put, store.put_new):
        for text in ("folder", "folder/photo.jpg/below", "folder/photo.jpg/far/below"):
            with pytest.raises(Malformed) as refused:
                run(put(parse_key(text), file_of(b"two"), media_type=JPEG))
            assert "below a file" in refused.value.message
    assert fetch(store, KEY) == b"one"


def test_a_key_of_very_many_folders_is_kept(store: FolderStore, file_of: Callable[[bytes], Path]) -> None:
    key = parse_key("/".join("d" * 512))
    run(store.put(key, file_of(b"deep"), media_type=JPEG))
    assert fetch(store, key) == b"deep"


def test_readers_see_one_whole_file_while_it_is_overwritten(
    store: FolderStore, file_of: Callable[[bytes], Path]
) -> None:
    bodies = [file_of(bytes([letter]) * 300_000) for letter in b"ab"]
    run(store.put(KEY, bodies[0], media_type=JPEG))

    readers = [bodies[0].with_name(f"into-{number}") for number in range(40)]

    async def race() -> None:
        writes = [store.put(KEY, bodies[number % 2], media_type=JPEG) for number in range(40)]
        reads = [take(store, KEY, into=into) for into in readers]
        await asyncio.gather(*(call for pair in zip(writes, reads, strict=True) for call in pair))

    run(race())
    seen = [into.read_bytes() for into in readers]
    assert len(seen) == 40
    assert {len(content) for content in seen} == {300_000}
    assert all(len(set(content)) == 1 for content in seen)


@contextmanager
def scarce_disk(max_file_bytes: int) -> Iterator[None]:
    """Limit the files of this process as a quota does: past the limit the kernel answers EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_file(store: FolderStore, root: Path, file_of: Callable[[bytes], Path]) -> None:
    run(store.put(KEY, file_of(b"old"), media_type=JPEG))
    heavy = file_of(bytes(1 << 17))
    with scarce_disk(1 << 16):
        for put, text in ((store.put, KEY), (store.put_new, "folder/new"), (store.put, "other/new")):
            with pytest.raises(DiskFull):
                run(put(parse_key(text), heavy, media_type=JPEG))
    assert fetch(store, KEY) == b"old"
    assert drafts(root) == []
    assert [path.name for path in (root / "folder").iterdir()] == ["photo.jpg"]
    assert not (root / "other").exists()


def test_a_full_disk_at_the_reader_is_a_full_disk(
    store: FolderStore, file_of: Callable[[bytes], Path], need: Callable[[str], NoReturn]
) -> None:
    if not Path("/dev/full").exists():
        need("this system has no /dev/full")
    run(store.put(KEY, file_of(b"one"), media_type=JPEG))
    with pytest.raises(DiskFull):
        run(take(store, KEY, into=Path("/dev/full")))


@pytest.mark.parametrize("name", ["put", "put_new"])
def test_no_draft_outlives_its_put(store: FolderStore, root: Path, file_of: Callable[[bytes], Path], name: str) -> None:
    put = getattr(store, name)
    run(put(KEY, file_of(b"one"), media_type=JPEG))
    run(put(KEY, file_of(b"two"), media_type=JPEG))
    with pytest.raises(Malformed):
        run(put(parse_key("folder"), file_of(b"three"), media_type=JPEG))
    with pytest.raises(FileNotFoundError):
        run(put(KEY, root / "no-such-body", media_type=JPEG))
    assert drafts(root) == []


def test_drafts_of_crashed_processes_go_after_an_hour(root: Path) -> None:
    staging = root / ".medialink/tmp"
    staging.mkdir(parents=True)
    for name, modified_ns in (
        ("crashed", YEAR_2100_NS - STALE_AFTER_NS - 1),
        ("at-work", YEAR_2100_NS - STALE_AFTER_NS),
    ):
        (staging / name).write_bytes(b"half")
        os.utime(staging / name, ns=(modified_ns, modified_ns))
    (staging / "folder").mkdir()
    run(FolderStore(root, clock_ns=lambda: YEAR_2100_NS).close())
    assert drafts(root) == ["at-work", "folder"]


def test_a_kept_version_does_not_outlive_a_change_under_the_same_size_and_time(
    later: FolderStore, root: Path, file_of: Callable[[bytes], Path]
) -> None:
    run(later.put(KEY, file_of(b"one"), media_type=JPEG))
    first = run(later.find(KEY))
    before = (root / KEY).stat()
    while (root / KEY).stat().st_ctime_ns == before.st_ctime_ns:  # the kernel's clock ticks every few milliseconds
        (root / KEY).write_bytes(b"two")
        os.utime(root / KEY, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = run(later.find(KEY))
    assert (second.size_bytes, second.modified_at) == (first.size_bytes, first.modified_at)
    assert second.version != first.version
    assert fetch(later, KEY, second.version) == b"two"


@pytest.mark.parametrize(
    ("age_ns", "kept"), [(-1, None), (0, None), (SETTLED_AFTER_NS - 1, None), (SETTLED_AFTER_NS, "h:1")]
)
def test_a_version_is_kept_only_of_a_file_that_settled(tmp_path: Path, age_ns: int, kept: str | None) -> None:
    """Linux before 6.13 moves ctime once a tick: bytes that change within it would keep the version of the old ones."""
    (tmp_path / "a").write_bytes(b"a")
    seen = (tmp_path / "a").stat()
    memo = Memo(lambda: seen.st_ctime_ns + age_ns)
    memo.keep(seen, "h:1")
    assert memo.get(seen) == kept


def test_a_settled_file_is_read_once(later: FolderStore, root: Path, need: Callable[[str], NoReturn]) -> None:
    if sys.platform != "linux":
        need("only Linux counts the bytes that a process reads (/proc/self/io)")
    (root / "a").write_bytes(bytes(8 << 20))

    def bytes_read() -> int:
        return int(Path("/proc/self/io").read_text().split()[1])

    started = bytes_read()
    first = run(later.find(parse_key("a")))
    once = bytes_read()
    second = run(later.find(parse_key("a")))
    with pytest.raises(SourceReplaced):
        fetch(later, parse_key("a"), "h:0")
    assert once - started >= 8 << 20
    assert bytes_read() - once < 1 << 20
    assert second == first


def test_the_memo_is_bounded_and_forgets_the_oldest(tmp_path: Path) -> None:
    memo = Memo(lambda: YEAR_2100_NS, entries=2)
    seen = []
    for name in "abc":
        (tmp_path / name).write_text(name)
        seen.append((tmp_path / name).stat())
        memo.keep(seen[-1], name)
    assert [memo.get(one) for one in seen] == [None, "b", "c"]


@pytest.mark.parametrize(("version", "error"), [(None, StoreAway), ("named", SourceReplaced)], ids=["newest", "named"])
def test_a_file_that_changes_while_it_is_read_is_not_passed_off(
    store: FolderStore, root: Path, into: Path, version: str | None, error: type[MedialinkError]
) -> None:
    (root / "a").write_bytes(b"a" * (3 * MIB))
    if version is not None:
        version = run(store.find(parse_key("a"))).version

    def meddle(_: Source, arrived_bytes: int) -> None:
        if arrived_bytes == MIB:
            with (root / "a").open("r+b") as file:
                file.seek(2 * MIB)
                file.write(b"b")

    with pytest.raises(error):
        run(take(store, parse_key("a"), version, into=into, progress=meddle))


def test_a_file_that_grows_while_it_is_read_stays_under_the_limit(store: FolderStore, root: Path, into: Path) -> None:
    (root / "a").write_bytes(b"a" * 10)

    def grow(_: Source, arrived_bytes: int) -> None:
        if arrived_bytes == 0:
            (root / "a").write_bytes(b"a" * 100)

    with pytest.raises(StoreAway):
        run(take(store, parse_key("a"), into=into, max_bytes=10, progress=grow))
    assert into.stat().st_size == 10


def test_a_version_that_lies_there_is_delivered_though_the_file_was_touched(store: FolderStore, root: Path) -> None:
    (root / "a").write_bytes(b"a")
    version = run(store.find(parse_key("a"))).version
    os.utime(root / "a", (1, 1))
    assert fetch(store, parse_key("a"), version) == b"a"


def test_a_root_that_went_away_is_a_store_that_is_away(
    root: Path, file_of: Callable[[bytes], Path], into: Path
) -> None:
    store = FolderStore(root)
    root.rmdir()
    for call in (
        store.check(),
        store.find(KEY),
        take(store, KEY, into=into),
        store.put(KEY, file_of(b"one"), media_type=JPEG),
        store.put_new(KEY, file_of(b"one"), media_type=JPEG),
    ):
        with pytest.raises(StoreAway):
            run(call)
    run(store.close())


def test_a_root_that_cannot_be_made_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreAway):
        FolderStore(tmp_path / "file" / "root")
