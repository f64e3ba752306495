"""The first-generation feed, for the plugin of Red Hat Developer Hub 1.8 and 1.9 and its TechDocs reader.

The plugin shows little more than the document itself, so the document gets what a developer needs: how to call the
model in the description, a definition if there is none, and on the server the annotations that the plugin copies to the
Component.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from common import catalog_info, identity
from common.annotations import CARD_ANNOTATION, TECHDOCS_REF
from common.http.problems import HttpProblem
from services.location import annotations, calls
from services.location.definitions import definition
from services.location.delivery import Entry
from services.location.documentation import Documentation
from services.location.pages import JSON, Page
from services.location.rendering import RenderCache, RenderOptions, encode, read, require_complete
from services.location.shelf import Shelf
from services.location.view import View, tags_of

FORM, STORED = "form", "stored"
"""The query `form=stored` requests the document as it is stored; `connector preview --diff` compares with it."""


class Index:
    """An answer that lists all entries; it is rendered again only after entries were added, removed or moved."""

    def __init__(self, shelf: Shelf, render: Callable[[Iterable[Entry]], bytes], *, media_type: str = JSON) -> None:
        self._shelf = shelf
        self._render = render
        self._media_type = media_type
        self._membership = -1
        self._page = Page(b"")

    def page(self) -> Page:
        """Return the answer for the entries that are on the shelf now."""
        if self._membership != self._shelf.membership:
            self._page = Page(self._render(self._shelf.entries()), self._media_type)
            self._membership = self._shelf.membership
        return self._page


def render_uris(uris: Iterable[str]) -> bytes:
    """Return the body of a list: both generations read `{"uris": […]}`, and both fail on null."""
    return json.dumps({"uris": list(uris)}, separators=(",", ":")).encode()


def raw_path(request: web.Request) -> str:
    """Return the path as it was sent, without decoding and without the query."""
    return request.raw_path.partition("?")[0]


def add_routes(app: web.Application, shelf: Shelf, documentation: Documentation, answers: RenderCache) -> None:
    """Add `/list`, the documents and `/modelcard`."""
    options = answers.options
    index = Index(shelf, lambda entries: render_uris(_listed(entry, options) for entry in entries))

    async def list_uris(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_uri(raw_path(request))
        if entry is None:
            raise HttpProblem(404, "no document has this path; GET /list lists them all")
        if request.query.get(FORM) == STORED:
            return entry.document.answer(request)
        inputs = (entry.document.etag, entry.details)
        return answers.answer(request, f"first {entry.key}", inputs, lambda: render_document(entry, options))

    async def card(request: web.Request) -> web.Response:
        key = request.match_info.get("key") or request.query.get("key")
        if not key and "entry" not in request.query:
            raise HttpProblem(400, "the key of the model card is missing: GET /modelcard?key=KEY")
        return await documentation.answer(request, key)

    app.router.add_get("/list", list_uris)
    app.router.add_get("/{model}/{version}/model-catalog.json", document)
    app.router.add_get("/modelcard", card)
    app.router.add_get("/modelcard/{key}", card)


def _listed(entry: Entry, options: RenderOptions) -> str:
    return entry.uri.removesuffix(identity.DOCUMENT_NAME) + catalog_info.FILE_NAME if options.yaml else entry.uri


def render_document(entry: Entry, options: RenderOptions) -> bytes:
    """Return the document as the first-generation reader shows most of it."""
    document, views = read(entry)
    document["models"] = [
        render_model(model, view, card=_card(model, view, options))
        for model, view in zip(document["models"], views, strict=True)
    ]
    if document.get("modelServer"):
        server = render_server(document["modelServer"], views[0])
        card = document["models"][0]["annotations"][CARD_ANNOTATION]
        server["annotations"] = {TECHDOCS_REF: f"url:{card}", **server["annotations"]}
        document["modelServer"] = server
    return encode(document)


def render_model(model: dict[str, Any], view: View, *, card: str) -> dict[str, Any]:
    """Return a document's model with added description, tags, and annotations for links."""
    rendered = {
        **model,
        "description": calls.describe(view),
        "annotations": {**annotations.of_model(view), **model.get("annotations", {}), CARD_ANNOTATION: card},
    }
    return rendered | _tags(model, view)


def render_server(part: dict[str, Any], view: View) -> dict[str, Any]:
    """Return a document's server with added description, tags, API definition, and annotations for links."""
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


def _card(model: dict[str, Any], view: View, options: RenderOptions) -> str:
    """Return the address of the model's card: the one stored, the owner's, or the page made of its facts."""
    stored = "" if view.readme else model.get("annotations", {}).get(CARD_ANNOTATION)
    return stored or view.techdocs or f"{options.base_url}/modelcard?{annotations.card_query(view)}"
