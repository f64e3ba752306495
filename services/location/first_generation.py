"""The feed as the first-generation reader (Red Hat Developer Hub 1.8 and 1.9) and its TechDocs reader ask for it."""

import json
from collections.abc import Callable, Iterable

from aiohttp import web

from common.http.problems import HttpProblem
from services.location.delivery import Entry
from services.location.pages import JSON, Page
from services.location.shelf import Shelf

RETRY_AFTER = 5
"""Seconds after which a reader that was told to wait may ask again."""


def require_complete(shelf: Shelf) -> None:
    """Let a reader pass once the content is known to be complete.

    Raises:
        HttpProblem: 503 before, because the reader deletes whatever a short answer does not name.
    """
    if not shelf.complete:
        raise HttpProblem(
            503,
            f"the feed is not complete yet: waiting for {shelf.waiting_for}",
            headers={"Retry-After": str(RETRY_AFTER)},
            waitingFor=shelf.waiting_for,
        )


class Index:
    """An answer that names all entries, made again only after an entry came, went or moved."""

    def __init__(self, shelf: Shelf, render: Callable[[Iterable[Entry]], bytes], *, media_type: str = JSON) -> None:
        self._shelf = shelf
        self._render = render
        self._media_type = media_type
        self._membership = -1
        self._page = Page(b"")

    def page(self) -> Page:
        """Return the answer for what is on the shelf now."""
        if self._membership != self._shelf.membership:
            self._page = Page(self._render(self._shelf.entries()), self._media_type)
            self._membership = self._shelf.membership
        return self._page


def render_uris(uris: Iterable[str]) -> bytes:
    """Return the body of a list: both generations read `{"uris": […]}`, and neither survives a null."""
    return json.dumps({"uris": list(uris)}, separators=(",", ":")).encode()


def raw_path(request: web.Request) -> str:
    """Return the path as it was sent, without decoding and without the query."""
    return request.raw_path.partition("?")[0]


def add_routes(app: web.Application, shelf: Shelf) -> None:
    """Add `/list`, the documents and `/modelcard`."""
    index = Index(shelf, lambda entries: render_uris(entry.uri for entry in entries))

    async def list_uris(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_uri(raw_path(request))
        if entry is None:
            raise HttpProblem(404, "no document is served under this path; GET /list names all that are")
        return entry.document.answer(request)

    async def card(request: web.Request) -> web.Response:
        key = request.match_info.get("key") or request.query.get("key")
        if not key:
            raise HttpProblem(400, "which model card? expected /modelcard?key=KEY")
        return card_page(shelf, key).answer(request)

    app.router.add_get("/list", list_uris)
    app.router.add_get("/{model}/{version}/model-catalog.json", document)
    app.router.add_get("/modelcard", card)
    app.router.add_get("/modelcard/{key}", card)


def card_page(shelf: Shelf, key: str) -> Page:
    """Return a model card.

    Raises:
        HttpProblem: 404 when there is none, 503 as long as nobody can know that.
    """
    require_complete(shelf)
    page = shelf.card(key)
    if page is None:
        raise HttpProblem(404, "there is no model card with this key")
    return page
