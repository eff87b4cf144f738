"""Link keys are rotated by their list: what is out there goes on, what is new is minted with the new key."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import House

OLD, NEW = "1:" + "a" * 43, "2:" + "b" * 43


def key_id_of(link: str) -> int:
    token = link.split("/")[-2]
    return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))[0]


def test_rotation_keeps_old_links_and_mints_new_ones_without_work(
    build: Callable[..., "House"], tmp_path: Path, heavy_jpeg: bytes
) -> None:
    """The runbook's three steps: open the new key everywhere, mint with it, take the old one away."""
    before, opened, rotated, after = (
        build(data_dir=tmp_path / "same", link_keys=keys) for keys in (OLD, f"{OLD},{NEW}", f"{NEW},{OLD}", NEW)
    )
    before.put("a.jpg", heavy_jpeg)
    old_link = before.link("a.jpg")
    old, body = old_link.removeprefix(before.url), before.web.get(old_link).content
    assert opened.link("a.jpg") == old_link.replace(before.url, opened.url)
    new = rotated.link("a.jpg").removeprefix(rotated.url)
    assert (key_id_of(old), key_id_of(new)) == (1, 2)
    assert before.web.get(new).status_code == 404, "so the new key must be opened everywhere before it mints"
    for house in (opened, rotated):
        assert {path: house.web.get(path).content for path in (old, new)} == {old: body, new: body}
    assert after.web.get(new).headers["cache-status"] == "medialink; hit", (
        "the rendition is the same, and not made again"
    )
    assert after.web.get(old).status_code == 404
    assert after.link("a.jpg").removeprefix(after.url) == new


def test_a_message_with_a_link_of_an_old_key_is_still_sent(
    build: Callable[..., "House"], tmp_path: Path, light_jpeg: bytes
) -> None:
    before, rotated = (
        build(data_dir=tmp_path / "same", link_keys=keys, public_url="http://127.0.0.1:1")
        for keys in (OLD, f"{NEW},{OLD}")
    )
    before.put("a.jpg", light_jpeg)
    assert rotated.send(link=before.link("a.jpg")).status_code == 202
