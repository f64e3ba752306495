"""Watch requests: events as JSON lines, bookmarks, time-outs, and the faults a watch can be made to have."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

from aiohttp import web

from tests.fakes.kubernetes import selectors, status
from tests.fakes.kubernetes.faults import WatchFault
from tests.fakes.kubernetes.history import Log, dump, watch_line
from tests.fakes.kubernetes.requests import RequestInfo, View, flag, number
from tests.fakes.kubernetes.resources import ResourceType
from tests.fakes.kubernetes.selectors import Selector
from tests.fakes.kubernetes.store import Store

DEFAULT_TIMEOUT = 1800.0
BOOKMARK_INTERVAL = 60.0


@dataclass(kw_only=True, eq=False)
class Watch:
    """One open watch. `orders` are bookmarks and faults it is to carry out next."""

    store: Store
    log: Log
    resource: ResourceType
    namespace: str
    selector: Selector
    view: View
    bookmarks: bool
    revision: int
    seconds: float
    count_bytes: Callable[[int], None]
    orders: list[str] = field(default_factory=list)

    async def run(self, response: web.StreamResponse) -> None:
        """Send events until the time is up, a fault ends it, or the client leaves."""
        log = self.log
        waiter = log.subscribe()
        clock = asyncio.get_running_loop().time
        end = clock() + self.seconds
        bookmark_at = clock() + BOOKMARK_INTERVAL
        try:
            while True:
                waiter.clear()
                if self.revision < log.dropped:
                    return  # too slow: the server ends such a watch
                await self.send(response, self._pending())
                if log.closed:
                    return
                if self.orders and await self._ended_by_order(response):
                    return
                if self.bookmarks and clock() >= min(bookmark_at, end):
                    await self.send(response, self._bookmark())
                    bookmark_at = clock() + BOOKMARK_INTERVAL
                if clock() >= end:
                    return
                await _wait(waiter, min(bookmark_at, end) if self.bookmarks else end)
        finally:
            log.unsubscribe(waiter)

    def begin(self) -> tuple[bytes, bool]:
        """The first lines, and whether the watch ends with them.

        Without a resourceVersion these are the present objects as ADDED events; with an expired one, an error.
        """
        if self.revision:
            if self.revision >= self.log.compacted:
                return b"", False
            return error_line(status.too_old(self.revision, self.log.compacted)), True
        self.revision = self.store.revision
        entries = self.store.table(self.resource).now(self.namespace)
        chosen = [entry for entry in entries if entry.selected_by(self.selector)]
        return b"".join(watch_line("ADDED", self.view.encode(entry)) for entry in chosen), False

    def _pending(self) -> bytes:
        return b"".join(self._lines())

    def _lines(self) -> Iterator[bytes]:
        for event in self.log.since(self.revision):
            self.revision = event.revision
            if self.namespace in ("", event.entry.key[0]):
                yield event.line(self.selector, self.view.tag, self.view.encode)

    def _bookmark(self) -> bytes:
        """All events up to the store's revision were sent: the version to go on from."""
        self.revision = self.store.revision
        head = {"kind": self.resource.kind, "apiVersion": self.resource.api_version()}
        if self.view.tag == "partial":
            head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        elif self.resource.custom:
            head["apiVersion"] = self.resource.api_version(self.view.tag)
        metadata = {"resourceVersion": str(self.revision), "creationTimestamp": None}
        return watch_line("BOOKMARK", dump({**head, "metadata": metadata}))

    async def _ended_by_order(self, response: web.StreamResponse) -> bool:
        """Carry out the orders; True when one of them ends the watch."""
        while self.orders:
            order = self.orders.pop(0)
            if order == "bookmark":
                if self.bookmarks:
                    await self.send(response, self._bookmark())
            elif order == "silent":
                await asyncio.Event().wait()
            elif order == "garbage":
                await self.send(response, b"<html><body>502 Bad Gateway</body></html>\n")
            elif order == "error":
                await self.send(response, error_line(status.of_code(500, "etcdserver: request timed out")))
                return True
            elif order == "gone":
                await self.send(response, error_line(status.too_old(self.revision, self.store.revision)))
                return True
            elif order == "close":
                return True
        return False

    async def send(self, response: web.StreamResponse, lines: bytes) -> None:
        """Write lines and count their bytes."""
        if lines:
            self.count_bytes(len(lines))
            await response.write(lines)


def error_line(error: status.ApiError) -> bytes:
    """An ERROR event."""
    return watch_line("ERROR", dump(error.status()))


async def _wait(waiter: asyncio.Event, until: float) -> None:
    """Return when the waiter is set, or at a time of the loop."""
    try:
        async with asyncio.timeout_at(until):
            await waiter.wait()
    except TimeoutError:
        return


class Watches:
    """The watches open now, so that faults and bookmarks can reach them."""

    def __init__(self, store: Store, count_bytes: Callable[[int], None]) -> None:
        self._store = store
        self._count_bytes = count_bytes
        self._open: dict[Watch, None] = {}  # in the order in which they came

    def count(self, plural: str = "") -> int:
        """How many watches are open."""
        return sum(1 for watch in self._open if plural in ("", watch.resource.plural))

    def order(self, order: str, plural: str = "") -> int:
        """Make the open watches of a type (or of all) carry out a bookmark or fault; returns how many there are."""
        if order != "bookmark" and order not in get_args(WatchFault):
            raise ValueError(f"unknown order {order!r}; there are bookmark, {', '.join(get_args(WatchFault))}")
        chosen = [watch for watch in self._open if plural in ("", watch.resource.plural)]
        for watch in chosen:
            watch.orders.append(order)
            watch.log.wake()
        return len(chosen)

    async def serve(
        self, request: web.Request, info: RequestInfo, resource: ResourceType, view: View, orders: list[str]
    ) -> web.StreamResponse:
        """Answer a watch request; returns the finished answer.

        Raises:
            ApiError: 400, 422 for parameters that cannot be.
        """
        if "sendInitialEvents" in request.query:
            message = "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            cause = status.Cause("FieldValueForbidden", message, "sendInitialEvents")
            raise status.invalid("meta.k8s.io", "ListOptions", "", [cause])
        watch = self._watch(request.query, info, resource, view)
        watch.orders.extend(orders)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        first, ended = watch.begin()
        self._open[watch] = None
        try:
            await response.prepare(request)
            if first and not orders:
                await watch.send(response, first)
            if not ended:
                await watch.run(response)
        finally:
            self._open.pop(watch, None)
        await response.write_eof()
        return response

    def _watch(self, query: Mapping[str, str], info: RequestInfo, resource: ResourceType, view: View) -> Watch:
        return Watch(
            store=self._store,
            count_bytes=self._count_bytes,
            log=self._store.table(resource).log,
            resource=resource,
            namespace=info.namespace,
            selector=selectors.parse(
                query.get("labelSelector", ""), query.get("fieldSelector", ""), resource.selectable
            ),
            view=view,
            bookmarks=flag(query, "allowWatchBookmarks"),
            revision=number(query, "resourceVersion"),
            seconds=number(query, "timeoutSeconds") or DEFAULT_TIMEOUT,
        )
