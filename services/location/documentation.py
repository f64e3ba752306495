"""Serves the documentation of models to TechDocs: one page for the plugins' readers, a tree for a plain Backstage.

A plain Backstage reads a tree through its Gitea integration: it requests the latest commit of a branch and, if that has
changed, an archive. Here the commit is a digest of everything that the documentation is made of. Cards are converted in
a thread, one at a time: a large card takes seconds, and the feed must be served meanwhile.
"""

import asyncio
import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from common import details, identity
from common.http.problems import HttpProblem
from services.location.delivery import Entry
from services.location.fetching import CardFetcher, Fetched
from services.location.pages import JSON, MARKDOWN, Page
from services.location.rendering import GZIP, RenderCache, read, require_complete, stamp
from services.location.shelf import Shelf
from services.location.view import View

BRANCH: Final = "main"
"""The branch that a plain Backstage reads."""
ARCHIVE: Final = f"{BRANCH}.tar.gz"
_MOST_VERSIONS = 100


_NOTHING = Fetched()


@dataclass(frozen=True, slots=True)
class _CardSource:
    """The card of some entries: a page on the shelf, or fetched from `readme`."""

    page: Page | None = None
    fetched: Fetched = _NOTHING
    readme: str = ""

    @property
    def stamp(self) -> str:
        return self.page.etag if self.page else f"{self.readme} {self.fetched.text} {self.fetched.fault}"

    @property
    def text(self) -> str:
        return self.page.body.decode() if self.page else self.fetched.text

    @property
    def note(self) -> str:
        return f"<{self.readme}> is a single Markdown file. {self.fetched.fault}" if self.fetched.fault else ""


class Documentation:
    """The documentation of the entries on the shelf; `fetcher` reads cards from other hosts."""

    def __init__(self, shelf: Shelf, answers: RenderCache, fetcher: CardFetcher) -> None:
        self._shelf = shelf
        self._answers = answers
        self._fetcher = fetcher
        self._turn = asyncio.Lock()

    async def answer(self, request: web.Request, key: str | None) -> web.Response:
        """Return the page of the card `key`, or of the entry that the query names.

        Raises:
            HttpProblem: 404 if there is none, 503 while the feed is not complete.
        """
        require_complete(self._shelf)
        if "entry" in request.query:
            entry = self._shelf.at_key(request.query["entry"])
            entries = [entry] if entry else []
            key = entry.card_key if entry else ""
        else:
            entries = [entry for entry in self._shelf.entries() if key and entry.card_key == key]
        shelved = self._shelf.card(key) if key else None
        if shelved is None and not entries:
            raise HttpProblem(404, "no model card and no entry has this key")
        if shelved is not None and request.query.get("raw") == "true":
            return shelved.answer(request)
        card = _CardSource(shelved) if shelved else await self._card(entries[0])

        def make() -> bytes:
            # The Markdown parser and the sanitiser are imported with the first page: many locations never need them.
            from services.location.cards.page import CardContent, single_page

            content = CardContent(card.text, card.fetched.address, card.note)
            return single_page([_view(entry) for entry in entries], content).encode()

        name = f"page {request.query.get('entry', '')} {key}"
        return await self._in_thread(request, name, self._inputs(entries, card), make, MARKDOWN)

    async def commit(self, entry: Entry) -> str:
        """Return the digest of everything in an entry's tree, as 40 hexadecimal digits."""
        inputs = self._inputs([entry, *self._versions(entry)], await self._card(entry))
        return stamp(*inputs, options=self._answers.options)

    async def archive(self, request: web.Request, entry: Entry) -> web.Response:
        """Return the archive of an entry's tree."""
        card, versions = await self._card(entry), self._versions(entry)

        def make() -> bytes:
            from services.location.cards.page import CardContent
            from services.location.cards.tree import archive, tree

            content = CardContent(card.text, card.fetched.address, card.note)
            files = tree(_view(entry), content, [_view(version) for version in versions])
            return archive(files, folder=entry.uri.split("/")[2])

        inputs = self._inputs([entry, *versions], card)
        return await self._in_thread(request, f"tree {entry.key}", inputs, make, GZIP)

    async def _in_thread(
        self,
        request: web.Request,
        key: str,
        inputs: Sequence[str | bytes],
        make: Callable[[], bytes],
        media_type: str,
    ) -> web.Response:
        kept = self._answers.kept(request, key, inputs)
        if kept is not None:
            return kept
        async with self._turn:
            body = await asyncio.to_thread(make)
        return self._answers.answer(request, key, inputs, lambda: body, media_type)

    def _inputs(self, entries: Sequence[Entry], card: _CardSource) -> Sequence[str | bytes]:
        stored = [part for entry in entries for part in (entry.uri, entry.document.etag, entry.details)]
        return [*stored, card.stamp]

    async def _card(self, entry: Entry) -> _CardSource:
        page = self._shelf.card(entry.card_key) if entry.card_key else None
        readme = "" if page else _view(entry).readme
        return _CardSource(page, await self._fetcher.card(readme), readme) if readme else _CardSource(page)

    def _versions(self, entry: Entry) -> list[Entry]:
        """Return the entries of the same registered model, whose paths begin with the same segment."""
        own = details.decode(entry.details)
        if not (own.registry and own.model):
            return []
        entries = self._shelf.entries()
        prefix = f"/{entry.uri.split('/')[1]}/"
        versions: list[Entry] = []
        for other in entries[bisect_left(entries, prefix, key=lambda each: each.uri) :]:
            if not other.uri.startswith(prefix) or len(versions) >= _MOST_VERSIONS:
                break
            theirs = details.decode(other.details)
            if (theirs.registry, theirs.model) == (own.registry, own.model):
                versions.append(other)
        return versions


def add_routes(app: web.Application, shelf: Shelf, documentation: Documentation) -> None:
    """Add the routes that Backstage's Gitea integration requests."""

    def entry_at(owner: str, repository: str) -> Entry:
        require_complete(shelf)
        entry = shelf.at_uri(f"/{owner}/{repository}/{identity.DOCUMENT_NAME}")
        if entry is None:
            raise HttpProblem(404, "no model has this path; GET /catalog-info.yaml lists them all")
        return entry

    async def commit(request: web.Request) -> web.Response:
        entry = entry_at(request.match_info["owner"], request.match_info["repository"])
        _require(request.match_info["ref"] == BRANCH, f"the only branch of a model's documentation is {BRANCH}")
        return Page(json.dumps({"sha": await documentation.commit(entry)}).encode(), JSON).answer(request)

    async def archive(request: web.Request) -> web.Response:
        entry = entry_at(request.match_info["owner"], request.match_info["repository"])
        _require(request.match_info["archive"] == ARCHIVE, f"the only archive of a model's documentation is {ARCHIVE}")
        return await documentation.archive(request, entry)

    api = "/api/v1/repos/{owner}/{repository}"
    app.router.add_get(api + "/git/commits/{ref}", commit)
    app.router.add_get(api + "/archive/{archive}", archive)
    app.router.add_get("/{owner}/{repository}/archive/{archive}", archive)


def _require(condition: bool, detail: str) -> None:
    if not condition:
        raise HttpProblem(404, detail)


def _view(entry: Entry) -> View:
    _, (view, *_) = read(entry)
    return view
