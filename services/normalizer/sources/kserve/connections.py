"""Reads the connections that the deployments of a source use: when a deployment changes, and from time to time."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from common.backoff import Backoff
from common.clocks import loop_time
from common.http.errors import RemoteError
from common.kube.client import KubeClient
from common.kube.errors import KubeError
from common.kube.resources import PODS, SECRETS
from services.normalizer.companions import connection_of
from services.normalizer.facts import Gone, Ref, Unusable
from services.normalizer.normalize import values
from services.normalizer.normalize.connection import (
    Connection,
    Resolving,
    fetched_bucket,
    is_allowed,
    read_connection,
    seen_in_pods,
)
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.storage import StorageFacts, needs_bucket, needs_fields
from services.normalizer.source import News, Sink, Source
from services.normalizer.sources.wrappers import WrappedSink, Wrapper

log = structlog.get_logger("connections")

REFRESH = 1800.0
"""Seconds after which a connection is read again although no deployment has changed."""
_BACKOFF = (1.0, 60.0)
_PODS_OF_ONE = 3
_DEPLOYMENTS_ASKED = 3


class Connections(Wrapper):
    """A source around another one that adds the connections that its deployments use."""

    def __init__(
        self,
        source: Source,
        *,
        client: KubeClient,
        resolving: Resolving = "true",
        allowed: Collection[str] = (),
        refresh: float = REFRESH,
    ) -> None:
        """`allowed` are the namespaces, or `namespace/name`s, that may be read; all when empty."""
        super().__init__(source)
        self._reader = _ConnectionReader(client, resolving=resolving)
        self._allowed = frozenset(allowed)
        self._refresh = refresh
        self._used: dict[Ref, Ref] = {}
        self._users: defaultdict[Ref, dict[Ref, StorageFacts]] = defaultdict(dict)
        self._waiting: dict[Ref, None] = {}
        self._news = asyncio.Event()

    async def run(self, sink: Sink) -> None:
        """Follow the source and read connections until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._source.run(_with_use(sink, self._use)))
            tasks.create_task(self._resolve(sink))

    def _use(self, user: Ref, facts: Deployment | None) -> Ref | None:
        """Schedule the connection that a deployment uses now; return those that are no longer used."""
        in_use = facts is not None and not facts.readiness.stopped
        wanted = connection_of(user.place, facts) if facts is not None and in_use else None
        former = self._used.pop(user, None)
        left = self._leave(user, former) if former is not None and former != wanted else None
        if facts is not None and wanted is not None and is_allowed(*wanted.ids, self._allowed):
            self._used[user] = wanted
            self._users[wanted].pop(user, None)
            self._users[wanted][user] = facts.storage  # the one that changed last stands last
            self._waiting[wanted] = None
            self._news.set()
        return left

    def _leave(self, user: Ref, key: Ref) -> Ref | None:
        self._users[key].pop(user, None)
        if self._users[key]:
            return None
        del self._users[key]
        self._waiting.pop(key, None)
        return key

    async def _resolve(self, sink: Sink) -> None:
        """Read the connections in use until cancelled, all of them again from time to time."""
        backoff, due = Backoff(*_BACKOFF), loop_time() + self._refresh
        while True:
            if loop_time() >= due:
                self._waiting |= dict.fromkeys(self._users)
                due = loop_time() + self._refresh
            if not self._waiting:
                self._news.clear()
                try:
                    async with asyncio.timeout_at(due):
                        await self._news.wait()
                except TimeoutError:
                    continue
            key = next(iter(self._waiting))
            del self._waiting[key]
            try:
                connection = await self._reader.read(key, self._users.get(key, {}))
            except RemoteError as error:
                log.warning("connection_unreadable", connection="/".join(key.ids), error=str(error))
                self._waiting.setdefault(key, None)
                await asyncio.sleep(backoff.next())
                continue
            backoff.reset()
            if key in self._users:
                sink.changed({key: connection})


class UnreadConnections(Wrapper):
    """A source around another one that logs once that connections are not read, where one would say more."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._told = False

    async def run(self, sink: Sink) -> None:
        """Follow the source until cancelled."""
        await self._source.run(_with_use(sink, self._see))

    def _see(self, user: Ref, facts: Deployment | None) -> None:
        if self._told or facts is None or not facts.storage.connection or facts.storage.uri:
            return
        self._told = True
        log.info(
            "connections_not_read",
            deployment=user.label,
            consequence="where the files of models are is shown as far as deployments say it themselves",
            remedy="to show buckets and addresses too, set RESOLVE_CONNECTIONS (docs/connections.md)",
        )


def _with_use(sink: Sink, use: Callable[[Ref, Deployment | None], Ref | None]) -> Sink:
    """Return a sink that calls `use` with each deployment that is new, changed or gone.

    `use` returns the connection that is no longer used then, which is reported as gone.
    """

    def changed(news: News) -> None:
        sink.changed(news)
        for ref, fact in news.items():
            if ref.is_deployment and not isinstance(fact, Unusable):
                left = use(ref, fact if isinstance(fact, Deployment) else None)
                if left is not None:
                    sink.changed({left: Gone()})

    return WrappedSink(sink, changed)


class _ConnectionReader:
    """Reads the connections of one cluster, each by name; nothing is listed or watched."""

    def __init__(self, client: KubeClient, *, resolving: Resolving) -> None:
        self._client = client
        self._secrets = resolving in ("true", "secrets")
        self._pods = resolving in ("true", "pods")
        self._told: set[str] = set()
        self._buckets: dict[Ref, dict[str, str]] = {}

    async def read(self, key: Ref, users: Mapping[Ref, StorageFacts]) -> Connection:
        """Return what can be read of a connection; `users` are its deployments, the one that changed last at the end.

        Raises:
            RemoteError: nothing can be said now.
        """
        namespace, name = key.ids
        refused: KubeError | None = None
        if self._secrets:
            try:
                return await self._by_secret(namespace, name, whole=any(map(needs_fields, users.values())))
            except KubeError as error:
                if error.status == 404:
                    return Connection(namespace=namespace, name=name, state="missing")
                if error.status != 403:
                    raise
                refused = error
        bucket, refusal = await self._by_pods(key, users) if self._pods else ("", None)
        if bucket or not (refused or refusal):
            return seen_in_pods(bucket, self._buckets.get(key, {}), namespace=namespace, name=name)
        self._tell_forbidden(refused, refusal)
        return Connection(namespace=namespace, name=name, state="forbidden")

    async def _by_secret(self, namespace: str, name: str, *, whole: bool) -> Connection:
        metadata = await self._client.get(SECRETS, name, namespace, metadata_only=True)
        connection = read_connection({**metadata, "kind": "PartialObjectMetadata"}, namespace=namespace, name=name)
        if connection.type == "oci" or not whole:
            return connection
        secret = await self._client.get(SECRETS, name, namespace)
        return read_connection(secret, namespace=namespace, name=name)

    async def _by_pods(self, key: Ref, users: Mapping[Ref, StorageFacts]) -> tuple[str, KubeError | None]:
        """Return the bucket that the newest predictor has fetched its model from, and why no pod can be asked for it.

        The deployments that changed last are asked; what the others have told before is kept.
        """
        asked = [user for user, storage in users.items() if user.kind == "isvc" and needs_bucket(storage)]
        names = {user.ids[1] for user in asked}
        known = {name: bucket for name, bucket in self._buckets.pop(key, {}).items() if name in names}
        newest = "", next(iter(known.values()), "")
        for user in asked[: -_DEPLOYMENTS_ASKED - 1 : -1]:
            try:
                found = await self._client.list_some(
                    PODS,
                    user.ids[0],
                    convert=_bucket_with_age,
                    label_selector=f"serving.kserve.io/inferenceservice={user.ids[1]},component=predictor",
                    field_selector="status.phase=Running",
                    at_most=_PODS_OF_ONE,
                )
            except KubeError as error:
                if error.status == 403:
                    return "", error
                raise
            last = max(found, default=("", ""))
            if last[1]:
                known[user.ids[1]] = last[1]
                newest = max(newest, last)
        if known:
            self._buckets[key] = known
        return newest[1], None

    def _tell_forbidden(self, *refused: KubeError | None) -> None:
        """Log a missing right once, not for each connection; any one of several rights is enough."""
        remedy = "; or, for buckets alone: ".join(error.remedy for error in refused if error is not None)
        if remedy not in self._told:
            self._told.add(remedy)
            log.warning("connections_unreadable", remedy=remedy)


def _bucket_with_age(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Return when a pod was created, and the bucket that its status names; nothing else of it is kept."""
    return values.line_at(pod, "metadata", "creationTimestamp"), fetched_bucket(pod)
