"""What a folder holds that is no medium, and much of it."""

import tracemalloc
from asyncio import run
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.errors import StoreAway
from proxy.storage.folder import FolderStore


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    return root


@pytest.fixture
def store(root: Path) -> Iterator[FolderStore]:
    store = FolderStore(root)
    yield store
    run(store.close())


async def keys(store: FolderStore, prefix: str) -> list[str]:
    return [name async for page in store.keys(prefix) for name in page]


def test_a_folder_is_listed_inside_of_its_root_only(store: FolderStore, root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    for file in (root / "in.jpg", tmp_path / "outside" / "secret.jpg"):
        file.touch()
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "link.jpg").symlink_to(tmp_path / "outside" / "secret.jpg")
    (root / "here").symlink_to(root)
    for prefix, names in {"": ["in.jpg"], "link": [], "link/": [], "link/s": [], "here/": [], "in.jpg/": []}.items():
        assert run(keys(store, prefix)) == names, prefix


def test_a_folder_that_becomes_a_symlink_on_the_way_is_not_followed(
    store: FolderStore, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.storage.walk.PAGE_NAMES", 1)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.jpg").touch()
    (root / "a.jpg").touch()
    (root / "folder").mkdir()

    async def walk() -> list[str]:
        names = []
        async for page in store.keys(""):
            names += page
            (root / "folder").rmdir()
            (root / "folder").symlink_to(tmp_path / "outside")
        return names

    assert run(walk()) == ["a.jpg"]


def test_a_root_that_went_away_is_a_store_that_is_away(store: FolderStore, root: Path) -> None:
    root.rmdir()
    with pytest.raises(StoreAway):
        run(keys(store, ""))


def test_names_that_are_no_keys_are_named_too(store: FolderStore, root: Path) -> None:
    (root / "a\nb.jpg").touch()
    assert run(keys(store, "a")) == ["a\nb.jpg"]


@pytest.fixture
def crowded(root: Path) -> Iterator[Path]:
    for number in range(20_000):
        (root / f"{number:030}.jpg").touch()
    yield root
    for file in root.iterdir():
        file.unlink()


@pytest.mark.usefixtures("crowded")
def test_a_crowded_folder_is_not_held_in_memory(store: FolderStore) -> None:
    async def count() -> tuple[int, int]:
        sizes = [len(page) async for page in store.keys("")]
        return sum(sizes), max(sizes)

    tracemalloc.start()
    assert run(count()) == (20_000, 1_000)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 1_000_000
