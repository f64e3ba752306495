"""Following a collection of objects: list it, then watch it from the version of the list.

Kubernetes API concepts, "Efficient detection of changes": a list has a version, a watch brings what happened after a
version, and a version that is too old is answered with 410, after which everything is listed again. What goes wrong in
between, and what is done then:

- A watch ends by itself after some minutes, closed by the server: it goes on at once from the last version.
- The connection breaks, or the server has an internal error: it goes on from the last version after a pause that
  grows with each failure (full jitter). Pauses are small again as soon as a watch works again.
- A connection that is dead without anybody having said so (half-open) is noticed by its silence.
- 401, 403, 404 need a person: they are tried slowly, shown, and never given up. Each attempt lists first, so that
  a missing permission to watch alone leaves a slow poll.
- A version that expires, or is unknown to a server whose storage was restored: list.
"""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from common.backoff import Backoff
from common.faults import Fault
from common.http.client import MAX_WAIT, RemoteError, Unreachable
from common.kube.client import KubeClient
from common.kube.errors import GarbledAnswer, KubeError, fault_of
from common.kube.metrics import KubeMetrics
from common.kube.replica import Handler, Key, Replica, key_of
from common.kube.reporting import Report
from common.kube.resources import Resource
from common.kube.watch import BOOKMARK, DELETED, WatchEvent

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ReflectorOptions:
    """Times, in seconds, and how the collection is listed."""

    resync: float = 600
    """Listed again after this time in any case: what a watch missed, for any reason, is repaired. 0: never."""
    watch: tuple[int, int] = (240, 300)
    """The server ends a watch after a time between these, so that the watches of many clients end apart."""
    idle: float = 90
    """Silence after which a connection counts as dead. Servers send a bookmark about every minute, so that one
    bookmark may be late; on a server that sends none, an idle watch costs a new request this often, and no list."""
    settled: float = 1
    """A watch counts as working when it brought something new, or lasted this long."""
    backoff: tuple[float, float] = (0.25, 30)
    """Ceiling of the pause after the first failure, and after many."""
    slow: float = 30
    """Longest pause while somebody has to do something (401, 403, 404)."""
    list_gap: float = 1
    """Least time between two lists."""
    first_list_from_cache: bool = False
    """The first list may come from the API server's cache: cheaper, but perhaps older than what was known before a
    restart. Only for objects that are looked up, never for those whose absence means removal."""


FRUITLESS_LIMIT = 3
"""After so many watches in a row that brought nothing, something is wrong: it is shown, and the collection listed."""


class Reflector(Generic[T]):
    """Keeps `store` equal to a collection and tells `handler` of every change; see `Handler` for what it is told.

    `transform` makes an object compact, and comparable by value: an object that equals the former one is no change.
    None stands for an object that nobody needs, which is not kept.
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
        """`namespace` None means all; `name` stands for this reflector in metrics and logs."""
        self._client = client
        self._resource = resource
        self._namespace = namespace
        self._handler = handler
        self._label_selector = label_selector
        self._field_selector = field_selector
        self._options = options or ReflectorOptions()
        self._replica = Replica(transform=transform, handler=handler)
        self._report = Report(metrics=metrics, name=name, tell=handler.on_fault)
        self._list_backoff = Backoff(*self._options.backoff)
        self._watch_backoff = Backoff(*self._options.backoff)
        self._version: str | None = None
        self._relist = False
        self._next_list = 0.0
        self._next_resync: float | None = None
        self._watching: asyncio.Timeout | None = None
        self._settled = False
        self.synced = False

    @property
    def store(self) -> Mapping[Key, T]:
        """The objects as they are known now; complete once `synced`."""
        return self._replica.objects

    @property
    def fault(self) -> Fault | None:
        """Why the collection cannot be followed now."""
        return self._report.fault

    def relist(self) -> None:
        """Ask for a new list soon, instead of when it is due."""
        self._relist = True
        if self._watching is not None and not self._watching.expired():
            self._watching.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Follow the collection until cancelled. Nothing that a server does ends it."""
        while True:
            if self._version is None or self._relist:
                pause = await self._list()
            else:
                pause = await self._watch(self._version)
            if pause > 0:
                await asyncio.sleep(pause)

    async def _list(self) -> float:
        """List, unless the last list was a moment ago, and return the pause before the next step."""
        clock = asyncio.get_running_loop().time
        if (wait := self._next_list - clock()) > 0:
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
                attempts=1,  # the pauses are made here
            )
        except RemoteError as error:
            self._relist = True
            self._report.failing("list", fault_of(error))
            return self._pause(error, self._list_backoff)
        finally:
            self._next_list = clock() + self._options.list_gap
        self._list_backoff.reset()
        self._next_resync = clock() + self._options.resync if self._options.resync else None
        self._version = listing.version
        self._replica.replace(listing.items)
        self._report.listed()
        self._report.holds(len(self.store), self._replica.invalid)
        self._report.working("list")
        self.synced = True
        self._handler.on_synced()
        return 0

    async def _watch(self, version: str) -> float:
        """Watch until that ends or a list is due, and return the pause before the next step."""
        self._settled = opened = False
        try:
            async with (
                asyncio.timeout_at(self._next_resync) as self._watching,
                self._client.watch(
                    self._resource,
                    self._namespace,
                    version=version,
                    label_selector=self._label_selector,
                    field_selector=self._field_selector,
                    seconds=random.randint(*self._options.watch),  # noqa: S311 - spreads load, hides nothing
                    idle=self._options.idle,
                ) as events,
            ):
                opened = True
                with self._settling():
                    async for event in events:
                        self._take(event)
            if not self._settled:
                raise GarbledAnswer("the server ended the watch at once, without an event")
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
            self._settle()

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
    def _settling(self) -> Iterator[None]:
        timer = asyncio.get_running_loop().call_later(self._options.settled, self._settle)
        try:
            yield
        finally:
            timer.cancel()

    def _settle(self) -> None:
        if not self._settled:
            self._settled = True
            self._watch_backoff.reset()
            self._report.working("watch")

    def _pause(self, error: RemoteError, backoff: Backoff) -> float:
        pause = backoff.next()
        if fault_of(error).needs_people:
            return random.uniform(self._options.slow / 2, self._options.slow)  # noqa: S311 - as above
        asked = error.retry_after if isinstance(error, KubeError) else None
        return max(pause, min(asked or 0, MAX_WAIT))


def _reason(error: RemoteError) -> str:
    """Why a watch ended, as the metrics name it."""
    if isinstance(error, KubeError):
        return "expired" if error.status == 410 else "refused"
    return "unreachable" if isinstance(error, Unreachable) else "garbled"


def _needs_list(error: RemoteError) -> bool:
    """Whether watching from the last version cannot help: it expired, was never known, or is not permitted."""
    if not isinstance(error, KubeError):
        return False
    unknown = error.caused_by("ResourceVersionTooLarge")
    return unknown or (400 <= error.status < 500 and error.status not in (408, 429))
