"""Keeps the shelf as storage is: a snapshot, then every change as it is told.

Whatever happens to storage, what has been served once is served on until storage says, with a reason, that it goes.
That a snapshot lacks something says so only when the normalizer has confirmed that process of storage: it may have lost
its cache, or have died between telling a change and writing it. A storage that knows neither `/snapshot` nor `/changes`
is an original one and is followed by its own requests (`original_storage`).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

import aiohttp
import structlog
from prometheus_client import Counter

from common import removals, wire
from common.backoff import Backoff, happens
from common.complaints import Complaint
from common.http.client import HttpClient, RemoteError, StatusError
from common.metrics import Metrics
from common.problems import Problem
from services.location.delivery import Unpacking, prepare
from services.location.original_storage import OriginalStorage
from services.location.shelf import Shelf

log = structlog.get_logger("location.follow")

LONG_POLL: Final = 50
"""Seconds for which storage may keep a request for changes open."""
PATIENCE: Final = 15
"""Seconds that an answer may take on top of that, before the connection counts as dead."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0

SNAPSHOT_TYPE: Final = "application/x-ndjson"
_NORMALIZER: Final = (
    "rhoai-normalizer to have read every source, of which it has told nothing yet: see that it runs, and its /readyz"
)
_SOURCES_TOLD: Final = 5
_GONE: Final = 410
_UNKNOWN_PATH: Final = frozenset({404, 405, 501})


class Following:
    """Brings the shelf to what a storage of ours tells, over HTTP or in the same process.

    `revision` is the one that the shelf has, None when a snapshot is needed.
    """

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._confirmed = False
        self.revision: str | None = None

    def begin(self, unpacking: Unpacking, told: wire.Changes) -> None:
        """Take a snapshot: its entries, and what else it told."""
        self._report(self._shelf.apply(unpacking.delivery(told, whole=told.confirmed)))
        self._followed(told)
        log.info("loaded_from_storage", documents=len(self._shelf), complete=self._shelf.complete)

    def begin_with(self, whole: wire.Changes) -> None:
        """Take a snapshot in one piece."""
        unpacking = Unpacking()
        for entry in whole.upserts:
            unpacking.add(entry)
        self.begin(unpacking, whole)

    def go_on(self, changes: wire.Changes) -> None:
        """Take what has changed since `revision`."""
        if changes.confirmed and not self._confirmed:
            self.revision = None  # whatever a snapshot lacks from now on is gone
            return
        for key, reason in changes.removals.items():
            if self._shelf.at_key(key) is not None:
                log.debug("entry_removed", key=key, reason=reason)
        self._report(self._shelf.apply(prepare(changes, whole=False)))
        self._followed(changes)

    def _followed(self, told: wire.Changes) -> None:
        self.revision = told.revision
        self._confirmed = told.confirmed
        if not told.complete:
            self._shelf.wait_for(_missing(told), told.awaited)

    def _report(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            log.warning("document_not_served", object=problem.object, fault=problem.message, remedy=problem.remedy)


class _Original(Exception):
    """This storage does not speak our protocol."""


def _missing(told: wire.Changes) -> str:
    """Return what is missing until what storage has is all there is."""
    sources = "; ".join(map(str, told.awaited[:_SOURCES_TOLD])) or ("every source" if told.damage else _NORMALIZER)
    if more := len(told.awaited) - _SOURCES_TOLD:
        sources += f"; and {more} more" if more > 0 else ""
    return f"the cache to be whole again, for {told.damage}; that needs {sources}" if told.damage else sources


class Follower:
    """Follows one storage for as long as `run` runs; a failure is told once and tried again, forever."""

    def __init__(self, *, storage: HttpClient, shelf: Shelf, metrics: Metrics, hold: float = removals.HOLD) -> None:
        """`hold`: seconds that stays what an original's storage does not list any more, when that is much."""
        self._storage = storage
        self._shelf = shelf
        self._original = OriginalStorage(storage=storage, shelf=shelf, hold=hold)
        self._following = Following(shelf)
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

    # --- what pushes need to know (services.location.pushes.Followed)

    def is_news(self, revision: str | None) -> bool:
        """Return whether a push of this revision is newer than what has been followed.

        While one of our storages is followed, a push of another one is not taken: storage is asked at once instead
        what is really the case.
        """
        own = wire.parse_revision(self._following.revision) if self._following.revision is not None else None
        if own is None:
            return True
        pushed = wire.parse_revision(revision or "")
        if pushed is None or pushed[0] != own[0]:
            self._ask_again()
            return False
        return pushed[1] > own[1]

    def _ask_again(self) -> None:
        """Read a snapshot now, instead of waiting for changes."""
        self._news.set()
        if self._polling is not None and not self._polling.expired():
            self._polling.reschedule(asyncio.get_running_loop().time())

    def pushed(self, key: str) -> None:
        """Learn that a push has just changed `key`."""
        if self._following.revision is None:
            self._original.pushed(key)

    # ---

    async def _step(self) -> None:
        if self._following.revision is None:
            try:
                await self._load_snapshot()
            except _Original:
                await self._original.look()
                self._recovered()
                await self._sleep(self._original.interval)
        else:
            await self._load_changes(self._following.revision)

    async def _load_snapshot(self) -> None:
        reader, unpacking = wire.SnapshotReader(), Unpacking()
        limit = aiohttp.ClientTimeout(total=None, sock_connect=PATIENCE, sock_read=PATIENCE)
        try:
            async with self._storage.stream("GET", "/snapshot", timeout=limit) as answer:
                if answer.content_type != SNAPSHOT_TYPE:
                    raise _Original
                async for line in _lines(answer.content):
                    upsert = reader.feed(line)
                    if upsert is not None:
                        unpacking.add(upsert)
        except StatusError as error:
            if error.status in _UNKNOWN_PATH:
                raise _Original from None
            raise
        self._following.begin(unpacking, reader.finish())

    async def _load_changes(self, since: str) -> None:
        params = {"since": since, "wait": str(LONG_POLL)}
        try:
            async with asyncio.timeout(None) as self._polling:
                answer = await self._storage.request(
                    "GET", "/changes", params=params, timeout=LONG_POLL + PATIENCE, attempts=1
                )
        except TimeoutError:  # a push says that there is another storage
            self._following.revision = None
            return
        except StatusError as error:
            if error.status != _GONE and error.status not in _UNKNOWN_PATH:
                raise
            log.info("revision_unknown", status=error.status)
            self._following.revision = None
            return
        finally:
            self._polling = None
        self._following.go_on(wire.parse_changes(answer.body))

    def _failed(self, error: Exception) -> None:
        self._errors.inc()
        self._original.lost()
        self._shelf.wait_for(f"storage-rest to answer at {self._storage.base_url}")
        if level := self._complaint.failed():
            tell = log.info if level == "info" else log.warning
            tell(
                "storage_unreadable",
                error=str(error),
                remedy="see that storage-rest runs, that STORAGE_URL is its address, and that both have the same token",
                served_on=len(self._shelf),
            )

    def _recovered(self) -> None:
        if self._complaint.worked():
            log.info("storage_readable_again")

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until a push comes that says that storage has something new."""
        if await happens(self._news, within=seconds):
            self._news.clear()


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length; between the pieces that they come in, others have their turn."""
    rest = b""
    async for piece in content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
