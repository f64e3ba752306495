"""The clusters that are followed: what is made for each, and how what runs follows what is wanted."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from common.kube.client import KubeClient
from common.kube.credentials import Credentials
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from common.trust import trust_also
from services.normalizer.registries import POLLING_FLOOR, Registries, cluster_authorities, create_connector
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Source
from services.normalizer.sources.kserve.connections import Connections
from services.normalizer.sources.kserve.isvc import KserveSource
from services.normalizer.sources.kserve.llm import LlmSource
from services.normalizer.sources.kserve.model_servers import ModelServers
from services.normalizer.sources.selected import Selected

LOCAL: Final = "local"
"""The name, in references, of the cluster that the connector itself runs in."""

Task = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What clusters and sources are made from; `manifests` are files and folders, `polling_floor` is in seconds."""

    settings: NormalizerSettings
    metrics: Metrics
    kube_metrics: KubeMetrics
    manifests: Sequence[Path] = ()
    polling_floor: float = POLLING_FLOOR


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """What is wanted of one cluster; two that are equal need no restart.

    `place` names it in references for good. `credentials` are None where only registries with a URL of their own are
    read, and no cluster.
    """

    place: str = LOCAL
    credentials: Credentials | None


class Cluster:
    """One cluster: its client, the sources of its deployments, and its registries."""

    def __init__(self, config: ClusterConfig, *, intake: Intake, environment: Environment) -> None:
        """Make all of it, and have its sources waited for; nothing is sent before `run`.

        Raises:
            TrustError: a certificate authority for registries cannot be used.
        """
        self.config = config
        self._environment = environment
        settings, credentials = environment.settings, config.credentials
        self._client = (
            KubeClient(credentials=credentials, metrics=environment.kube_metrics) if credentials is not None else None
        )
        token = credentials.token if credentials is not None else settings.shared_token
        registries = Registries(
            intake=intake,
            connector=create_connector(settings, token=token, metrics=environment.metrics),
            settings=settings,
            polling_floor=environment.polling_floor,
        )
        self._tasks: list[Task] = []
        if self._client is not None:
            self._tasks += [intake.follow(source) for source in self._sources(self._client)]
            self._tasks += registries.follow_cluster(self._client, environment.kube_metrics)
        self._tasks.append(registries.run)

    def _sources(self, client: KubeClient) -> Iterable[Source]:
        """Yield the sources of deployments, without what is not wanted, with what their connections lead to."""
        settings, metrics = self._environment.settings, self._environment.kube_metrics
        sources: tuple[Source, ...] = (
            KserveSource(
                id="kserve",
                cluster=self.config.place,
                client=client,
                namespaces=settings.watch_namespaces,
                metrics=metrics,
                runtimes=settings.read_runtimes,
            ),
            LlmSource(
                id="kserve-llm",
                cluster=self.config.place,
                client=client,
                namespaces=settings.watch_namespaces,
                metrics=metrics,
                secured={"on": True, "off": False}.get(settings.llm_authentication),
            ),
        )
        servers = _model_servers(settings, inside=self.config.place == LOCAL)
        for source in sources:
            resolved = (
                Connections(
                    source,
                    client=client,
                    resolving=settings.resolve_connections,
                    allowed=settings.connections_allowed,
                )
                if settings.resolve_connections != "false"
                else source
            )
            selected = Selected(resolved, settings.selection)
            yield servers.asked(selected) if servers else selected

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with AsyncExitStack() as stack:
            if self._client is not None:
                await stack.enter_async_context(self._client)
            async with asyncio.TaskGroup() as group:
                for task in self._tasks:
                    group.create_task(task())


def _model_servers(settings: NormalizerSettings, *, inside: bool) -> ModelServers | None:
    """Return the model servers of a cluster, None where they are not asked anything.

    Raises:
        TrustError: an authority of the cluster we run in holds no certificate.
    """
    if not (settings.discover_models or settings.fetch_openapi):
        return None
    return ModelServers(
        models=settings.discover_models,
        definitions=settings.fetch_openapi,
        trust=trust_also(cluster_authorities()),
        inside=inside,
    )


class Clusters:
    """Keeps running what is wanted: each cluster by itself."""

    def __init__(self, *, intake: Intake, environment: Environment) -> None:
        self._intake = intake
        self._environment = environment
        self._wanted: dict[str, Cluster] = {}
        self._running: dict[str, tuple[Cluster, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def want(self, configs: Iterable[ClusterConfig]) -> None:
        """Take which clusters are wanted now; their sources are waited for from here on.

        Raises:
            TrustError: a certificate authority for registries cannot be used.
        """
        self._wanted = {config.place: self._cluster(config) for config in configs}
        self._changed.set()

    def _cluster(self, config: ClusterConfig) -> Cluster:
        former = self._wanted.get(config.place)
        if former is not None and former.config == config:
            return former
        return Cluster(config, intake=self._intake, environment=self._environment)

    async def run(self) -> None:
        """Follow the clusters that are wanted, until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                self._reconcile(self._wanted, group)
                await self._changed.wait()

    def _reconcile(self, wanted: Mapping[str, Cluster], group: asyncio.TaskGroup) -> None:
        for place, (cluster, task) in tuple(self._running.items()):
            if wanted.get(place) is not cluster:
                task.cancel()
                del self._running[place]
        for place, cluster in wanted.items():
            if place not in self._running:
                self._running[place] = cluster, group.create_task(cluster.run(), name=f"cluster {place}")
