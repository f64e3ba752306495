"""Pushes changes to a location that does not request them itself, with the original's requests."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

import structlog

from common.backoff import Backoff
from common.clocks import loop_time
from common.complaints import Complaint
from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError
from common.wire import REVISION_HEADER, Changes, Upsert, encode_original_upsert
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("push")

PARALLEL = 8
LONGEST_PAUSE = 30.0
"""Most seconds between attempts to reach location."""
FIRST_PAUSE = 0.5
FOLLOWED_FOR = 15.0
"""Seconds after a request for changes for which its sender counts as a follower."""


class Followers:
    """The readers that request changes themselves: how many are waiting, and when the last one asked."""

    def __init__(self, *, clock: Callable[[], float] = loop_time) -> None:
        self._clock = clock
        self._waiting = 0
        self._last = float("-inf")

    @property
    def count(self) -> int:
        """How many requests wait for changes now."""
        return self._waiting

    @property
    def active(self) -> bool:
        """Whether there is a follower, so that nothing needs to be pushed."""
        return self._waiting > 0 or self._clock() - self._last < FOLLOWED_FOR

    def note_request(self) -> None:
        """Record a request for a snapshot or changes."""
        self._last = self._clock()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count a request that waits, during the block."""
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1
            self.note_request()


class PushedCache(Protocol):
    """The cache whose content is pushed."""

    @property
    def revision(self) -> str:
        """The revision of the current content."""

    @property
    def followed(self) -> bool:
        """Whether location requests changes itself."""

    @property
    def keys(self) -> list[str]:
        """All keys."""

    def shown(self, key: str) -> Upsert | None:
        """Return the entry under a key as it is visible to readers."""

    def card(self, key: str) -> str | None:
        """Return the text of a card."""


class Pusher:
    """Pushes the current entry of each changed key, and retries until location has accepted it.

    While location requests changes itself, nothing is pushed and waiting keys are dropped.
    """

    def __init__(
        self, *, client: HttpClient, cache: PushedCache, telemetry: StorageMetrics, yaml: bool = False
    ) -> None:
        """`yaml`: documents are sent in the format CatalogInfoYamlFormat."""
        self._yaml = yaml
        self._client = client
        self._cache = cache
        self._telemetry = telemetry
        self._waiting: dict[str, None] = {}  # keys, in the order in which they changed
        self._has_work = asyncio.Event()
        self._everything: asyncio.TimerHandle | None = None
        self._complaint = Complaint()

    def push(self, changes: Changes) -> None:
        """Push these changes."""
        if changes.cards:
            for key in self._cache.keys:
                entry = self._cache.shown(key)
                if entry is not None and entry.card_key in changes.cards:
                    self._add(key)
        for key in (*(upsert.key for upsert in changes.upserts), *changes.removals):
            self._add(key)

    def push_all(self, *, after: float) -> None:
        """Push everything, `after` seconds after the last call."""
        if self._everything is not None:
            self._everything.cancel()
        self._everything = asyncio.get_running_loop().call_later(after, self._add_all)

    async def run(self) -> None:
        """Push until cancelled."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        try:
            while True:
                await self._has_work.wait()
                if await self._send_some():
                    backoff.reset()
                else:
                    await asyncio.sleep(backoff.next())
        finally:
            if self._everything is not None:
                self._everything.cancel()

    def _add(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._waiting[key] = None
        self._has_work.set()

    def _add_all(self) -> None:
        self._everything = None
        if not self._cache.followed:
            for key in self._cache.keys:
                self._add(key)

    async def _send_some(self) -> bool:
        """Push a few of the waiting keys and return whether location accepted them all."""
        if self._cache.followed:
            self._waiting.clear()
        keys = list(self._waiting)[:PARALLEL]
        if not keys:
            self._has_work.clear()
        for key in keys:
            del self._waiting[key]
        return all(await asyncio.gather(*(self._send(key) for key in keys)))

    async def _send(self, key: str) -> bool:
        entry = self._cache.shown(key)
        headers = {REVISION_HEADER: self._cache.revision}
        try:
            if entry is None:
                await self._client.request("DELETE", "/remove", params={"key": key}, headers=headers, attempts=1)
            else:
                card = self._cache.card(entry.card_key) if entry.card_key else None
                await self._client.request(
                    "POST",
                    "/upsert",
                    params={"key": key},
                    headers={**headers, "Content-Type": "application/json"},
                    data=encode_original_upsert(replace(entry, card=card), yaml=self._yaml),
                    attempts=1,
                )
        except RemoteError as error:
            return self._failed(key, error)
        self._telemetry.pushes.labels("success").inc()
        if self._complaint.worked():
            log.info("location_reachable_again")
        return True

    def _failed(self, key: str, error: RemoteError) -> bool:
        """Handle a failed push; return whether to give up on the key, because location will never accept it."""
        self._telemetry.pushes.labels("error").inc()
        if isinstance(error, StatusError) and error.status in (400, 404, 413):
            log.warning("document_refused", key=key, error=str(error))
            return True
        if key not in self._waiting:
            self._waiting = {key: None, **self._waiting}
            self._has_work.set()
        if level := self._complaint.failed():
            write = log.info if level == "info" else log.warning
            write(
                "location_unreachable",
                error=str(error),
                remedy="check that location runs and that BRIDGE_URL is its address",
            )
        return False
