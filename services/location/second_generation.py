"""The feed as the second-generation reader (plugin 1.x, Red Hat Developer Hub 1.10 and later) asks for it.

It finds us by Backstage's `discovery.endpoints`, whose target `http://localhost:9090/api/{{pluginId}}` is the base of
`/list`, `/models/<key>` and `/modelcard/…`. A model's card is named by the annotation `techdocs`, where a value that
starts with `/` is taken relative to that base.
"""

import json
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from aiohttp import web

from common.http.problems import HttpProblem
from services.location.delivery import Entry
from services.location.first_generation import Index, card_page, render_uris, require_complete
from services.location.pages import Page
from services.location.shelf import Shelf

CARD_ANNOTATION = "TechDocs"
"""Where a document names the page with a model's card, for the first generation."""
OWN_ANNOTATION = "techdocs"


def base_path(connector_id: str) -> str:
    """Return the path below which the reader of `connector_id` asks."""
    return f"/api/{connector_id}/"


def add_routes(app: web.Application, shelf: Shelf, connector_id: str) -> None:
    """Add the routes of one connector id."""
    index = Index(shelf, lambda entries: render_uris(sorted(entry.key for entry in entries)))

    async def list_keys(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_key(request.match_info["key"])
        if entry is None:
            raise HttpProblem(404, "no document has this key; GET .../list names all that there are")
        return document_page(entry).answer(request)

    async def card(request: web.Request) -> web.Response:
        return card_page(shelf, request.query.get("key") or request.match_info["key"]).answer(request)

    base = base_path(connector_id)
    app.router.add_get(f"{base}list", list_keys)
    app.router.add_get(base + "models/{key}", document)
    app.router.add_get(base + "modelcard/{key}", card)


def document_page(entry: Entry) -> Page:
    """Return the document with the annotation that this generation looks for."""
    if CARD_ANNOTATION.encode() not in entry.document.body:
        return entry.document
    document = json.loads(entry.document.body)
    for model in document["models"]:
        _add_annotation(model.get("annotations", {}))
    return Page(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def _add_annotation(annotations: dict[str, Any]) -> None:
    page = annotations.get(CARD_ANNOTATION)
    if page and OWN_ANNOTATION not in annotations:
        annotations[OWN_ANNOTATION] = _relative(page)


def _relative(page: str) -> str:
    """The path of a card of ours, `/modelcard?key=…` on whatever host; another page stays what it is."""
    try:
        parts = urlsplit(page)
    except ValueError:
        return page
    keys = parse_qs(parts.query).get("key")
    if parts.path != "/modelcard" or not keys:
        return page
    return f"/modelcard/{quote(keys[0], safe='')}"
