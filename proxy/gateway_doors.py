"""The gateway's part of the map: how links in others' messages are read, imported and replaced."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from httpcore2 import AnyIOBackend

from proxy.delivery.mint import Mint
from proxy.messaging.addresses import Addresses
from proxy.messaging.callers import Callers
from proxy.messaging.forward import Forward
from proxy.messaging.gateway import Gateway
from proxy.messaging.idempotency import Idempotency
from proxy.messaging.import_hosts import ImportHosts
from proxy.messaging.import_network import PublicNetwork
from proxy.messaging.import_origin import ImportLimits, ImportOrigin
from proxy.messaging.importing import Importing
from proxy.messaging.relink import Relink
from proxy.messaging.rewrite import Rewrite
from proxy.messaging.tls import authorities
from proxy.settings import Settings

Draft = Callable[[], AbstractContextManager[Path]]


def build_importing(settings: Settings, mint: Mint, draft: Draft) -> Importing:
    limits = ImportLimits(max_bytes=settings.max_source_bytes)
    return Importing(
        hosts=ImportHosts.parse(settings.import_hosts),
        origin=ImportOrigin(PublicNetwork(AnyIOBackend()), authorities(), limits),
        store=mint.store,
        draft=draft,
        total_s=limits.total_s,
        clock=time.monotonic,
    )


def build_gateway(  # noqa: PLR0913 - what it depends on, all by name
    settings: Settings,
    *,
    callers: Callers,
    mint: Mint,
    importing: Importing | None,
    forward: Forward,
    idempotency: Idempotency,
    new_id: Callable[[], str],
) -> Gateway:
    addresses = Addresses.of(
        settings.store,
        endpoint_url=settings.s3_endpoint_url,
        region=settings.s3_region,
        public_url=settings.public_url,
        alias_prefixes=settings.alias_prefixes,
    )
    house_key = settings.d360_api_key if settings.waba_key == "house" else None
    return Gateway(
        callers=callers,
        rewrite=Rewrite(
            Relink(
                mint=mint,
                addresses=addresses,
                foreign_links=settings.foreign_links,
                importing=importing,
            )
        ),
        forward=forward,
        upstream=forward.upstream,
        idempotency=idempotency,
        house_key=house_key.get_secret_value() if house_key else None,
        wait_s=settings.gateway_wait_s,
        new_id=new_id,
    )
