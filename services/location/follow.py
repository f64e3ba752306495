"""Keeps the shelf as storage is: a snapshot, then every change as it is told.

Whatever happens to storage, what has been served once is served on. A storage that knows neither `/snapshot` nor
`/changes` is an original one and is followed by its own requests (`original_storage`).

Storage tells a change while it writes it. If it dies in between, its next process knows nothing of the change until the
normalizer sends it again; so for a while a restarted storage is not believed to lack what is on the shelf.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Sequence
from typing import Final

import aiohttp
import structlog
from prometheus_client import Counter

from common import wire
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
DOUBT: Final = 60.0
"""Seconds after a restart of storage until what it lacks counts as removed; what it is told to remove goes at once."""

SNAPSHOT_TYPE: Final = "application/x-ndjson"
_GONE: Final = 410
_UNKNOWN_PATH: Final = frozenset({404, 405, 501})


class _Original(Exception):
    """This storage does not speak our protocol."""


class Follower:
    """Follows one storage for as long as `run` runs; a failure is told once and tried again, for ever."""

    def __init__(self, *, storage: HttpClient, shelf: Shelf, metrics: Metrics) -> None:
        self._storage = storage
        self._shelf = shelf
        self._original = OriginalStorage(storage=storage, shelf=shelf)
        self._revision: str | None = None
        self._epoch: str | None = None
        self._storage_complete = False
        self._doubt_ends: float | None = None
        self._failing = False
        self._news = asyncio.Event()
        self._errors = Counter(
            "rhoai_connector_location_follow_errors",
            "Failed attempts to read from storage",
            registry=metrics.registry,
        )

    async def run(self) -> None:
        """Follow storage until cancelled."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._step()
            except (RemoteError, wire.WireError) as error:
                self._failed(error)
                await self._sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
                pause = min(pause * 2, LONGEST_PAUSE)
            else:
                self._recovered()
                pause = FIRST_PAUSE

    # --- what pushes need to know (services.location.pushes.Followed)

    def is_news(self, revision: str | None) -> bool:
        """Tell whether a push of this revision is newer than what has been followed.

        One that cannot be placed (no revision, or a storage that has restarted since) is taken for news, and storage
        is asked soon what is really the case.
        """
        if self._revision is None or revision is None:
            return True
        count, own_count = revision.rpartition("-")[2], self._revision.rpartition("-")[2]
        if _epoch(revision) != self._epoch or not count.isdigit() or not own_count.isdigit():
            self._news.set()
            return True
        return int(count) > int(own_count)

    def pushed(self, key: str) -> None:
        """Learn that a push has just changed `key`."""
        if self._revision is None:
            self._original.pushed(key)

    # ---

    async def _step(self) -> None:
        if self._doubt_ends is not None and self._doubt_left <= 0:
            self._doubt_ends = None
            self._revision = None  # a snapshot tells what storage still lacks
        if self._revision is None:
            try:
                await self._load_snapshot()
            except _Original:
                await self._original.look()
                self._recovered()
                await self._sleep(self._original.interval)
        else:
            await self._load_changes(self._revision)

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
        told = reader.finish()
        if self._epoch not in (None, _epoch(told.revision)) and self._shelf.complete:
            self._doubt_ends = asyncio.get_running_loop().time() + DOUBT
        self._report(self._shelf.apply(unpacking.delivery(told, whole=self._doubt_ends is None)))
        self._followed(told)
        log.info("loaded from storage", documents=len(self._shelf), complete=self._shelf.complete)

    async def _load_changes(self, since: str) -> None:
        params = {"since": since, "wait": f"{min(LONG_POLL, self._doubt_left):.3f}"}
        try:
            answer = await self._storage.request(
                "GET", "/changes", params=params, timeout=LONG_POLL + PATIENCE, attempts=1
            )
        except StatusError as error:
            if error.status != _GONE and error.status not in _UNKNOWN_PATH:
                raise
            log.info("storage does not know our revision any more", status=error.status)
            self._revision = None
            return
        changes = wire.parse_changes(answer.body)
        if changes.complete and not self._storage_complete:
            # What was kept while storage was incomplete may be gone for good: only a snapshot tells.
            self._doubt_ends = None
            self._revision = None
            return
        self._report(self._shelf.apply(prepare(changes, whole=False)))
        self._followed(changes)

    def _followed(self, changes: wire.Changes) -> None:
        self._revision = changes.revision
        self._epoch = _epoch(changes.revision)
        self._storage_complete = changes.complete
        if not changes.complete:
            self._shelf.wait_for("storage-rest to have seen one complete listing of every source")

    @property
    def _doubt_left(self) -> float:
        if self._doubt_ends is None:
            return math.inf
        return max(0.0, self._doubt_ends - asyncio.get_running_loop().time())

    def _report(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            log.warning("not served", object=problem.object, message=problem.message, remedy=problem.remedy)

    def _failed(self, error: Exception) -> None:
        self._errors.inc()
        self._original.lost()
        self._shelf.wait_for(f"storage-rest to answer at {self._storage.base_url}")
        if not self._failing:
            self._failing = True
            log.warning(
                "storage cannot be read",
                error=str(error),
                remedy="see that storage-rest runs, that STORAGE_URL is its address, and that both have the same token",
                served_on=len(self._shelf),
            )

    def _recovered(self) -> None:
        if self._failing:
            self._failing = False
            log.info("storage is read again")

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but not longer than until a push comes that says that storage has something new."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()


def _epoch(revision: str) -> str:
    """Return the part of a revision that stands for one process of storage."""
    return revision.rpartition("-")[0]


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines of any length; between the pieces that they come in, others have their turn."""
    rest = b""
    async for piece in content.iter_any():
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line
