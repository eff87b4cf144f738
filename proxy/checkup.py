"""A look around before traffic comes: every door is opened, and each finding told in a line, with what to do."""

import asyncio
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import httpx2

from proxy import telemetry
from proxy.app import build_delivery, build_health
from proxy.console import EXIT_AWAY, EXIT_OK, out, show_json
from proxy.errors import Unavailable
from proxy.messaging_doors import Messaging, build_messaging
from proxy.safety import doubtful
from proxy.settings import Settings, env_file
from proxy.telemetry.otel import build_traces

KNOCK_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """`doors` has one word for each that answers, and a sentence for each that does not; `ready`: all answer."""

    doors: dict[str, str]
    warnings: tuple[str, ...]
    ready: bool


def check_up(settings: Settings, *, as_json: bool) -> int:
    """Tell of what `serve` would find; gives the exit code. Wrong and unsafe settings were refused before."""
    telemetry.configure_logging("error", "auto")
    findings = asyncio.run(_look_around(settings))
    if as_json:
        show_json({"ready": findings.ready, "doors": findings.doors, "warnings": findings.warnings})
    else:
        for door, state in findings.doors.items():
            out.print(f"{door}: {state}", markup=False)
        for warning in findings.warnings:
            out.print(f"warning: {warning}", markup=False)
    return EXIT_OK if findings.ready else EXIT_AWAY


async def _look_around(settings: Settings) -> Findings:
    async with AsyncExitStack() as opened:
        if traces := build_traces(env_file()):
            opened.push_async_callback(traces.close)
        delivery = build_delivery(settings)
        opened.push_async_callback(delivery.close)
        await delivery.open()
        messaging: Messaging | None = None
        if settings.serve_only != "delivery":
            messaging = build_messaging(settings, delivery.mint)
            opened.push_async_callback(messaging.close)
            with suppress(Unavailable):  # it is asked again below, and told there
                await messaging.ledger.open()
        health = build_health(delivery, messaging.ledger if messaging else None)
        doors, ready = await health.report()
    warnings = doubtful(settings)
    if messaging is not None and messaging.provider is not None:
        problem = await _knock(settings.provider_url)
        doors["provider"] = problem or "ok"
        ready = ready and problem is None
    if settings.sends_for_real and (problem := await _knock(settings.public_url)):
        warnings += (f"PUBLIC_URL: {problem}; WhatsApp must reach it before the first message",)
    return Findings(doors=doors, warnings=warnings, ready=ready)


async def _knock(url: str) -> str | None:
    """Say why an address does not answer; any answer will do, as nothing is asked of it."""
    try:
        async with httpx2.AsyncClient(timeout=KNOCK_TIMEOUT_S, trust_env=False) as client:
            await client.head(url)
    except httpx2.HTTPError as error:
        return f"{url} does not answer ({type(error).__name__}: {error})"
    return None
