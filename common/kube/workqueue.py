"""A queue of keys to work on, as controllers use it: a key that waits already is not queued twice.

Metrics carry the names that controller-runtime gives them, so that dashboards made for other controllers read them.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from common.metrics import Metrics

K = TypeVar("K", bound=Hashable)

_BUCKETS = tuple(10.0**exponent for exponent in range(-8, 4))


class WorkQueueMetrics:
    """One per service, shared by its queues; the label `name` is a queue's name."""

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
    """Gives one consumer all keys that are ready, as a batch.

    A key is waiting for its time, ready, or being worked on. One that is added while it is worked on is ready again as
    soon as that is done. For a waiting key the earliest wish counts, so the worker says again what is still to
    come.
    """

    def __init__(
        self,
        *,
        name: str,
        metrics: WorkQueueMetrics,
        base: float = 0.1,
        ceiling: float = 60,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """The n-th `retry` of a key in a row waits for `base` * 2ⁿ⁻¹ seconds, `ceiling` at most, less up to half."""
        self._base = base
        self._ceiling = ceiling
        self._uniform = uniform
        self._ready: dict[K, float] = {}  # since when
        self._working: dict[K, float] = {}
        self._again: set[K] = set()
        self._due: dict[K, float] = {}
        self._schedule: list[tuple[float, int, K]] = []  # a heap; entries that `_due` contradicts are void
        self._entries = 0
        self._failures: dict[K, int] = {}
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
            self._ready[key] = _now()
            self._adds.inc()
            self._depth.set(len(self._ready))
            self._news.set()

    def add_after(self, key: K, delay: float) -> None:
        """Make a key ready in `delay` seconds, unless it is before."""
        if delay <= 0:
            self.add(key)
            return
        due = _now() + delay
        if key in self._ready or key in self._again or self._due.get(key, due) < due:
            return
        self._due[key] = due
        self._entries += 1
        heapq.heappush(self._schedule, (due, self._entries, key))
        self._news.set()

    def retry(self, key: K) -> None:
        """Make a key ready after a pause that grows each time, until `forget`."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        pause = min(self._ceiling, self._base * 2 ** min(failures, 32))
        self._retries.inc()
        self.add_after(key, self._uniform(pause / 2, pause))

    def forget(self, key: K) -> None:
        """Note that work on a key succeeded: its next failure is a first one."""
        self._failures.pop(key, None)

    async def get(self) -> list[K]:
        """Wait until a key is ready and return all that are, the longest waiting first; each needs a `done`."""
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
        now = _now()
        batch, self._ready = self._ready, {}
        for key, since in batch.items():
            self._waited.observe(now - since)
            self._working[key] = now
        self._depth.set(0)
        return list(batch)

    def done(self, key: K) -> None:
        """Note that work on a key ended, well or not."""
        self._worked.observe(_now() - self._working.pop(key))
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def _take_due(self) -> float | None:
        """Make ready what is due, and return when the next key will be."""
        while self._schedule:
            due, _, key = self._schedule[0]
            if self._due.get(key) != due:
                heapq.heappop(self._schedule)
            elif due > _now():
                return due
            else:
                heapq.heappop(self._schedule)
                self.add(key)
        return None


def _now() -> float:
    return asyncio.get_running_loop().time()
