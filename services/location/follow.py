"""Keeps the shelf equal to storage-rest's cache: reads one snapshot, then every change.

An entry that was served once stays until storage removes it with a reason, whatever else happens to storage. An entry
that a snapshot lacks was removed only if the normalizer has confirmed the content of this storage process. Otherwise
the process may have lost its cache, or have been restarted after it announced a change and before it wrote it. A
storage without `/snapshot` and `/changes` is the original one: it is polled by its own requests (`original_storage`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import aiohttp
import structlog
from prometheus_client import Counter

from common import removals, wire
from common.backoff import Backoff, happens
from common.clocks import loop_time
from common.complaints import Complaint
from common.http.client import UNKNOWN_PATH, HttpClient
from common.http.errors import RemoteError, StatusError
from common.metrics import Metrics
from common.problems import Problem
from services.location.delivery import DeliveryBuilder, prepare
from services.location.original_storage import INTERVAL, OriginalStoragePoller
from services.location.shelf import Shelf

log = structlog.get_logger("location.follow")

LONG_POLL: Final = 50
"""Seconds that storage may hold a request for changes open."""
PATIENCE: Final = 15
"""Seconds that an answer may take beyond that before the connection is considered dead."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

_NORMALIZER: Final = (
    "rhoai-normalizer, which has not yet said which sources it reads: check that it runs, and its /readyz"
)
_MOST_SOURCES: Final = 5
_GONE: Final = 410


class ShelfUpdater:
    """Applies snapshots and changes of our storage-rest to the shelf, over HTTP or in the same process.

    `revision` is the revision that the shelf shows; None if a snapshot is needed.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._confirmed = False
        self.revision: str | None = None

    def load(self, entries: DeliveryBuilder, rest: wire.Changes) -> None:
        """Apply a snapshot whose entries were read one by one; `rest` is everything else in it."""
        self._report(self._shelf.apply(entries.build(rest, whole=rest.confirmed)))
        self._applied(rest)
        log.info("loaded_from_storage", documents=len(self._shelf), complete=self._shelf.complete)

    def load_snapshot(self, snapshot: wire.Changes) -> None:
        """Apply a snapshot in one piece."""
        entries = DeliveryBuilder()
        for entry in snapshot.upserts:
            entries.add(entry)
        self.load(entries, snapshot)

    def apply(self, changes: wire.Changes) -> None:
        """Apply the changes since `revision`."""
        if changes.confirmed and not self._confirmed:
            self.revision = None  # a snapshot read from now on proves what is gone
            return
        for key, reason in changes.removals.items():
            if self._shelf.at_key(key) is not None:
                log.debug("entry_removed", key=key, reason=reason)
        self._report(self._shelf.apply(prepare(changes, whole=False)))
        self._applied(changes)

    def _applied(self, changes: wire.Changes) -> None:
        self.revision = changes.revision
        self._confirmed = changes.confirmed
        if not changes.complete:
            self._shelf.wait_for(_missing(changes), changes.awaited)

    def _report(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            log.warning("document_not_served", object=problem.object, fault=problem.message, remedy=problem.remedy)


class _OriginalProtocol(Exception):
    """This storage knows only the original's requests."""


def _missing(changes: wire.Changes) -> str:
    """Return what the feed waits for until storage's cache is complete."""
    sources = "; ".join(map(str, changes.awaited[:_MOST_SOURCES]))
    sources = sources or ("every source" if changes.damage else _NORMALIZER)
    if (more := len(changes.awaited) - _MOST_SOURCES) > 0:
        sources += f"; and {more} more"
    if not changes.damage:
        return sources
    return f"the damaged cache to be filled again ({changes.damage}); that needs {sources}"


class StorageFollower:
    """Follows one storage-rest while `run` runs; it logs a failure once and retries without end."""

    def __init__(self, *, storage: HttpClient, shelf: Shelf, metrics: Metrics, hold: float = removals.HOLD) -> None:
        """`hold`: seconds for which entries stay when an original storage stops listing many at once."""
        self._storage = storage
        self._shelf = shelf
        self._original = OriginalStoragePoller(storage=storage, shelf=shelf, hold=hold)
        self._updater = ShelfUpdater(shelf)
        self._polling: asyncio.Timeout | None = None
        self._complaint = Complaint()
        self._news = asyncio.Event()
        self._errors = Counter(
            "rhoai_connector_location_follow_errors",
            "Failed attempts to read from storage",
            registry=metrics.registry,
        )

    async def run(self) -> None:
        """Follow storage until cancelled."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        while True:
            try:
                await self._step()
            except (RemoteError, wire.WireError) as error:
                self._failed(error)
                await self._sleep(backoff.next())
            else:
                self._recovered()
                backoff.reset()

    # --- for pushes (services.location.pushes.PushFilter)

    def is_newer(self, revision: str | None) -> bool:
        """Return whether a push of this revision is newer than the shelf.

        A push from a storage process other than the followed one is ignored; the snapshot is read again instead.
        """
        own = wire.parse_revision(self._updater.revision) if self._updater.revision is not None else None
        if own is None:
            return True
        pushed = wire.parse_revision(revision or "")
        if pushed is None or pushed[0] != own[0]:
            self._read_snapshot_now()
            return False
        return pushed[1] > own[1]

    def _read_snapshot_now(self) -> None:
        """Stop waiting for changes and read a snapshot."""
        self._news.set()
        if self._polling is not None and not self._polling.expired():
            self._polling.reschedule(loop_time())

    def note_push(self, key: str) -> None:
        """Record that a push has just changed `key`."""
        if self._updater.revision is None:
            self._original.note_push(key)

    # ---

    async def _step(self) -> None:
        if self._updater.revision is None:
            try:
                await self._load_snapshot()
            except _OriginalProtocol:
                await self._original.poll()
                self._recovered()
                await self._sleep(INTERVAL)
        else:
            await self._load_changes(self._updater.revision)

    async def _load_snapshot(self) -> None:
        reader, entries = wire.SnapshotReader(), DeliveryBuilder()
        limit = aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)
        try:
            async with self._storage.stream("GET", "/snapshot", timeout=limit) as answer:
                if answer.content_type != wire.SNAPSHOT_TYPE:
                    raise _OriginalProtocol
                async for line in _lines(answer.content):
                    upsert = reader.feed(line)
                    if upsert is not None:
                        entries.add(upsert)
        except StatusError as error:
            if error.status in UNKNOWN_PATH:
                raise _OriginalProtocol from None
            raise
        self._updater.load(entries, reader.finish())

    async def _load_changes(self, since: str) -> None:
        params = {"since": since, "wait": str(LONG_POLL)}
        try:
            async with asyncio.timeout(None) as self._polling:
                answer = await self._storage.request(
                    "GET", "/changes", params=params, timeout=LONG_POLL + PATIENCE, attempts=1
                )
        except TimeoutError:  # a push came from another storage process
            self._updater.revision = None
            return
        except StatusError as error:
            if error.status != _GONE and error.status not in UNKNOWN_PATH:
                raise
            log.info("revision_unknown", status=error.status)
            self._updater.revision = None
            return
        finally:
            self._polling = None
        self._updater.apply(wire.parse_changes(answer.body))

    def _failed(self, error: Exception) -> None:
        self._errors.inc()
        self._original.forget_fetched()
        self._shelf.wait_for(f"storage-rest to answer at {self._storage.base_url}")
        if level := self._complaint.failed():
            write = log.info if level == "info" else log.warning
            write(
                "storage_unreadable",
                error=str(error),
                remedy="check that storage-rest runs, that STORAGE_URL is its address, and that both use one token",
                served_on=len(self._shelf),
            )

    def _recovered(self) -> None:
        if self._complaint.worked():
            log.info("storage_readable_again")

    async def _sleep(self, seconds: float) -> None:
        """Sleep; a push from another storage process ends it early."""
        if await happens(self._news, within=seconds):
            self._news.clear()


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length; other tasks run between the chunks in which they arrive."""
    rest = b""
    async for piece in content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
