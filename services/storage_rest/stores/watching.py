"""Lists and watches the cache's ConfigMaps, and passes what is seen on to the store."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from common.backoff import Backoff
from common.faults import Fault
from common.http.errors import RemoteError
from common.kube.client import KubeClient
from common.kube.errors import KubeError, remedy_of
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector, ReflectorOptions
from common.kube.replica import Key
from common.kube.resources import CONFIG_MAPS
from services.storage_rest.stores.objects import Observation

log = structlog.get_logger("storage")

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
"""Most seconds between attempts to read a ConfigMap at the start."""


class ShardListener(Protocol):
    """What a store does with these reports; `listed`: a list reported it, not a watch event."""

    def observed(self, obj: Mapping[str, Any]) -> Observation:
        """Return a ConfigMap as an observation."""

    def seen(self, shown: Observation, *, listed: bool) -> None:
        """A ConfigMap exists or was changed."""

    def gone(self, name: str, *, listed: bool) -> None:
        """A ConfigMap was deleted, or has lost our labels."""

    def followed(self, fault: str) -> None:
        """The ConfigMaps can be read, or not, for a reason."""


class ShardWatch:
    """Follows the ConfigMaps of the cache, each part of them with a reflector."""

    def __init__(
        self,
        *,
        client: KubeClient,
        namespace: str,
        metrics: KubeMetrics,
        options: ReflectorOptions,
        listener: ShardListener,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._metrics = metrics
        self._options = options
        self.listener = listener
        self._parts: list[tuple[Reflector[Observation], _PartHandler]] = []

    async def follow(self, tasks: asyncio.TaskGroup, name: str, **selectors: str) -> None:
        """Watch some of the ConfigMaps; return when they have been listed."""
        handler = _PartHandler(self)
        reflector: Reflector[Observation] = Reflector(
            client=self._client,
            resource=CONFIG_MAPS,
            namespace=self._namespace,
            transform=self.listener.observed,
            handler=handler,
            metrics=self._metrics,
            name=name,
            options=self._options,
            **selectors,
        )
        self._parts.append((reflector, handler))
        tasks.create_task(reflector.run())
        await handler.synced.wait()

    async def find(self, name: str) -> Observation | None:
        """Return a ConfigMap, retrying as long as it takes; None if it does not exist."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        while True:
            try:
                return self.listener.observed(await self._client.get(CONFIG_MAPS, name, self._namespace))
            except RemoteError as error:
                if isinstance(error, KubeError) and error.status == 404:
                    return None
                self.listener.followed(f"{error}; {remedy_of(error)}")
            await self._client.pause(backoff.next())

    @property
    def shown(self) -> list[Observation]:
        """The ConfigMaps that were seen."""
        return [seen for reflector, _ in self._parts for seen in reflector.store.values()]

    @property
    def fault(self) -> str:
        """Why the ConfigMaps cannot be read, and what to do; empty if they can."""
        fault = next((handler.fault for _, handler in self._parts if handler.fault is not None), None)
        return f"{fault.reason}; {fault.remedy}".rstrip("; ") if fault else ""


class _PartHandler:
    """The handler of one reflector; `synced` is set after the first list."""

    def __init__(self, watch: ShardWatch) -> None:
        self._watch = watch
        self.synced = asyncio.Event()
        self.fault: Fault | None = None

    def on_change(self, key: Key, old: Observation | None, new: Observation | None, explicit: bool) -> None:
        if new is None:
            self._watch.listener.gone(key[1], listed=not explicit)
        else:
            self._watch.listener.seen(new, listed=not explicit)

    def on_invalid(self, key: Key, error: Exception) -> None:
        log.warning("configmap_unreadable", configmap=key[1], error=str(error))

    def on_synced(self) -> None:
        self.synced.set()

    def on_fault(self, fault: Fault | None) -> None:
        self.fault = fault
        self._watch.listener.followed(self._watch.fault)
