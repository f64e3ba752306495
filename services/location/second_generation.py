"""The second-generation feed, for plugin 1.x (Red Hat Developer Hub 1.10 and later).

The plugin finds the connector through Backstage's `discovery.endpoints`, whose target
`http://localhost:9090/api/{{pluginId}}` is the base of `/list`, `/models/<key>` and `/modelcard/…`. The annotation
`techdocs` holds the address of a model's card; a value that starts with `/` is relative to that base.

The plugin makes one `AiModelServerAPI` of each document: the models' names become the names to call, the API's URL the
base URL for clients, and the server's annotations `rhdh.io/…` fields of the spec.
"""

from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from aiohttp import web

from common.annotations import CARD_ANNOTATION
from common.http.problems import HttpProblem
from services.location import annotations
from services.location.delivery import Entry
from services.location.documentation import Documentation
from services.location.first_generation import Index, render_model, render_server, render_uris
from services.location.rendering import RenderCache, RenderOptions, encode, read, require_complete
from services.location.shelf import Shelf
from services.location.view import SECOND_CARD_ANNOTATION, View, is_own_card


def base_path(connector_id: str) -> str:
    """Return the base path of the feed for `connector_id`."""
    return f"/api/{connector_id}/"


def add_routes(
    app: web.Application, shelf: Shelf, documentation: Documentation, connector_id: str, answers: RenderCache
) -> None:
    """Add the routes of one connector id."""
    options = answers.options
    index = Index(shelf, lambda entries: render_uris(sorted(entry.key for entry in entries)))

    async def list_keys(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_key(request.match_info["key"])
        if entry is None:
            raise HttpProblem(404, "no document has this key; GET .../list lists them all")
        inputs = (entry.document.etag, entry.details)
        return answers.answer(request, f"second {entry.key}", inputs, lambda: render_document(entry, options))

    async def card(request: web.Request) -> web.Response:
        return await documentation.answer(request, request.query.get("key") or request.match_info["key"])

    base = base_path(connector_id)
    app.router.add_get(f"{base}list", list_keys)
    app.router.add_get(base + "models/{key}", document)
    app.router.add_get(base + "modelcard/{key}", card)


def render_document(entry: Entry, options: RenderOptions) -> bytes:
    """Return the document as the second-generation reader shows most of it."""
    document, views = read(entry)
    models = [_models(model, view) for model, view in zip(document["models"], views, strict=True)]
    document["models"] = [model for several in models for model in several]
    if document.get("modelServer"):
        document["modelServer"] = _server(document["modelServer"], views, options)
    return encode(document)


def _models(model: dict[str, Any], view: View) -> list[dict[str, Any]]:
    """Return the model once for each name that its server answers to; a model without a server once."""
    own = model.get("annotations", {})
    card = {CARD_ANNOTATION: own[CARD_ANNOTATION]} if own.get(CARD_ANNOTATION) else {}
    rendered = render_model(model, view, card="")
    del rendered["annotations"][CARD_ANNOTATION]
    rendered["annotations"] |= card | {SECOND_CARD_ANNOTATION: _card(own, view)}
    names = view.server.names if view.server else (model["name"],)
    return [{**rendered, "name": name} for name in names]


def _server(part: dict[str, Any], views: tuple[View, ...], options: RenderOptions) -> dict[str, Any]:
    view = views[0]
    rendered = render_server(part, view)
    if view.server:
        rendered["API"]["url"] = view.server.base_url
        if options.both_feeds:
            own = {"rhdh.io/api-entity-ref": f"api:default/{view.server.name}"}
            rendered["annotations"] = own | rendered["annotations"]
    return rendered


def _card(own: dict[str, str], view: View) -> str:
    """Return where the model's card is: the owner's address, else our path, relative to the base."""
    if view.readme:
        return f"/modelcard/entry?{annotations.card_query(view)}"
    if own.get(SECOND_CARD_ANNOTATION):
        return own[SECOND_CARD_ANNOTATION]
    stored = own.get(CARD_ANNOTATION, "")
    if is_own_card(stored):
        keys = parse_qs(urlsplit(stored).query).get("key")
        if keys:
            return f"/modelcard/{quote(keys[0], safe='')}"
    return stored or f"/modelcard/entry?{annotations.card_query(view)}"
