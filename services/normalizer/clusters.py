"""Follows clusters: makes the client, sources and registries of each, and starts and stops them as configured."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog

from common.backoff import Backoff
from common.kube.client import KubeClient
from common.kube.credentials import Credentials, CredentialsError
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from common.trust import TrustError
from services.normalizer.cluster_specs import ClusterSpec, id_of_server
from services.normalizer.connectors import registry_connector
from services.normalizer.registries import POLLING_FLOOR, Registries
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Source
from services.normalizer.sources.kserve.collection import Scope
from services.normalizer.sources.kserve.connections import Connections, UnreadConnections
from services.normalizer.sources.kserve.event_writer import EventWriter
from services.normalizer.sources.kserve.isvc import KserveSource
from services.normalizer.sources.kserve.llm import LlmSource
from services.normalizer.sources.kserve.model_servers import ModelServers
from services.normalizer.sources.kserve.server_answers import ServerAnswers
from services.normalizer.sources.namespace_defaults import NamespaceDefaults, Namespaces
from services.normalizer.sources.wrappers import SelectionFilter

log = structlog.get_logger("clusters")

CONNECT: Final = 30.0
"""Seconds to wait for the credentials of a cluster: a program that provides them may hang."""
_BACKOFF: Final = (1.0, 30.0)

Task = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What clusters and sources are made from; `manifests` are files and folders, `polling_floor` is in seconds."""

    settings: NormalizerSettings
    metrics: Metrics
    kube_metrics: KubeMetrics
    manifests: Sequence[Path] = ()
    polling_floor: float = POLLING_FLOOR


class Cluster:
    """One cluster: its client, the sources of its deployments (`sources` are their ids), and its registries."""

    def __init__(
        self, spec: ClusterSpec, id_: str, credentials: Credentials | None, *, intake: Intake, environment: Environment
    ) -> None:
        """Create all of it, and declare its sources; no request is sent before `run`.

        Raises:
            TrustError: a certificate authority for registries cannot be used.
        """
        self._spec, self._settings = spec, environment.settings
        self._metrics = environment.kube_metrics
        if spec.name:
            self._metrics = self._metrics.of_cluster(spec.name)
        self._client = KubeClient(credentials=credentials, metrics=self._metrics) if credentials is not None else None
        connector = registry_connector(spec, id_, credentials, settings=self._settings, metrics=environment.metrics)
        registries = Registries(
            intake=intake,
            connector=connector,
            settings=self._settings,
            discovery=replace(spec.registries, cluster=id_),
            namespaces=spec.namespaces,
            polling_floor=environment.polling_floor,
        )
        self._tasks: list[Task] = []
        sources: list[Source] = []
        if self._client is not None:
            scope = Scope(cluster=id_, client=self._client, metrics=self._metrics, namespaces=spec.namespaces)
            servers = model_servers(self._settings, trust=connector.ssl, inside=spec.inside)
            sources = list(self._sources(scope, servers))
        self.sources = frozenset(source.id for source in sources)
        self._tasks += [intake.follow(source) for source in sources]
        if self._client is not None and spec.searched:
            self._tasks += registries.follow_cluster(self._client, self._metrics)
        self._tasks.append(registries.run)

    def _sources(self, scope: Scope, servers: ModelServers | None) -> Iterable[Source]:
        """Yield the sources of deployments, in the wrappers that resolve, select and enrich what they report."""
        settings = self._settings
        namespaces = Namespaces(scope) if settings.read_namespaces else None
        if namespaces is not None:
            self._tasks.append(namespaces.run)
        sources: tuple[Source, ...] = (
            KserveSource(scope, runtimes=settings.read_runtimes),
            LlmSource(scope, secured={"on": True, "off": False}.get(settings.llm_authentication)),
        )
        for source in sources:
            resolved = (
                Connections(
                    source,
                    client=scope.client,
                    resolving=settings.resolve_connections,
                    allowed=settings.connections_allowed,
                )
                if settings.resolve_connections != "false"
                else UnreadConnections(source)
            )
            selected = SelectionFilter(resolved, settings.selection)
            told = NamespaceDefaults(selected, namespaces) if namespaces is not None else selected
            asked = ServerAnswers(told, servers) if servers is not None else told
            yield EventWriter(asked, client=scope.client) if settings.events else asked

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        try:
            async with AsyncExitStack() as stack:
                if self._client is not None:
                    await stack.enter_async_context(self._client)
                async with asyncio.TaskGroup() as group:
                    for task in self._tasks:
                        group.create_task(task())
        finally:
            if self._spec.name:
                self._metrics.forget()


def model_servers(settings: NormalizerSettings, *, trust: ssl.SSLContext | bool, inside: bool) -> ModelServers | None:
    """Return the model servers of a cluster, or of files; None where they are not asked anything."""
    models, definitions = settings.discover_models, settings.fetch_openapi
    if not (models or definitions):
        return None
    return ModelServers(models=models, definitions=definitions, trust=trust, inside=inside)


class Clusters:
    """Runs the configured clusters, each in a task of its own, so that a fault in one does not affect another."""

    def __init__(self, *, intake: Intake, environment: Environment) -> None:
        self._intake = intake
        self._environment = environment
        self._specs: dict[str, ClusterSpec] = {}
        self._running: dict[str, tuple[ClusterSpec, asyncio.Task[None]]] = {}
        self._awaited: dict[str, str] = {}  # with the reason for those that cannot be followed
        self._followed: dict[str, str] = {}
        self._stopped: dict[str, frozenset[str]] = {}
        self._changed = asyncio.Event()

    def configure(self, specs: Iterable[ClusterSpec]) -> None:
        """Set which clusters to follow; from now on the feed waits for those that are new."""
        now = {each.name or f"({each.id})": each for each in specs}  # brackets are not valid in a name
        for key, each in now.items():
            if self._specs.get(key) != each:
                self._await(key)
                self._changed.set()
        if self._specs.keys() - now.keys():
            self._changed.set()
        self._specs = now

    async def run(self) -> None:
        """Follow the configured clusters until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._changed.clear()
                await self._reconcile(dict(self._specs), group)
                await self._changed.wait()

    async def _reconcile(self, specs: Mapping[str, ClusterSpec], group: asyncio.TaskGroup) -> None:
        ended = {key: task for key, (former, task) in self._running.items() if specs.get(key) != former}
        for key, task in ended.items():
            del self._running[key]
            task.cancel()
        if ended:
            await asyncio.wait(ended.values())
        for key in ended.keys() - specs.keys():
            self._no_longer_awaited(key)
        for key, each in specs.items():
            if key not in self._running:
                self._running[key] = each, group.create_task(self._keep_following(key, each), name=f"cluster {key}")
        self._sweep()

    async def _keep_following(self, key: str, spec: ClusterSpec) -> None:
        """Follow one cluster until cancelled; start again after any error."""
        backoff = Backoff(*_BACKOFF, least=0.5)
        while True:
            try:
                await self._follow(key, spec)
            except (CredentialsError, TrustError) as error:
                self._await(key, str(error))
            except TimeoutError:
                self._await(key, f"its credentials were not there within {CONNECT:g} s: is a program hanging?")
            except Exception as error:
                log.exception("cluster_unreadable", cluster=key)
                self._await(key, f"internal: {type(error).__name__}, see the log; it is tried again")
            await asyncio.sleep(backoff.next())

    async def _follow(self, key: str, spec: ClusterSpec) -> None:
        """Follow one cluster until cancelled.

        Raises:
            CredentialsError, TrustError: it cannot be reached now.
            TimeoutError: its credentials are not available in time.
        """
        async with asyncio.timeout(CONNECT):
            credentials = await spec.access.credentials()
        id_ = spec.id or id_of_server(credentials.server if credentials is not None else "")
        other = self._followed.setdefault(id_, key)
        if other != key:
            raise CredentialsError(f"it is the same API server as that of {other}: take one of the two out")
        sources: frozenset[str] = frozenset()
        try:
            self._intake.add_cluster(id_, spec.view)
            cluster = Cluster(spec, id_, credentials, intake=self._intake, environment=self._environment)
            sources = cluster.sources
            self._intake.remove_sources(self._stopped.pop(id_, frozenset()) - sources)
            if credentials is not None:
                log.info("cluster_found", cluster=key, server=credentials.server, origin=credentials.origin)
            self._no_longer_awaited(key)
            self._sweep()
            await cluster.run()
        finally:
            del self._followed[id_]
            self._stopped[id_] = self._stopped.get(id_, frozenset()) | sources
            self._intake.stop_cluster(id_, sources)

    def _await(self, key: str, reason: str = "") -> None:
        if reason and self._awaited.get(key) != reason:
            log.warning("cluster_unreadable", cluster=key, reason=reason)
        self._awaited[key] = reason
        self._intake.await_cluster(key, reason)

    def _no_longer_awaited(self, key: str) -> None:
        self._awaited.pop(key, None)
        self._intake.stop_awaiting_cluster(key)

    def _sweep(self) -> None:
        """Let the entries of removed clusters leave, once it is known which cluster each name means."""
        if self._awaited:
            return
        for id_ in self._stopped.keys() - self._followed.keys():
            log.warning("cluster_gone", cluster=id_)
            self._intake.remove_sources(self._stopped.pop(id_))
            self._intake.remove_cluster(id_)
