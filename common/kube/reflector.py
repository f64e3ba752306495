"""Follows a collection of objects: lists it, then watches it from the version of the list.

Kubernetes API concepts, "Efficient detection of changes": a list has a version, a watch returns the events after a
version, and for a version that is too old the server answers 410, after which everything must be listed again. The
errors, and how they are handled:

- The server closes a watch after some minutes: a new watch starts at once from the last version.
- The connection breaks, or the server has an internal error: a new watch starts from the last version after a pause
  that grows with each failure (full jitter). Pauses are short again as soon as a watch works.
- A connection is dead without having been closed (half-open): it is ended after some time without data.
- 401, 403 and 404 need an administrator: the reflector reports them and keeps trying slowly, and at once with another
  token. Each attempt lists first, so without the permission to watch, the collection is still polled.
- A version has expired, or is unknown to a server whose storage was restored: the collection is listed.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from common.backoff import Backoff, spread
from common.clocks import loop_time
from common.faults import Fault
from common.http.client import MAX_WAIT
from common.http.errors import RemoteError, Unreachable
from common.kube.answers import BOOKMARK, DELETED, WatchEvent
from common.kube.client import KubeClient
from common.kube.errors import GarbledAnswer, KubeError, fault_of
from common.kube.metrics import KubeMetrics
from common.kube.replica import Handler, Key, Replica, key_of
from common.kube.reporting import StateReporter
from common.kube.resources import Resource

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReflectorOptions:
    """Times, in seconds, and how the collection is listed."""

    resync: float = 600
    """Time after which the collection is listed again, to repair anything that a watch has missed. 0: never."""
    watch: float = 270
    """The server ends a watch after about this time, so that many watches do not end at the same time."""
    idle: float = 90
    """Time without data after which a connection counts as dead. Servers send a bookmark about every minute, so one may
    be late; with a server that sends none, an idle watch costs one new request in this time, but no list."""
    working_after: float = 1
    """A watch counts as working if it received something new, or lasted this long."""
    backoff: tuple[float, float] = (0.25, 30)
    """Longest pause after the first failure, and after many."""
    slow: float = 30
    """About the pause while an administrator has to act (401, 403, 404)."""
    list_gap: float = 1
    """Shortest time between two lists."""
    first_list_from_cache: bool = False
    """The first list may come from the API server's cache: cheaper, but perhaps older than what was known before a
    restart. Only for objects that are looked up, never for those whose absence means removal."""


FRUITLESS_LIMIT = 3
"""After this many watches in a row without any event, a fault is reported and the collection is listed."""


class Reflector(Generic[T]):
    """Keeps `store` equal to a collection and calls `handler` for every change.

    `transform` returns a compact form of an object that is comparable by value: if it equals the former one, there is
    no change. None: the object is not needed and not kept.
    """

    def __init__(
        self,
        *,
        client: KubeClient,
        resource: Resource,
        namespace: str | None,
        transform: Callable[[dict[str, Any]], T | None],
        handler: Handler[T],
        label_selector: str = "",
        field_selector: str = "",
        metrics: KubeMetrics,
        name: str,
        options: ReflectorOptions | None = None,
    ) -> None:
        """`namespace` None means all; `name` is the reflector's name in metrics and logs."""
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._handler = handler
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._options = options or ReflectorOptions()
        self._replica = Replica(transform=transform, handler=handler)
        self._report = StateReporter(metrics=metrics, name=name, on_fault=handler.on_fault)
        self._list_backoff = Backoff(*self._options.backoff)
        self._watch_backoff = Backoff(*self._options.backoff)
        self._version: str | None = None
        self._relist = False
        self._next_list = 0.0
        self._next_resync: float | None = None
        self._watching: asyncio.Timeout | None = None
        self._working = False
        self.synced = False

    @property
    def store(self) -> Mapping[Key, T]:
        """The known objects; complete once `synced`."""
        return self._replica.objects

    @property
    def fault(self) -> Fault | None:
        """Why the collection cannot be followed now."""
        return self._report.fault

    def relist(self) -> None:
        """Request a new list now, instead of when it is due."""
        self._relist = True
        if self._watching is not None and not self._watching.expired():
            self._watching.reschedule(loop_time())

    async def run(self) -> None:
        """Follow the collection until cancelled; no error of the server ends it."""
        while True:
            if self._version is None or self._relist:
                pause = await self._list()
            else:
                pause = await self._watch(self._version)
            if pause > 0:
                await self._client.pause(pause)

    async def _list(self) -> float:
        """List, unless the last list was a moment ago; return the pause before the next step."""
        if (wait := self._next_list - loop_time()) > 0:
            return wait
        self._relist = False
        try:
            listing = await self._client.list_all(
                self._resource,
                self._namespace,
                convert=self._replica.read,
                label_selector=self._label_selector,
                field_selector=self._field_selector,
                from_cache=self._options.first_list_from_cache and not self.synced,
                attempts=1,  # this class retries itself
            )
        except RemoteError as error:
            self._relist = True
            self._report.failing("list", fault_of(error))
            return self._pause(error, self._list_backoff)
        finally:
            self._next_list = loop_time() + self._options.list_gap
        self._list_backoff.reset()
        self._next_resync = loop_time() + self._options.resync if self._options.resync else None
        self._version = listing.version
        self._replica.replace(listing.items)
        self._report.listed()
        self._report.holds(len(self.store), self._replica.invalid)
        self._report.working("list")
        self.synced = True
        self._handler.on_synced()
        return 0

    async def _watch(self, version: str) -> float:
        """Watch until the watch ends or a list is due; return the pause before the next step."""
        self._working = opened = False
        try:
            async with (
                asyncio.timeout_at(self._next_resync) as self._watching,
                self._client.watch(
                    self._resource,
                    self._namespace,
                    version=version,
                    label_selector=self._label_selector,
                    field_selector=self._field_selector,
                    seconds=round(spread(self._options.watch)),
                    idle=self._options.idle,
                ) as events,
            ):
                opened = True
                with self._note_working_later():
                    async for event in events:
                        self._take(event)
            if not self._working:
                raise GarbledAnswer("the server closed the watch at once, without an event")
        except TimeoutError:
            self._relist = True
            self._report.restarted("relist")
            return 0
        except RemoteError as error:
            return self._watch_failed(error, opened=opened)
        finally:
            self._watching = None
        self._report.restarted("closed")
        return 0

    def _take(self, event: WatchEvent) -> None:
        self._report.event(event.type)
        if event.type == DELETED:
            self._replica.remove(key_of(event.object), explicit=True)
        elif event.type != BOOKMARK:
            self._replica.put(self._replica.read(event.object), explicit=True)
        self._report.holds(len(self.store), self._replica.invalid)
        if event.version != self._version:
            self._version = event.version
            self._note_working()

    def _watch_failed(self, error: RemoteError, *, opened: bool) -> float:
        reason = _reason(error)
        self._report.restarted(reason)
        pause = self._pause(error, self._watch_backoff)
        refused = not opened and reason != "expired"
        fruitless = not refused and self._watch_backoff.failures >= FRUITLESS_LIMIT
        if fruitless or _needs_list(error):
            self._version = None
        if fruitless or refused:
            self._report.failing("watch", fault_of(error))
        return pause

    @contextmanager
    def _note_working_later(self) -> Iterator[None]:
        timer = asyncio.get_running_loop().call_later(self._options.working_after, self._note_working)
        try:
            yield
        finally:
            timer.cancel()

    def _note_working(self) -> None:
        if not self._working:
            self._working = True
            self._watch_backoff.reset()
            self._report.working("watch")

    def _pause(self, error: RemoteError, backoff: Backoff) -> float:
        pause = backoff.next()
        if fault_of(error).needs_administrator:
            return spread(self._options.slow)
        asked = error.retry_after if isinstance(error, KubeError) else None
        return max(pause, min(asked or 0, MAX_WAIT))


def _reason(error: RemoteError) -> str:
    """Return why a watch ended, as a label of the metrics."""
    if isinstance(error, KubeError):
        return "expired" if error.status == 410 else "refused"
    return "unreachable" if isinstance(error, Unreachable) else "garbled"


def _needs_list(error: RemoteError) -> bool:
    """Return whether a watch from the last version cannot work: it has expired, is unknown, or not permitted."""
    if not isinstance(error, KubeError):
        return False
    unknown = error.caused_by("ResourceVersionTooLarge")
    return unknown or (400 <= error.status < 500 and error.status not in (408, 429))
