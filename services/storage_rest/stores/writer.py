"""Writes the ConfigMaps: several at a time, but only one request at a time for each."""

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import structlog

from common.backoff import Backoff
from common.http.errors import RemoteError
from common.kube.client import KubeClient
from common.kube.errors import KubeError, remedy_of
from common.kube.resources import CONFIG_MAPS
from services.storage_rest.stores.families import Family
from services.storage_rest.stores.objects import Change, Observation, Patch, Value, creation, merge_patch
from services.storage_rest.stores.shard import Shard
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

PARALLEL = 6
"""Most requests at a time."""
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
"""Most seconds between attempts while the API server refuses a write."""


class WriteListener(Protocol):
    """What a store does with the results of reads and writes."""

    def observed(self, obj: Mapping[str, Any]) -> Observation:
        """Return a ConfigMap as an observation for the layouts."""

    def progressed(self) -> None:
        """Something became durable, was given up, or failed."""

    def changed_by_others(self, family: Family, changes: Mapping[str, Change], *, lost: bool) -> None:
        """Another process changed slots; `lost`: it deleted their ConfigMap."""

    def impossible(self, family: Family, values: Mapping[str, Value], detail: str) -> None:
        """No ConfigMap can hold these values."""


class Writer:
    """Runs one task for each ConfigMap with something to send, until it has nothing left.

    The first change is sent at once; changes that arrive during a request are sent together in the next one.
    """

    def __init__(
        self, *, client: KubeClient, namespace: str, telemetry: StorageMetrics, listener: WriteListener
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._telemetry = telemetry
        self._listener = listener
        self._free = asyncio.Semaphore(PARALLEL)
        self._busy: set[Shard] = set()
        self._tasks: asyncio.TaskGroup | None = None
        self._faults: dict[str, str] = {}

    @property
    def fault(self) -> str:
        """Why a ConfigMap could not be written, and what to do; empty after it was written."""
        return next(iter(self._faults.values()), "")

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start to send, with tasks in this group."""
        self._tasks = tasks

    def send(self, family: Family) -> None:
        """Start sending everything that a family has to send."""
        if self._tasks is None:
            return
        for shard in family.layout.work():
            if shard not in self._busy:
                self._busy.add(shard)
                self._tasks.create_task(self._serve(family, shard))

    async def _serve(self, family: Family, shard: Shard) -> None:
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        while True:
            async with self._free:
                if shard.unsure:
                    pause = await self._read(family, shard)
                elif (patch := shard.take()) is not None:
                    pause = await self._send(family, shard, patch)
                else:
                    self._busy.discard(shard)
                    return
            if pause is None:
                backoff.reset()
                continue
            await asyncio.sleep(max(pause, backoff.next()))

    async def _read(self, family: Family, shard: Shard) -> float | None:
        """Read a ConfigMap; returns as `_send`."""
        shard.reading = True
        try:
            found = await self._client.get(CONFIG_MAPS, shard.name, self._namespace)
        except RemoteError as error:
            shard.reading = False
            if isinstance(error, KubeError) and error.status == 404:
                self._listener.changed_by_others(family, family.layout.read(shard, None), lost=True)
                self._caught_up(family, shard)
                return None
            self._failed(shard, error)
            self._caught_up(family, shard)
            return getattr(error, "retry_after", None) or 0.0
        self._listener.changed_by_others(family, family.layout.read(shard, self._listener.observed(found)), lost=False)
        self._caught_up(family, shard)
        return None

    async def _send(self, family: Family, shard: Shard, patch: Patch) -> float | None:
        """Send a patch; return None if it needs no retry, else the least number of seconds to wait before one."""
        try:
            version = await self._request(patch)
        except RemoteError as error:
            self._telemetry.writes.labels("error").inc()
            status = error.status if isinstance(error, KubeError) else 0
            handled = self._handle(family, shard, patch, error, status)
            if not handled:
                family.layout.put_back(shard)
                self._failed(shard, error)
            self._caught_up(family, shard)
            return None if handled else (getattr(error, "retry_after", None) or 0.0)
        self._telemetry.writes.labels("success").inc()
        self._telemetry.written_bytes.inc(patch.size)
        if self._faults.pop(shard.name, "") and not self._faults:
            log.info("cache_writable_again")
        family.layout.confirm(shard, version)
        self._telemetry.shard_bytes.labels(shard.name).set(shard.held_size)
        self._caught_up(family, shard)
        return None

    def _caught_up(self, family: Family, shard: Shard) -> None:
        self._listener.changed_by_others(family, family.layout.catch_up(shard), lost=False)
        self._listener.progressed()

    async def _request(self, patch: Patch) -> int:
        if patch.create:
            answer = await self._client.create(CONFIG_MAPS, creation(patch), self._namespace)
        else:
            answer = await self._client.patch(
                CONFIG_MAPS, patch.shard, merge_patch(patch), self._namespace, metadata_only=True
            )
        return int(answer["metadata"]["resourceVersion"])

    def _handle(self, family: Family, shard: Shard, patch: Patch, error: RemoteError, status: int) -> bool:
        """Handle an error that waiting would not cure; return False for all others."""
        layout = family.layout
        if status == 404 and not patch.create:
            log.warning("configmap_deleted", configmap=shard.name)
            layout.put_back(shard, certain=True)
            self._listener.changed_by_others(family, layout.lose(shard), lost=True)
        elif status == 409:  # another process has written it since it was read
            layout.put_back(shard, certain=True)
            shard.unsure = True
        elif status in (413, 422) and patch.puts:
            log.warning("configmap_full", configmap=shard.name, error=str(error))
            if refused := layout.refuse(shard):
                self._listener.impossible(family, refused, str(error))
        else:
            return False
        return True

    def _failed(self, shard: Shard, error: RemoteError) -> None:
        if not self._faults:
            log.warning("cache_not_written", configmap=shard.name, error=str(error), remedy=remedy_of(error))
        self._faults[shard.name] = f"{error}; {remedy_of(error)}".rstrip("; ")
        shard.probe = True  # write again even if nothing is left to send: the fault must be seen to end
