"""Documentation of models for TechDocs: one page for the readers of the plugins, a tree for a plain Backstage.

A plain Backstage reads trees through its Gitea integration, which asks for the latest commit of a branch and, when that
is another than the last time, for an archive of it. The commit is the digest of what the documentation is made of.
Cards are polished in a thread, one at a time: a large one takes seconds, in which the feed is served on.
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
from services.location.rendering import GZIP, Rendered, read, require_complete, stamp
from services.location.shelf import Shelf
from services.location.view import View

BRANCH: Final = "main"
"""The branch under which a plain Backstage asks for the documentation of a model."""
ARCHIVE: Final = f"{BRANCH}.tar.gz"
_MOST_VERSIONS = 100


_NOTHING = Fetched()


@dataclass(frozen=True, slots=True)
class _Card:
    """A card as it is found for some entries: on the shelf, or elsewhere."""

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
        return f"<{self.readme}> is one Markdown file. {self.fetched.fault}" if self.fetched.fault else ""


class Documentation:
    """The documentation of what is on the shelf; `fetcher` brings what people keep elsewhere."""

    def __init__(self, shelf: Shelf, rendered: Rendered, fetcher: CardFetcher) -> None:
        self._shelf = shelf
        self._rendered = rendered
        self._fetcher = fetcher
        self._turn = asyncio.Lock()

    async def answer(self, request: web.Request, key: str | None) -> web.Response:
        """Answer a request for a page, of the card `key` or of the entry that its query names.

        Raises:
            HttpProblem: 404 when there is none, 503 as long as nobody can know that.
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
            raise HttpProblem(404, "there is no model card with this key, and no entry")
        if shelved is not None and request.query.get("raw") == "true":
            return shelved.answer(request)
        card = _Card(shelved) if shelved else await self._card(entries[0])

        def make() -> bytes:
            # The Markdown parser and the sanitiser are loaded with the first page: many locations serve none.
            from services.location.cards.page import Source, single_page

            source = Source(card.text, card.fetched.address, card.note)
            return single_page([_view(entry) for entry in entries], source).encode()

        name = f"page {request.query.get('entry', '')} {key}"
        return await self._slowly(request, name, self._inputs(entries, card), make, MARKDOWN)

    async def commit(self, entry: Entry) -> str:
        """Return the digest of what the tree of an entry is made of, as 40 hexadecimal digits."""
        inputs = self._inputs([entry, *self._versions(entry)], await self._card(entry))
        return stamp(*inputs, options=self._rendered.options)

    async def archive(self, request: web.Request, entry: Entry) -> web.Response:
        """Answer a request for the archive of an entry's tree."""
        card, versions = await self._card(entry), self._versions(entry)

        def make() -> bytes:
            from services.location.cards.page import Source
            from services.location.cards.tree import archive, tree

            source = Source(card.text, card.fetched.address, card.note)
            files = tree(_view(entry), source, [_view(version) for version in versions])
            return archive(files, folder=entry.uri.split("/")[2])

        inputs = self._inputs([entry, *versions], card)
        return await self._slowly(request, f"tree {entry.key}", inputs, make, GZIP)

    async def _slowly(
        self,
        request: web.Request,
        key: str,
        inputs: Sequence[str | bytes],
        make: Callable[[], bytes],
        media_type: str,
    ) -> web.Response:
        kept = self._rendered.kept(request, key, inputs)
        if kept is not None:
            return kept
        async with self._turn:
            body = await asyncio.to_thread(make)
        return self._rendered.answer(request, key, inputs, lambda: body, media_type)

    def _inputs(self, entries: Sequence[Entry], card: _Card) -> Sequence[str | bytes]:
        stored = [part for entry in entries for part in (entry.uri, entry.document.etag, entry.details)]
        return [*stored, card.stamp]

    async def _card(self, entry: Entry) -> _Card:
        page = self._shelf.card(entry.card_key) if entry.card_key else None
        readme = "" if page else _view(entry).readme
        return _Card(page, await self._fetcher.card(readme), readme) if readme else _Card(page)

    def _versions(self, entry: Entry) -> list[Entry]:
        """Return the entries of the same registered model; their paths begin with the same segment."""
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
    """Add what Backstage's Gitea integration asks for, for each entry."""

    def entry_at(owner: str, repository: str) -> Entry:
        require_complete(shelf)
        entry = shelf.at_uri(f"/{owner}/{repository}/{identity.DOCUMENT_NAME}")
        if entry is None:
            raise HttpProblem(404, "no model is served under this path; GET /catalog-info.yaml names all that are")
        return entry

    async def commit(request: web.Request) -> web.Response:
        entry = entry_at(request.match_info["owner"], request.match_info["repository"])
        _require(request.match_info["ref"] == BRANCH, f"the documentation of a model has one branch, {BRANCH}")
        return Page(json.dumps({"sha": await documentation.commit(entry)}).encode(), JSON).answer(request)

    async def archive(request: web.Request) -> web.Response:
        entry = entry_at(request.match_info["owner"], request.match_info["repository"])
        _require(request.match_info["archive"] == ARCHIVE, f"the documentation of a model has one archive, {ARCHIVE}")
        return await documentation.archive(request, entry)

    api = "/api/v1/repos/{owner}/{repository}"
    app.router.add_get(api + "/git/commits/{ref}", commit)
    app.router.add_get(api + "/archive/{archive}", archive)
    app.router.add_get("/{owner}/{repository}/archive/{archive}", archive)


def _require(fits: bool, otherwise: str) -> None:
    if not fits:
        raise HttpProblem(404, otherwise)


def _view(entry: Entry) -> View:
    _, (view, *_) = read(entry)
    return view
