"""Follows a storage service that knows the original's requests only: `GET /list`, `GET /fetch`, and its pushes.

It does not say whether its list is complete, so that is concluded from what can be observed:

- At the first look it lists something: a cache from before. Complete.
- At the first look it lists nothing: a cache that is being filled for the first time, which takes the original about
  a second per model, or one that was lost. Complete when two looks in a row, half a minute apart, list the same, and
  not nothing.
- It lists nothing: proves nothing, ever. (The original cannot say "known to be empty".)

For the same reason what is not listed is removed only when two looks in a row agree, and when it is much at once, only
when every look during the hold agrees. Removals that are pushed happen at once.
"""

import asyncio
from collections import deque
from typing import Final

import structlog

from common import removals, wire
from common.feed import Refused
from common.http.client import HttpClient, StatusError
from services.location.delivery import Entry, make_entry
from services.location.shelf import Shelf

log = structlog.get_logger("location.follow")

AT_A_TIME: Final = 8
"""Documents fetched at the same time."""


class OriginalStorage:
    """Looks at an original storage service every now and then; `interval` and `hold` are in seconds."""

    def __init__(self, *, storage: HttpClient, shelf: Shelf, interval: float = 30, hold: float = removals.HOLD) -> None:
        self._hold = hold
        self._absent: dict[str, float] = {}
        self._left: deque[float] = deque()
        self.interval = interval
        self._storage = storage
        self._shelf = shelf
        self._listed: frozenset[str] | None = None
        self._fetched: frozenset[str] = frozenset()
        self._pushed: set[str] = set()

    def pushed(self, key: str) -> None:
        """Learn of a push, which is newer than anything that a look in progress brings for `key`."""
        self._pushed.add(key)

    def lost(self) -> None:
        """Learn that storage was away: pushes may have been lost too, so the next look fetches everything."""
        self._fetched = frozenset()

    async def look(self) -> None:
        """Compare the shelf with storage once.

        Raises:
            RemoteError, wire.WireError: when storage gives no usable answer.
        """
        self._pushed.clear()
        answer = await self._storage.request("GET", "/list", attempts=1)
        listed = frozenset(wire.parse_keys(answer.body))
        await self._fetch(sorted(listed - self._fetched))
        self._fetched = listed
        if self._listed is None:
            log.info("original_storage_followed", documents=len(listed))
        settled = bool(listed) and listed == self._listed
        if listed:
            self._miss(self._shelf.keys() - listed - self._pushed, settled=settled)
        if settled or (listed and self._listed is None):
            self._shelf.set_complete()
        else:
            self._shelf.wait_for("the cache of storage-rest to be filled: its list still grows or is empty")
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

    def _miss(self, absent: frozenset[str], *, settled: bool) -> None:
        """Take what a look did not list, and remove what was missing for long enough."""
        now = asyncio.get_running_loop().time()
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
            if settled and (not many or now >= since + self._hold):
                log.info("entry_removed", key=key, reason="storage no longer lists it")
                self._shelf.remove(key)
                self._left.append(now)
                del self._absent[key]
