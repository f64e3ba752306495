"""A queue of keys to process, as controllers use it: a key that is already waiting is not queued twice.

Its metrics have the names of controller-runtime, so that existing dashboards can use them.
"""

import asyncio
import heapq
from collections.abc import Hashable
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from common.clocks import loop_time
from common.metrics import Metrics

K = TypeVar("K", bound=Hashable)

_BUCKETS = tuple(10.0**exponent for exponent in range(-8, 4))


class WorkQueueMetrics:
    """One for each service, shared by its queues; the label `name` is a queue's name."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.depth = Gauge("workqueue_depth", "Keys that are ready and wait", ["name"], registry=registry)
        self.adds = Counter("workqueue_adds", "Keys that became ready", ["name"], registry=registry)
        self.retries = Counter("workqueue_retries", "Keys that failed and were put back", ["name"], registry=registry)
        self.waited = Histogram(
            "workqueue_queue_duration_seconds",
            "How long a key was ready before it was taken",
            ["name"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.worked = Histogram(
            "workqueue_work_duration_seconds",
            "How long the work on a key took",
            ["name"],
            buckets=_BUCKETS,
            registry=registry,
        )


class WorkQueue(Generic[K]):
    """Gives all keys that are ready to one consumer, as a batch.

    A key waits for its time, is ready, or is being processed. A key that is added while it is being processed is ready
    again when that is done. A waiting key becomes ready at the earliest time requested; later requests are dropped.
    """

    def __init__(self, *, name: str, metrics: WorkQueueMetrics) -> None:
        self._ready: dict[K, float] = {}  # since when
        self._working: dict[K, float] = {}
        self._again: set[K] = set()
        self._due: dict[K, float] = {}
        self._schedule: list[tuple[float, int, K]] = []  # a heap; entries that differ from `_due` are ignored
        self._entries = 0
        self._news = asyncio.Event()
        self._depth = metrics.depth.labels(name)
        self._adds = metrics.adds.labels(name)
        self._retries = metrics.retries.labels(name)
        self._waited = metrics.waited.labels(name)
        self._worked = metrics.worked.labels(name)

    def add(self, key: K) -> None:
        """Make a key ready."""
        self._due.pop(key, None)
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = loop_time()
            self._adds.inc()
            self._depth.set(len(self._ready))
            self._news.set()

    def add_after(self, key: K, delay: float) -> None:
        """Make a key ready in `delay` seconds, unless it is ready earlier."""
        if delay <= 0:
            self.add(key)
            return
        due = loop_time() + delay
        if key in self._ready or key in self._again or self._due.get(key, due) < due:
            return
        self._due[key] = due
        self._entries += 1
        heapq.heappush(self._schedule, (due, self._entries, key))
        self._news.set()

    def retry_after(self, key: K, delay: float) -> None:
        """Make a key whose processing failed ready in `delay` seconds, unless it is ready earlier."""
        self._retries.inc()
        self.add_after(key, delay)

    async def get(self) -> list[K]:
        """Wait until a key is ready; return all ready keys, the longest waiting first. Call `done` for each."""
        while True:
            self._news.clear()
            next_due = self._take_due()
            if self._ready:
                break
            try:
                async with asyncio.timeout_at(next_due):
                    await self._news.wait()
            except TimeoutError:
                continue  # the time of a waiting key has come
        now = loop_time()
        batch, self._ready = self._ready, {}
        for key, since in batch.items():
            self._waited.observe(now - since)
            self._working[key] = now
        self._depth.set(0)
        return list(batch)

    def done(self, key: K) -> None:
        """Record that processing of a key has ended, successfully or not."""
        self._worked.observe(loop_time() - self._working.pop(key))
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _take_due(self) -> float | None:
        """Make due keys ready, and return when the next one is due."""
        while self._schedule:
            due, _, key = self._schedule[0]
            if self._due.get(key) != due:
                heapq.heappop(self._schedule)
            elif due > loop_time():
                return due
            else:
                heapq.heappop(self._schedule)
                self.add(key)
        return None
