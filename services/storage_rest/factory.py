"""Builds storage-rest from its settings: as a process, or as part of another."""

import asyncio
import os
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from common import LOCATION, STORAGE, __version__, feed, identity
from common.catalog_info import FILE_NAME
from common.clocks import steady_clock
from common.health import Health
from common.http import server
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.http.client import HttpClient
from common.kube.client import KubeClient
from common.kube.credentials import CredentialsError
from common.kube.environment import find_credentials
from common.kube.metrics import KubeMetrics
from common.logs import log_start
from common.metrics import Metrics
from common.secrets import StaticToken
from common.settings import report_unusable
from common.status import settings_of
from services.storage_rest.app import create_storage_app
from services.storage_rest.push import Pusher
from services.storage_rest.registration import Registration
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings
from services.storage_rest.stores.base import Store
from services.storage_rest.stores.configmap import ConfigMapStore
from services.storage_rest.stores.local import FileStore, MemoryStore, claimed
from services.storage_rest.telemetry import StorageMetrics


@asynccontextmanager
async def storage_service(
    settings: StorageSettings,
    *,
    metrics: Metrics,
    health: Health,
    push: bool = True,
    kube_metrics: KubeMetrics | None = None,
    sources: Collection[str] = (),
) -> AsyncIterator[StorageService]:
    """Run the service inside a `with` block; it loads in the background, see `StoredCache.loaded`.

    `push=False`: nothing is pushed to BRIDGE_URL, because every reader requests the changes. `kube_metrics` are given
    by a process that has them already. `sources` name what the cache is filled from: a state directory belongs to one
    set of sources.

    Raises:
        OSError: the state directory cannot be made, or belongs to another process or other sources.
        common.kube.credentials.CredentialsError: the cache is in ConfigMaps, but no cluster is configured.
    """
    telemetry = StorageMetrics(metrics)
    async with AsyncExitStack() as stack:
        service = StorageService(
            store=await _store(
                settings, stack, metrics, kube_metrics, health=health, telemetry=telemetry, sources=sources
            ),
            telemetry=telemetry,
            health=health,
            document_limit=settings.document_limit,
            policy=settings.removal_policy,
            clock=steady_clock(),
        )
        client = HttpClient(name=LOCATION, base_url=settings.bridge, token=settings.shared_token)
        pusher = Pusher(
            client=await stack.enter_async_context(client),
            cache=service.stored,
            telemetry=telemetry,
            yaml=settings.writes_yaml,
        )
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(service.stored.run())]
            if push:
                service.stored.pushes = pusher
                background.append(tasks.create_task(pusher.run()))
            try:
                yield service
            finally:
                await service.stored.flush()
                for task in background:
                    task.cancel()


async def run(settings: StorageSettings, addresses: Sequence[Address], stop: asyncio.Event) -> None:
    """Serve on `addresses` until `stop` is set."""
    metrics, health = Metrics(STORAGE, __version__), Health()
    report_unusable(settings, health)
    async with storage_service(settings, metrics=metrics, health=health) as service, registering(settings, service):
        access = AccessPolicy(token=settings.shared_token, open_reads=settings.open_reads)
        app = create_storage_app(service=service, metrics=metrics, health=health, access=access, settings=settings)
        started = partial(log_start, STORAGE, __version__, settings=settings_of(settings), cache=settings.storage_type)
        await server.run(app, addresses, stop=stop, started=lambda bound: started(addresses=bound))


@asynccontextmanager
async def registering(settings: StorageSettings, service: StorageService) -> AsyncIterator[None]:
    """During the block, register the feed with Backstage if the settings say so, or unregister it if switched off."""
    if not (settings.push_to_rhdh or settings.was_switched_off):
        yield
        return
    token = settings.backstage_token
    async with (
        HttpClient(
            name="Backstage",
            base_url=settings.backstage_url,
            token=StaticToken(token.get_secret_value()) if token else None,
        ) as backstage,
        asyncio.TaskGroup() as tasks,
    ):
        registration = Registration(backstage, base=settings.registered_at, wanted=partial(_targets, settings, service))
        task = tasks.create_task(registration.run() if settings.push_to_rhdh else registration.unregister())
        try:
            yield
        finally:
            task.cancel()


def _targets(settings: StorageSettings, service: StorageService) -> Collection[str] | None:
    """Return the Locations that Backstage should read: one, or one for each model with CatalogInfoYamlFormat."""
    base = settings.registered_at
    if not settings.writes_yaml:
        return frozenset({f"{base}/{FILE_NAME}"})
    if not service.stored.complete:
        return None
    uris = (
        feed.path_of(key, entry.uri) for key in service.stored.keys if (entry := service.stored.shown(key)) is not None
    )
    return frozenset(f"{base}{uri.removesuffix(identity.DOCUMENT_NAME)}{FILE_NAME}" for uri in uris)


async def _store(
    settings: StorageSettings,
    stack: AsyncExitStack,
    metrics: Metrics,
    kube_metrics: KubeMetrics | None,
    *,
    health: Health,
    telemetry: StorageMetrics,
    sources: Collection[str],
) -> Store:
    if settings.storage_type == "Memory":
        return MemoryStore()
    if settings.storage_type == "File":
        stack.enter_context(claimed(settings.state_dir, sources))
        return FileStore(settings.state_dir)
    credentials = await find_credentials(os.environ)
    namespace = settings.namespace or credentials.namespace
    if not namespace:
        raise CredentialsError("the namespace of the cache is unknown: set POD_NAMESPACE")
    kube_metrics = kube_metrics or KubeMetrics(metrics)
    return ConfigMapStore(
        client=await stack.enter_async_context(KubeClient(credentials=credentials, metrics=kube_metrics)),
        namespace=namespace,
        kube_metrics=kube_metrics,
        telemetry=telemetry,
        health=health,
        budget=settings.shard_budget,
        yaml=settings.writes_yaml,
    )
