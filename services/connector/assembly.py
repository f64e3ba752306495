"""All three services in one process: the same parts as in the pod, joined without HTTP."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from common.health import Health
from common.http import server
from common.http.access import AccessPolicy
from common.metrics import Metrics
from services.location.app import create_location_app
from services.location.settings import LocationSettings
from services.location.shelf import Shelf, prepare
from services.normalizer.service import Task, create_controller, follow_sources, run_until
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sources.manifests import ManifestSource
from services.storage_rest.factory import storage_service
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings

NAME = "connector"
_LONG_POLL = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to run: the sources, where the feed is served, and where metrics are served besides."""

    addresses: Sequence[server.Address]
    manifests: Sequence[Path] = ()
    cluster: bool = False
    metrics_addresses: Sequence[server.Address] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AllSettings:
    """The settings of the three services."""

    normalizer: NormalizerSettings
    storage: StorageSettings
    location: LocationSettings


async def run(plan: Plan, settings: AllSettings, stop: asyncio.Event) -> None:
    """Run everything until `stop` is set.

    Raises:
        CredentialsError: a cluster is asked for and the environment leads to none.
        OSError: an address cannot be bound, or the cache's folder cannot be written.
    """
    health, metrics = Health(), Metrics(NAME, version("rhoai-connector"))
    shelf = Shelf(health=health)
    async with AsyncExitStack() as stack:
        storage = await stack.enter_async_context(
            storage_service(settings.storage, metrics=metrics, health=health, push=False)
        )
        controller = create_controller(settings=settings.normalizer, storage=storage, health=health, metrics=metrics)
        sources: list[Task] = []
        if plan.manifests:
            manifests = ManifestSource(paths=plan.manifests, listener=controller)
            controller.declare(manifests.id)
            sources.append(manifests.run)
        sources += await follow_sources(
            stack, cluster=plan.cluster, settings=settings.normalizer, controller=controller, metrics=metrics
        )
        app = create_location_app(
            shelf=shelf,
            metrics=metrics,
            health=health,
            access=AccessPolicy(token=settings.location.shared_token, open_reads=settings.location.open_reads),
            connector_id=settings.location.connector_id,
        )
        await stack.enter_async_context(server.listening(app, plan.addresses))
        if plan.metrics_addresses:
            own = server.create_app(name=NAME, metrics=metrics, health=health, access=None)
            await stack.enter_async_context(server.listening(own, plan.metrics_addresses))
        stack.callback(storage.close)
        await run_until(stop, lambda: fill(shelf, storage), controller.run, *sources)


async def fill(shelf: Shelf, storage: StorageService) -> None:
    """Keep the shelf as storage is, until cancelled."""
    await storage.loaded()
    while True:
        everything = storage.snapshot()
        shelf.apply(prepare(everything, whole=True))
        revision = everything.revision
        while (changes := await storage.changes(revision, _LONG_POLL)) is not None:
            shelf.apply(prepare(changes, whole=False))
            revision = changes.revision
