"""The feed as the first-generation reader (Red Hat Developer Hub 1.8 and 1.9) and its TechDocs reader ask for it.

The reader shows little more than what stands in a document, so what a developer needs is written where it looks: how
the model is called into the description, a definition where nobody gave one, and on the server the annotations that it
copies to the Component.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from common import catalog_info, identity
from common.annotations import CARD_ANNOTATION
from common.http.problems import HttpProblem
from services.location import annotations, calls
from services.location.definitions import definition
from services.location.delivery import Entry
from services.location.documentation import Documentation
from services.location.pages import JSON, Page
from services.location.rendering import Options, Rendered, encode, read, require_complete
from services.location.shelf import Shelf
from services.location.view import View, tags_of

FORM, STORED = "form", "stored"
"""Parameter and value that ask for a document as it is stored, which `connector preview --diff` compares with."""


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


def add_routes(app: web.Application, shelf: Shelf, documentation: Documentation, rendered: Rendered) -> None:
    """Add `/list`, the documents and `/modelcard`."""
    options = rendered.options
    index = Index(shelf, lambda entries: render_uris(_listed(entry, options) for entry in entries))

    async def list_uris(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_uri(raw_path(request))
        if entry is None:
            raise HttpProblem(404, "no document is served under this path; GET /list names all that are")
        if request.query.get(FORM) == STORED:
            return entry.document.answer(request)
        inputs = (entry.document.etag, entry.details)
        return rendered.answer(request, f"first {entry.key}", inputs, lambda: render_document(entry, options))

    async def card(request: web.Request) -> web.Response:
        key = request.match_info.get("key") or request.query.get("key")
        if not key and "entry" not in request.query:
            raise HttpProblem(400, "which model card? expected /modelcard?key=KEY")
        return await documentation.answer(request, key)

    app.router.add_get("/list", list_uris)
    app.router.add_get("/{model}/{version}/model-catalog.json", document)
    app.router.add_get("/modelcard", card)
    app.router.add_get("/modelcard/{key}", card)


def _listed(entry: Entry, options: Options) -> str:
    return entry.uri.removesuffix(identity.DOCUMENT_NAME) + catalog_info.FILE_NAME if options.yaml else entry.uri


def render_document(entry: Entry, options: Options) -> bytes:
    """Return the document as this generation's reader makes most of it."""
    document, views = read(entry)
    document["models"] = [
        render_model(model, view, card=_card(model, view, options))
        for model, view in zip(document["models"], views, strict=True)
    ]
    if document.get("modelServer"):
        server = render_server(document["modelServer"], views[0])
        card = document["models"][0]["annotations"][CARD_ANNOTATION]
        server["annotations"] = {annotations.TECHDOCS_REF: f"url:{card}", **server["annotations"]}
        document["modelServer"] = server
    return encode(document)


def render_model(model: dict[str, Any], view: View, *, card: str) -> dict[str, Any]:
    """Return a document's model with how it is called, what it can do, and where it is shown."""
    rendered = {
        **model,
        "description": calls.describe(view),
        "annotations": {**annotations.of_model(view), **model.get("annotations", {}), CARD_ANNOTATION: card},
    }
    return rendered | _tags(model, view)


def render_server(part: dict[str, Any], view: View) -> dict[str, Any]:
    """Return a document's server as that of `view`: how it is called, its definition, and where it is shown."""
    rendered = {
        **part,
        "description": calls.describe(view, part.get("description", "")),
        "annotations": dict(part.get("annotations", {})),
        **_tags(part, view),
    }
    if view.homepage:
        rendered["homepageURL"] = view.homepage
    if view.server:
        api = part["API"]
        api_type, text = definition(view, view.server)
        rendered["annotations"] = annotations.of_server(view, view.server) | rendered["annotations"]
        rendered["API"] = {**api, "type": api_type, "spec": text, **_tags(api, view)}
    return rendered


def _tags(part: dict[str, Any], view: View) -> dict[str, list[str]]:
    tags = tags_of(part, *view.tags)
    return {"tags": tags} if tags or "tags" in part else {}


def _card(model: dict[str, Any], view: View, options: Options) -> str:
    """Return the address of the model's card: people's own, the one stored, or the page made of its facts."""
    stored = "" if view.readme else model.get("annotations", {}).get(CARD_ANNOTATION)
    return stored or view.techdocs or f"{options.base_url}/modelcard?{annotations.card_query(view)}"
