"""The invariant, and the reader that watches over it.

A 200 of `/list` never lacks an entry that was served and that still exists, is not stopped, and is ready or within its
grace; its key and its names never change. Backstage deletes what a list does not name, so every violation is harm.
"""

import asyncio
import contextlib
import itertools
import json
from math import inf
from typing import Any, Self

import aiohttp

from common.clocks import loop_time
from common.http import transports
from tests.waiting import eventually

PAUSE = 0.05
"""Seconds between two looks."""
DURABLE = 1.0
"""Readers are told at the same time as the write; an entry counts from so many seconds after it was first seen."""


def session(url: str, **options: Any) -> aiohttp.ClientSession:
    """Return a client of the server at this URL, which may be simulated."""
    return aiohttp.ClientSession(connector=transports.current().connector(url, ssl=True, limit=100), **options)


class Truth:
    """What the sources hold: which URIs must be served in the end, and which may vanish from now on."""

    def __init__(self) -> None:
        self.wanted: dict[str, str] = {}
        """The URIs to be served, with the owner that each document must show in the end (empty: any)."""
        self._released: dict[str, float] = {}
        self._failing: dict[str, float] = {}

    def wants(self, uri: str, owner: str = "") -> None:
        """This is to be served; after a release it is protected again as soon as a reader has seen it leave and return.

        Until then the connector may not know of its return yet, and carry out what led to the release.
        """
        self.wanted[uri] = owner

    def release(self, uri: str) -> None:
        """This may vanish: call it before its source loses it."""
        self.wanted.pop(uri, None)
        self._released[uri] = loop_time()

    def writes_fail(self, why: str) -> None:
        """The cache cannot be written from now on: the batch under way may be lost with its process."""
        self._failing.setdefault(why, loop_time())

    def writes_succeed(self, why: str) -> None:
        """What `why` says keeps no write from succeeding any more."""
        self._failing.pop(why, None)

    @property
    def writable_until(self) -> float:
        """When writes began to fail; infinite while none fails."""
        return min(self._failing.values(), default=inf)

    def protects(self, uri: str, since: float) -> bool:
        """Return whether an entry that a reader first saw at this time must still be there."""
        return uri in self.wanted and since > self._released.get(uri, -inf)


class Judge:
    """Reads one feed for the time of its `async with` block and collects what would have harmed a catalog.

    What is seen for the first time while the cache cannot be written, or just before, is not protected.
    """

    def __init__(self, feed: str, truth: Truth) -> None:
        self.feed = feed
        self.harm: list[str] = []
        self.lists = 0
        self._truth = truth
        self._seen: dict[str, float] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._turn = itertools.count()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._began = loop_time()
        self._session = session(self.feed, timeout=aiohttp.ClientTimeout(total=20))
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._session.close()
        if error is None and not self._task.cancelled():
            self._task.result()

    def forget_names(self) -> None:
        """Names may differ from now on: two replicas have not met yet."""
        self._names.clear()

    async def converged(self, timeout: float) -> None:
        """Wait until exactly what the truth wants is served, with the latest content."""

        async def same() -> bool:
            uris = await self._list()
            assert uris is not None, "503"
            wanted = self._truth.wanted
            missing, more = sorted(wanted.keys() - set(uris)), sorted(set(uris) - wanted.keys())
            assert not missing, f"missing {missing}"
            assert not more, f"still there {more}"
            for uri, owner in wanted.items():
                document = await self._document(uri)
                assert document is not None, uri
                assert owner in ("", document["models"][0]["owner"]), f"{uri} shows an older state"
            return True

        await eventually(same, timeout=timeout, interval=0.1, what=f"{self.feed} converges")

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._look()
            await asyncio.sleep(PAUSE)

    async def _look(self) -> None:
        asked = loop_time()
        writable_until = self._truth.writable_until
        durable = {uri: since for uri, since in self._seen.items() if min(asked, writable_until) - since >= DURABLE}
        uris = await self._list()
        if uris is None:
            return
        self.lists += 1
        lost = sorted(uri for uri, since in durable.items() if uri not in uris and self._truth.protects(uri, since))
        if lost:
            self.harm.append(f"{loop_time() - self._began:.2f} s: /list names {len(uris)} and lacks {lost}")
        kept = self._seen if writable_until > asked else durable
        self._seen = {uri: since for uri, since in kept.items() if uri in uris}
        if writable_until > asked:
            for uri in self._truth.wanted.keys() & uris:
                self._seen.setdefault(uri, asked)
        if uris:
            await self._check_document(sorted(uris)[next(self._turn) % len(uris)])

    async def _check_document(self, uri: str) -> None:
        document = await self._document(uri)
        if document is None:
            return
        names = (document["models"][0]["name"], (document.get("modelServer") or {}).get("name", ""))
        before = self._names.setdefault(uri, names)
        if before[0] != names[0]:
            self.harm.append(f"{uri} was named {before} and is named {names} now")
            self._names[uri] = names

    async def _list(self) -> list[str] | None:
        async with self._session.get(f"{self.feed}/list") as answer:
            if answer.status != 200:
                return None
            body = await answer.read()
        listed: Any = json.loads(body).get("uris")
        if not isinstance(listed, list):
            self.harm.append(f"/list is no list: {body[:200]!r}")
            return None
        return listed

    async def _document(self, uri: str) -> dict[str, Any] | None:
        async with self._session.get(self.feed + uri) as answer:
            return dict(await answer.json()) if answer.status == 200 else None
