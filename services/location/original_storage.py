"""Polls a storage-rest of the original connector, which knows only `GET /list`, `GET /fetch` and pushes.

It never says whether its list is complete, so that is concluded from two polls, half a minute apart:

- The first list has entries: they are a cache from before. Complete.
- The first list is empty: the cache is being filled for the first time (the original needs about a second per model),
  or it was lost. Complete when two lists in a row are equal and not empty.
- An empty list never proves anything: the original cannot say "known to be empty".

For the same reason an entry that is not listed is removed only when two lists in a row agree; if many entries are
missing at once, only when every list during the hold agrees. Removals that are pushed happen at once.
"""

import asyncio
from collections import deque
from typing import Final

import structlog

from common import removals, wire
from common.clocks import loop_time
from common.feed import Refused
from common.http.client import HttpClient
from common.http.errors import StatusError
from services.location.delivery import Entry, make_entry
from services.location.shelf import Shelf

log = structlog.get_logger("location.follow")

AT_A_TIME: Final = 8
"""Documents fetched at the same time."""
INTERVAL: Final = 30.0
"""Seconds between two polls."""


class OriginalStoragePoller:
    """Polls an original storage-rest; `hold` is in seconds."""

    def __init__(self, *, storage: HttpClient, shelf: Shelf, hold: float) -> None:
        self._hold = hold
        self._absent: dict[str, float] = {}
        self._left: deque[float] = deque()
        self._storage = storage
        self._shelf = shelf
        self._listed: frozenset[str] | None = None
        self._fetched: frozenset[str] = frozenset()
        self._pushed: set[str] = set()

    def note_push(self, key: str) -> None:
        """Record a push of `key`: it is newer than what a poll in progress reads."""
        self._pushed.add(key)

    def forget_fetched(self) -> None:
        """Let the next poll fetch everything: while storage was away, pushes may have been lost."""
        self._fetched = frozenset()

    async def poll(self) -> None:
        """Compare the shelf with storage once.

        Raises:
            RemoteError, wire.WireError: storage gives no usable answer.
        """
        self._pushed.clear()
        answer = await self._storage.request("GET", "/list", attempts=1)
        listed = frozenset(wire.parse_keys(answer.body))
        await self._fetch(sorted(listed - self._fetched))
        self._fetched = listed
        if self._listed is None:
            log.info("original_storage_followed", documents=len(listed))
        stable = bool(listed) and listed == self._listed
        if listed:
            self._remove_absent(self._shelf.keys() - listed - self._pushed, stable=stable)
        if stable or (listed and self._listed is None):
            self._shelf.set_complete()
        else:
            self._shelf.wait_for("storage-rest to fill its cache: its list is empty or still growing")
        self._listed = listed

    async def _fetch(self, keys: list[str]) -> None:
        for start in range(0, len(keys), AT_A_TIME):
            some = keys[start : start + AT_A_TIME]
            for fetched in await asyncio.gather(*map(self._fetch_one, some), return_exceptions=True):
                if isinstance(fetched, BaseException):
                    raise fetched
                if fetched is not None and fetched.key not in self._pushed:
                    self._put(fetched)

    async def _fetch_one(self, key: str) -> Entry | None:
        try:
            answer = await self._storage.request("GET", "/fetch", params={"key": key})
        except StatusError as error:
            if error.status == 404:  # removed since it was listed
                return None
            raise
        try:
            return make_entry(wire.parse_storage_body(key, answer.body))
        except (wire.WireError, Refused) as error:
            log.warning("document_not_served", object=f"document {key[:253]}", fault=str(error))
            return None

    def _put(self, entry: Entry) -> None:
        try:
            self._shelf.put(entry)
        except Refused as error:
            log.warning("document_not_served", object=f"document {entry.key}", fault=str(error))

    def _remove_absent(self, absent: frozenset[str], *, stable: bool) -> None:
        """Remove the entries that have not been listed for long enough; `absent` were not listed by this poll."""
        now = loop_time()
        while self._left and self._left[0] <= now - self._hold:
            self._left.popleft()
        news = absent - self._absent.keys()
        self._absent = {key: self._absent.get(key, now) for key in absent}
        lately = len(self._left)
        missing, of = len(absent) + lately, len(self._shelf) + lately
        many = self._hold > 0 and (removals.is_many(missing, of) or removals.is_emptied(missing, of))
        if many and news:
            log.warning("removals_held", entries=len(absent), kept_seconds=self._hold)
        for key, since in list(self._absent.items()):
            if stable and (not many or now >= since + self._hold):
                log.info("entry_removed", key=key, reason="storage no longer lists it")
                self._shelf.remove(key)
                self._left.append(now)
                del self._absent[key]
