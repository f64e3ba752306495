"""The normalizer put together: sources, controller, and the server that shows its health and metrics."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import structlog

from common import __version__
from common.health import Health
from common.http import server
from common.http.client import HttpClient
from common.kube.client import KubeClient
from common.kube.environment import find_credentials
from common.kube.metrics import KubeMetrics
from common.kube.workqueue import WorkQueue, WorkQueueMetrics
from common.metrics import Metrics
from services.normalizer.catalogue import Catalogue
from services.normalizer.contents import IsvcSource
from services.normalizer.controller import Controller
from services.normalizer.ledger import Ledger
from services.normalizer.listener import Listener
from services.normalizer.publish import Mirror, Storage
from services.normalizer.registries import POLLING_FLOOR, Registries, create_connector
from services.normalizer.remote_storage import RemoteStorage
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sourcebook import SourceBook
from services.normalizer.sources.kserve import KserveSource
from services.normalizer.sources.selected import Selected
from services.normalizer.telemetry import CONTROLLER, Telemetry

log = structlog.get_logger("normalizer")

NAME = "rhoai-normalizer"
CLUSTER = IsvcSource("kserve", "local")
"""The cluster that the connector itself runs in."""

Task = Callable[[], Awaitable[None]]


def create_controller(
    *,
    settings: NormalizerSettings,
    storage: Storage,
    health: Health,
    metrics: Metrics,
    wall_clock: Callable[[], float] = time.time,
) -> Controller:
    """Return a controller without sources; whoever adds one declares it to the listener before it runs.

    `wall_clock` is read once: marks that are stored must mean the same after a restart, but no step of the clock may
    make anything leave.
    """
    loop = asyncio.get_running_loop()
    offset = wall_clock() - loop.time()
    book = SourceBook(first_sync_grace=settings.first_sync_grace)
    ledger = Ledger(settings.patience, book)
    return Controller(
        catalogue=Catalogue(defaults=settings.defaults, ledger=ledger),
        book=book,
        ledger=ledger,
        mirror=Mirror(storage),
        queue=WorkQueue(name=CONTROLLER, metrics=WorkQueueMetrics(metrics)),
        health=health,
        telemetry=Telemetry(metrics),
        clock=lambda: offset + loop.time(),
    )


async def follow_sources(
    stack: AsyncExitStack,
    *,
    cluster: bool,
    settings: NormalizerSettings,
    listener: Listener,
    metrics: Metrics,
    kube_metrics: KubeMetrics,
    polling_floor: float = POLLING_FLOOR,
) -> Sequence[Task]:
    """Return what must run to follow the registries that the settings name and, if asked for, the cluster.

    Raises:
        CredentialsError: a cluster is asked for and the environment leads to none.
        TrustError: a certificate authority for registries cannot be used.
    """
    if not cluster:
        connector = create_connector(settings, token=settings.shared_token, metrics=metrics)
        named = Registries(listener=listener, connector=connector, settings=settings, polling_floor=polling_floor)
        return [named.run]
    credentials = await find_credentials(os.environ)
    log.info("cluster found", server=credentials.server, origin=credentials.origin)
    client = await stack.enter_async_context(KubeClient(credentials=credentials, metrics=kube_metrics))
    kserve = KserveSource(
        source=CLUSTER,
        client=client,
        namespaces=settings.watch_namespaces,
        listener=Selected(listener, settings.selection),
        metrics=kube_metrics,
    )
    listener.declare(kserve.id, confirm=kserve, namespaces=settings.watch_namespaces)
    connector = create_connector(settings, token=credentials.token, metrics=metrics)
    registries = Registries(listener=listener, connector=connector, settings=settings, polling_floor=polling_floor)
    return [kserve.run, *registries.follow_cluster(client, kube_metrics), registries.run]


async def run(
    settings: NormalizerSettings,
    addresses: Sequence[server.Address],
    stop: asyncio.Event,
    *,
    polling_floor: float = POLLING_FLOOR,
) -> None:
    """Run the normalizer as a service of its own until `stop` is set.

    Raises:
        CredentialsError: the environment leads to no cluster.
        OSError: an address cannot be bound.
    """
    health = Health()
    metrics = Metrics(NAME, __version__)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            HttpClient(name="storage-rest", base_url=settings.storage, token=settings.shared_token)
        )
        controller = create_controller(settings=settings, storage=RemoteStorage(client), health=health, metrics=metrics)
        tasks = await follow_sources(
            stack,
            cluster=True,
            settings=settings,
            listener=controller.listener,
            metrics=metrics,
            kube_metrics=KubeMetrics(metrics),
            polling_floor=polling_floor,
        )
        app = server.create_app(name=NAME, metrics=metrics, health=health, access=None)
        await stack.enter_async_context(server.listening(app, addresses))
        await run_until(stop, controller.run, *tasks)


async def run_until(stop: asyncio.Event, *tasks: Task) -> None:
    """Run the tasks side by side until `stop` is set, or one of them fails, which ends all."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(_run(task)) for task in tasks]
        await stop.wait()
        for task in running:
            task.cancel()


async def _run(task: Task) -> None:
    await task()
