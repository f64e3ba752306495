"""The normalizer put together: sources, controller, and the server that shows its health and metrics."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

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
from services.normalizer.controller import Controller
from services.normalizer.desired import Desired
from services.normalizer.ledger import Ledger
from services.normalizer.publish import Mirror, Storage
from services.normalizer.registries import POLLING_FLOOR, Registries, create_connector
from services.normalizer.remote_storage import RemoteStorage
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Source
from services.normalizer.sourcebook import SourceBook
from services.normalizer.sources.kserve.connections import Connections
from services.normalizer.sources.kserve.isvc import KserveSource
from services.normalizer.sources.kserve.llm import LlmSource
from services.normalizer.sources.manifests import ManifestSource
from services.normalizer.sources.selected import Selected
from services.normalizer.telemetry import CONTROLLER, Telemetry

log = structlog.get_logger("normalizer")

NAME = "rhoai-normalizer"
CLUSTER = "local"
"""The name, in references, of the cluster that the connector itself runs in."""

Task = Callable[[], Awaitable[None]]


def create_controller(
    *,
    settings: NormalizerSettings,
    storage: Storage,
    health: Health,
    metrics: Metrics,
    wall_clock: Callable[[], float] = time.time,
) -> Controller:
    """Return a controller without sources; the caller adds them to the intake before it runs.

    `wall_clock` is read once: marks that are stored must mean the same after a restart, but no step of the clock may
    make anything leave.
    """
    loop = asyncio.get_running_loop()
    offset = wall_clock() - loop.time()
    book = SourceBook(first_sync_grace=settings.first_sync_grace)
    ledger = Ledger(settings.patience, book)
    return Controller(
        desired=Desired(defaults=settings.defaults, ledger=ledger),
        book=book,
        ledger=ledger,
        mirror=Mirror(storage),
        queue=WorkQueue(name=CONTROLLER, metrics=WorkQueueMetrics(metrics)),
        health=health,
        telemetry=Telemetry(metrics),
        clock=lambda: offset + loop.time(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What sources are made from; `client` is None where no cluster is followed, `polling_floor` is in seconds."""

    settings: NormalizerSettings
    metrics: Metrics
    kube_metrics: KubeMetrics
    client: KubeClient | None = None
    manifests: Sequence[Path] = ()
    polling_floor: float = POLLING_FLOOR


def _of_cluster(environment: Environment) -> Iterable[Source]:
    settings = environment.settings
    if environment.client is not None:
        isvcs = KserveSource(
            id="kserve",
            cluster=CLUSTER,
            client=environment.client,
            namespaces=settings.watch_namespaces,
            metrics=environment.kube_metrics,
            runtimes=settings.read_runtimes,
        )
        llms = LlmSource(
            id="kserve-llm",
            cluster=CLUSTER,
            client=environment.client,
            namespaces=settings.watch_namespaces,
            metrics=environment.kube_metrics,
            secured={"on": True, "off": False}.get(settings.llm_authentication),
        )
        for source in (isvcs, llms):
            yield _resolved(source, environment.client, settings)


def _resolved(source: Source, client: KubeClient, settings: NormalizerSettings) -> Source:
    """Return the source with what its connections lead to, if that is asked for."""
    if not settings.resolve_connections:
        return source
    return Connections(source, client=client, allowed=settings.connections_allowed)


def _of_files(environment: Environment) -> Iterable[Source]:
    if environment.manifests:
        yield ManifestSource(paths=environment.manifests, connections=environment.settings.resolve_connections)


KINDS: dict[str, Callable[[Environment], Iterable[Source]]] = {"kserve": _of_cluster, "manifests": _of_files}
"""The kinds of sources of deployments: what there is of each in an environment."""


async def follow_sources(
    stack: AsyncExitStack, *, intake: Intake, environment: Environment, cluster: bool = False
) -> Sequence[Task]:
    """Return what must run to follow the sources of an environment and, if asked for, the cluster that it leads to.

    Raises:
        CredentialsError: a cluster is asked for and the environment leads to none.
        TrustError: a certificate authority for registries cannot be used.
    """
    settings, token = environment.settings, environment.settings.shared_token
    if cluster:
        credentials = await find_credentials(os.environ)
        log.info("cluster_found", server=credentials.server, origin=credentials.origin)
        client = KubeClient(credentials=credentials, metrics=environment.kube_metrics)
        environment = replace(environment, client=await stack.enter_async_context(client))
        token = credentials.token
    registries = Registries(
        intake=intake,
        connector=create_connector(settings, token=token, metrics=environment.metrics),
        settings=settings,
        polling_floor=environment.polling_floor,
    )
    tasks: list[Task] = []
    for sources_of in KINDS.values():
        tasks += [intake.follow(Selected(source, settings.selection)) for source in sources_of(environment)]
    if environment.client is not None:
        tasks += registries.follow_cluster(environment.client, environment.kube_metrics)
    return [*tasks, registries.run]


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
        environment = Environment(
            settings=settings, metrics=metrics, kube_metrics=KubeMetrics(metrics), polling_floor=polling_floor
        )
        tasks = await follow_sources(stack, intake=controller.intake, environment=environment, cluster=True)
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
