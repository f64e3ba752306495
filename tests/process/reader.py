"""Backstage, as far as it can be harmed: a reader of the feed that never rests.

The first-generation plugin deletes whatever a `/list` with status 200 does not name, and gives a whole round up when
one document fails. Any other status or a broken connection makes it keep what it has.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Iterable
from typing import Any, Self

import aiohttp

from common.catalog import CatalogDocument, InvalidDocument
from tests.waiting import eventually

PAUSE = 0.03
AT_ONCE = 16


class Reader:
    """Reads for the time of its `async with` block, and raises at the end what would have harmed the catalog.

    A URI that was served once is expected in every later list, until the test releases it for good. `sample` limits
    the documents read in each round; all get their turn.
    """

    def __init__(self, feed: str, *, sample: int | None = None) -> None:
        self._feed = feed
        self._sample = sample
        self._expected: set[str] = set()
        self._released: set[str] = set()
        self._turn = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self.harm: list[str] = []
        self.rounds = 0
        """Lists that were answered with 200."""

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=20), connector=aiohttp.TCPConnector(limit=AT_ONCE)
        )
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._session.close()
        if error is None:
            self.check()
            if not self._task.cancelled():
                self._task.result()

    def check(self) -> None:
        """Raise if the catalog would have been harmed so far."""
        assert not self.harm, f"{len(self.harm)} times, first:\n" + "\n".join(self.harm[:5])

    def expect(self, *uris: str) -> None:
        """These must be in every list from now on."""
        self._released.difference_update(uris)
        self._expected.update(uris)

    def watch_for(self, *uris: str) -> None:
        """These may have been released; they are expected again from when they are next seen."""
        self._released.difference_update(uris)

    def release(self, *uris: str) -> None:
        """These may vanish from now on, because their source is about to lose them."""
        self._expected.difference_update(uris)
        self._released.update(uris)

    async def round(self) -> None:
        """Wait for a whole round that began after this call."""
        wanted = self.rounds + 2
        await eventually(lambda: self.rounds >= wanted, what="a whole round")
        self.check()

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._round()  # anyone who cannot read keeps what he has
            await asyncio.sleep(PAUSE)

    async def _round(self) -> None:
        before = set(self._expected)
        status, body = await self._get("/list")
        if status != 200:
            if status != 503:
                self._harmed(f"/list: {status} {body[:200]!r}")
            return
        uris = _uris(body)
        if uris is None:
            self._harmed(f"/list is no list: {body[:200]!r}")
            return
        if short := (before & self._expected) - set(uris):
            self._harmed(f"/list names {len(uris)} and lacks {len(short)}, such as {sorted(short)[:3]}")
        self._expected.update(set(uris) - self._released)
        chosen = self._chosen(uris)
        documents = await asyncio.gather(*(self._document(uri) for uri in chosen))
        self._check_names(document for document in documents if document is not None)
        self.rounds += 1

    def _chosen(self, uris: list[str]) -> list[str]:
        if self._sample is None or len(uris) <= self._sample:
            return uris
        start = next(self._turn) * self._sample % len(uris)
        return [*uris, *uris][start : start + self._sample]

    async def _document(self, uri: str) -> CatalogDocument | None:
        status, body = await self._get(uri)
        if status == 200:
            try:
                return CatalogDocument.decode(body)
            except InvalidDocument as error:
                self._harmed(f"{uri} is no document: {error}")
        elif status != 503 and uri in self._expected:
            self._harmed(f"{uri} is listed, and answered with {status}")
        return None

    def _check_names(self, documents: Iterable[CatalogDocument]) -> None:
        seen: dict[tuple[str, str], CatalogDocument] = {}
        for document in documents:
            names = [("model", model.name.lower()) for model in document.models]
            if document.model_server is not None:
                names.append(("server", document.model_server.name.lower()))
            for name in names:
                if seen.setdefault(name, document) != document:
                    self._harmed(f"two documents have a {name[0]} {name[1]}")

    async def _get(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(self._feed + path) as answer:
            return answer.status, await answer.read()

    def _harmed(self, how: str) -> None:
        self.harm.append(how)


def _uris(body: bytes) -> list[str] | None:
    try:
        answer: Any = json.loads(body)
    except ValueError:
        return None
    uris = answer.get("uris") if isinstance(answer, dict) else None
    return uris if isinstance(uris, list) and all(isinstance(uri, str) for uri in uris) else None
