"""The command that takes a medium down, and says of it what is done and what nobody can do."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from proxy.console import err, out, show_json, told
from proxy.errors import Malformed, NotFound, SettingsInvalid, StoreAway

if TYPE_CHECKING:
    from proxy.delivery.cdn import CloudFront
    from proxy.delivery.takedown_list import Takedown
    from proxy.settings import Settings
    from proxy.storage.store import Store

WHATSAPP = (
    "WhatsApp cannot be told: it keeps what it has fetched for ten minutes, or, by an older page of Meta's, as long as "
    "the headers allowed; what was delivered stays on the phones."
)


def takedown(
    key: Annotated[str | None, typer.Argument(help="A key of the store.")] = None,
    version: Annotated[
        str | None, typer.Option(help="One version only, as `put --json` names it; all of them if left out.")
    ] = None,
    *,
    undo: Annotated[bool, typer.Option("--undo", help="Deliver it again.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Show what is taken down.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Answer in JSON, for scripts.")] = False,
) -> None:
    """Deliver a key no more: every link, alias and message that names it is answered with 410."""
    import asyncio

    from proxy import telemetry
    from proxy.app import build_store
    from proxy.delivery.takedown_list import Takedown
    from proxy.settings import Settings
    from proxy.storage.store import parse_key

    async def work(entry: Takedown | None) -> None:
        settings = Settings.read()
        store = build_store(settings)
        try:
            if entry is None:
                await _show(store, as_json=as_json)
            elif undo:
                await _undo(store, entry, as_json=as_json)
            else:
                await _take_down(settings, store, entry, as_json=as_json)
        finally:
            await store.close()

    telemetry.configure_logging("warning", "auto")
    with told(as_json=as_json):
        if listed == (key is not None) or (listed and (undo or version is not None)):
            raise Malformed(field="KEY", problem="give either a key, or --list alone to see what is taken down")
        if version is not None and version[:2] not in {"v:", "e:", "h:"}:
            raise Malformed(field="--version", problem="begins with v:, e: or h:, as put --json shows it")
        entry = None if key is None else Takedown(key=parse_key(key), version=version, since=datetime.now(UTC))
        asyncio.run(work(entry))


async def forget(cdn: "CloudFront", paths: Sequence[str], pause: Callable[[float], Awaitable[None]]) -> str:
    """Have a CDN forget what it keeps, once every process has heard of the takedown.

    One that forgot sooner would fetch it anew, and keep that for a year.
    """
    from proxy.delivery.takedowns import HEARD_WITHIN_S

    await pause(HEARD_WITHIN_S)
    return await cdn.invalidate(paths, uuid4().hex)


async def _take_down(settings: "Settings", store: "Store", entry: "Takedown", *, as_json: bool) -> None:
    import asyncio

    from proxy.delivery.cdn import CloudFront, paths_of
    from proxy.delivery.takedown_list import TakedownList
    from proxy.delivery.takedowns import HEARD_WITHIN_S

    paths = paths_of(entry.key, _link_secrets(settings), settings.public_url, settings.alias_prefixes)
    cdn = CloudFront(settings.cloudfront_distribution_id) if settings.cloudfront_distribution_id else None
    await TakedownList(store).add(entry)
    newest, doubt = await _look(store, entry)
    if not as_json:
        out.print(f"{entry} is taken down: within {HEARD_WITHIN_S:.0f} s every process answers 410.", markup=False)
        if doubt:
            out.print(doubt, style="yellow", markup=False)
    with err.status("waiting until every process has heard of it"):
        invalidation = await forget(cdn, paths, asyncio.sleep) if cdn is not None and paths else None
    if as_json:
        found = {"newest_version": newest, "heard_within_s": HEARD_WITHIN_S}
        show_json(_in_json(entry) | found | {"cdn_paths": paths, "invalidation": invalidation, "whatsapp": WHATSAPP})
        return
    out.print(_said_of_cdn(paths, invalidation, HEARD_WITHIN_S), markup=False)
    out.print(WHATSAPP, markup=False)


async def _undo(store: "Store", entry: "Takedown", *, as_json: bool) -> None:
    from proxy.delivery.takedown_list import TakedownList
    from proxy.delivery.takedowns import HEARD_WITHIN_S

    await TakedownList(store).undo(entry.key, entry.version)
    if as_json:
        show_json({"key": entry.key, "version": entry.version, "taken_down": False, "heard_within_s": HEARD_WITHIN_S})
    else:
        out.print(f"{entry} is delivered again, within {HEARD_WITHIN_S:.0f} s.", markup=False)


async def _show(store: "Store", *, as_json: bool) -> None:
    from proxy.delivery.takedown_list import TakedownList

    entries, unreadable = await TakedownList(store).entries()
    if as_json:
        show_json({"takedowns": [_in_json(entry) for entry in entries], "unreadable": unreadable})
        return
    for entry in entries:
        out.print(f"{entry.since:%Y-%m-%d %H:%M} UTC  {entry}", markup=False)
    for name in unreadable:
        out.print(f"in force, and nobody can read what it names: {name}", markup=False)
    out.print(f"{len(entries) + len(unreadable)} taken down")


def _link_secrets(settings: "Settings") -> dict[int, bytes]:
    """Give the keys that sign links, which name the CDN's paths; a key made now would name nobody's.

    Raises:
        SettingsInvalid: there is a CDN to tell, and no key.
    """
    if settings.link_keys is not None or (settings.data_dir / "link.key").exists():
        return dict(settings.link_secrets())
    if settings.cloudfront_distribution_id:
        raise SettingsInvalid(mistakes=("LINK_KEYS: must be set where the CDN is told: they name the paths of links",))
    return {}


async def _look(store: "Store", entry: "Takedown") -> tuple[str | None, str | None]:
    """Find the newest version of the key, and say what may be a slip: a takedown of what never was helps nobody.

    Who takes down need not have the right to read media.
    """
    try:
        newest = (await store.find(entry.key)).version
    except NotFound:
        return None, "The store has no such key now: if it ever had, its links and renditions are taken down."
    except StoreAway:
        return None, "The store does not say whether it has such a key: look at how you spelt it."
    if entry.version not in {None, newest}:
        return newest, f"Another version is the newest, and is delivered on: {newest}"
    return newest, None


def _said_of_cdn(paths: Sequence[str], invalidation: str | None, heard_within_s: float) -> str:
    if invalidation is not None:
        return f"CloudFront forgets {' '.join(paths)} within minutes (invalidation {invalidation})."
    where = " ".join(paths) or "/m/<tag>/* (the tag stands in every link of the key)"
    return f"In {heard_within_s:.0f} s, have your CDN forget {where}: CLOUDFRONT_DISTRIBUTION_ID names none."


def _in_json(entry: "Takedown") -> dict[str, object]:
    return {"key": entry.key, "version": entry.version, "taken_down": True, "since": entry.since.isoformat()}
