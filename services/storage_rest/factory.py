"""Puts storage-rest together from its settings: as a process of its own, or inside another."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from common import __version__, feed, identity
from common.catalog_info import FILE_NAME
from common.health import Health
from common.http import server
from common.http.access import AccessPolicy
from common.http.client import HttpClient
from common.http.server import Address
from common.kube.metrics import KubeMetrics
from common.logs import tell_start
from common.metrics import Metrics
from common.secrets import StaticToken
from common.settings import report_unusable
from common.status import settings_of
from services.storage_rest.app import create_storage_app
from services.storage_rest.push import Pusher
from services.storage_rest.registration import Registration
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings
from services.storage_rest.status import report
from services.storage_rest.stores.base import Store
from services.storage_rest.stores.file import FileStore, owned
from services.storage_rest.stores.memory import MemoryStore
from services.storage_rest.stores.opening import open_store
from services.storage_rest.telemetry import Telemetry


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
    """Run the service for the time of the block; it loads by itself, see `StorageService.loaded`.

    `push` False leaves out the pushes to BRIDGE_URL, where everybody follows by themselves; `kube_metrics` are those
    of a process that has them already. `sources` name what the cache is filled from, for a state directory belongs to
    one set of these.

    Raises:
        OSError: the state directory cannot be made, or is somebody else's.
        common.kube.credentials.CredentialsError: the cache is kept in ConfigMaps and there is no way to the cluster.
    """
    telemetry = Telemetry(metrics)
    async with AsyncExitStack() as stack:
        service = StorageService(
            store=await _store(
                settings, stack, metrics, kube_metrics, health=health, telemetry=telemetry, sources=sources
            ),
            telemetry=telemetry,
            health=health,
            document_limit=settings.document_limit,
            patience=settings.patience,
        )
        client = HttpClient(name="location", base_url=settings.bridge, token=settings.shared_token)
        pusher = Pusher(
            client=await stack.enter_async_context(client),
            source=service,
            telemetry=telemetry,
            yaml=settings.writes_yaml,
        )
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(service.run())]
            if push:
                service.attach(pusher)
                background.append(tasks.create_task(pusher.run()))
            try:
                yield service
            finally:
                await service.settle()
                for task in background:
                    task.cancel()


async def run(settings: StorageSettings, addresses: Sequence[Address], stop: asyncio.Event) -> None:
    """Serve on `addresses` until `stop` is set."""
    metrics, health = Metrics("storage-rest", __version__), Health()
    report_unusable(settings, health)
    async with storage_service(settings, metrics=metrics, health=health) as service, registering(settings, service):
        access = AccessPolicy(token=settings.shared_token, open_reads=settings.open_reads)
        app = create_storage_app(
            service=service, metrics=metrics, health=health, access=access, yaml=settings.writes_yaml
        )
        server.add_status(app, lambda: report(service, health=health, settings=settings))
        tell = partial(tell_start, "storage-rest", __version__, settings=settings_of(settings))
        cache = settings.storage_type
        await server.run(app, addresses, stop=stop, started=lambda bound: tell(addresses=bound, cache=cache))


@asynccontextmanager
async def registering(settings: StorageSettings, service: StorageService) -> AsyncIterator[None]:
    """Register the feed with Backstage meanwhile, if that is asked for; take it back where Backstage is named alone."""
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
        task = tasks.create_task(registration.run() if settings.push_to_rhdh else registration.take_back())
        try:
            yield
        finally:
            task.cancel()


def _targets(settings: StorageSettings, service: StorageService) -> Collection[str] | None:
    """Return the Locations that Backstage is to read: one for all or, in the second format, one for each model."""
    base = settings.registered_at
    if not settings.writes_yaml:
        return frozenset({f"{base}/{FILE_NAME}"})
    if not service.complete:
        return None
    uris = (feed.path_of(key, entry.uri) for key in service.keys if (entry := service.shown(key)) is not None)
    return frozenset(f"{base}{uri.removesuffix(identity.DOCUMENT_NAME)}{FILE_NAME}" for uri in uris)


async def _store(
    settings: StorageSettings,
    stack: AsyncExitStack,
    metrics: Metrics,
    kube_metrics: KubeMetrics | None,
    *,
    health: Health,
    telemetry: Telemetry,
    sources: Collection[str],
) -> Store:
    if settings.storage_type == "ConfigMap":
        kube_metrics = kube_metrics or KubeMetrics(metrics)
        return await open_store(settings, stack, kube_metrics=kube_metrics, health=health, telemetry=telemetry)
    if settings.storage_type == "Memory":
        return MemoryStore()
    stack.enter_context(owned(settings.state_dir, sources))
    return FileStore(settings.state_dir)
