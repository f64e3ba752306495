"""The plain feed, for a Backstage without a plugin: `catalog.locations: [{type: url, target: …/catalog-info.yaml}]`.

`/catalog-info.yaml` is a Location (Backstage, "Descriptor Format of Catalog Entities") whose targets are one
`catalog-info.yaml` for each document: a Resource for the model, and a Component and an API for its server, with the
same names as the first-generation reader uses. No plugin converts these entities, so they contain everything that is
known. Each YAML document is written as JSON, which is valid YAML.
"""

import re
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from common import backstage, identity
from common.annotations import CARD_ANNOTATION, TECHDOCS_REF
from common.catalog_info import API_VERSION, FILE_NAME, access_tag, render
from common.http.problems import HttpProblem
from services.location import annotations, calls
from services.location.definitions import definition
from services.location.delivery import Entry
from services.location.documentation import BRANCH
from services.location.first_generation import Index, raw_path
from services.location.rendering import RenderCache, RenderOptions, read, require_complete
from services.location.shelf import Shelf
from services.location.view import SECOND_CARD_ANNOTATION, View, opens, tags_of

YAML: Final = "application/yaml"

_TYPES_OF_LINKS = {"catalog": "registry", "dashboard": "dashboard", "docs": "documentation", "help": "documentation"}
"""The type of a link (Backstage: metadata.links) by its icon."""


def add_routes(app: web.Application, shelf: Shelf, answers: RenderCache) -> None:
    """Add `/catalog-info.yaml` and the `catalog-info.yaml` of each document."""
    options = answers.options
    index = Index(shelf, render_location, media_type=YAML)

    async def location(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_uri(raw_path(request).removesuffix(FILE_NAME) + identity.DOCUMENT_NAME)
        if entry is None:
            raise HttpProblem(404, f"no document has this path; GET /{FILE_NAME} lists them all")
        return answers.answer(
            request,
            f"plain {entry.key}",
            (entry.document.etag, entry.details),
            lambda: render(entities_of(entry, options)),
            YAML,
        )

    app.router.add_get(f"/{FILE_NAME}", location)
    app.router.add_get(f"/{{model}}/{{version}}/{FILE_NAME}", document)


def render_location(entries: Iterable[Entry]) -> bytes:
    """Return the Location that names every document."""
    targets = [f".{entry.uri.removesuffix(identity.DOCUMENT_NAME)}{FILE_NAME}" for entry in entries]
    return render(
        [
            {
                "apiVersion": API_VERSION,
                "kind": "Location",
                "metadata": {"name": "openshift-ai-models", "description": "AI models of OpenShift AI"},
                "spec": {"type": "url", "targets": targets},
            }
        ]
    )


def entities_of(entry: Entry, options: RenderOptions) -> list[dict[str, Any]]:
    """Return the Resource of each model, and the Component and the API of its server."""
    document, views = read(entry)
    part = document.get("modelServer")
    docs = techdocs(entry, views[0], options)
    server = _name(part) if part else ""
    entities = [
        _resource(model, view, server=server, docs=docs, options=options)
        for model, view in zip(document["models"], views, strict=True)
    ]
    if part:
        entities.append(_component(part, views, docs=docs))
        if part.get("API"):
            entities.append(_api(part, views[0], docs_entity=f"resource:default/{views[0].name}"))
    return entities


def techdocs(entry: Entry, view: View, options: RenderOptions) -> str:
    """Return where TechDocs reads about the model: the address that its owner named, else the tree made of its card."""
    address = view.techdocs or options.trees_url + entry.uri.removesuffix(f"/{identity.DOCUMENT_NAME}")
    return f"url:{address}" if view.techdocs else f"url:{address}/src/branch/{BRANCH}"


def _resource(model: dict[str, Any], view: View, *, server: str, docs: str, options: RenderOptions) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "ai-model", "lifecycle": view.lifecycle, "owner": view.owner}
    if server:
        spec["dependencyOf"] = [f"component:{server}"]
        if options.both_feeds and view.server:
            spec["dependencyOf"].append(f"aimodelserverapi:default/{server}")
    return _entity(
        "Resource",
        view,
        name=view.name,
        title=view.version_title,
        annotations={TECHDOCS_REF: docs, **annotations.of_model(view), **_own(model)},
        tags=tags_of(model, *view.tags),
        links=_links(view),
        spec=spec,
    )


def _component(part: dict[str, Any], views: tuple[View, ...], *, docs: str) -> dict[str, Any]:
    view = views[0]
    api = part.get("API") or {}
    spec: dict[str, Any] = {"type": "model-server", "lifecycle": view.lifecycle, "owner": _owner(part, view)}
    spec["dependsOn"] = [f"resource:{each.name}" for each in views]
    if api:
        spec["providesApis"] = [_name(part)]
    ours = annotations.of_server(view, view.server) if view.server else {}
    return _entity(
        "Component",
        view,
        name=_name(part),
        title=view.title,
        about=part.get("description", ""),
        annotations={TECHDOCS_REF: docs, **ours, **_own(api, part)},
        tags=[*tags_of(part, *view.tags), access_tag(part)],
        links=_links(view),
        spec=spec,
    )


def _api(part: dict[str, Any], view: View, *, docs_entity: str) -> dict[str, Any]:
    api_type, text = definition(view, view.server) if view.server else (part["API"].get("type"), "")
    spec = {"type": api_type, "lifecycle": view.lifecycle, "owner": _owner(part, view), "definition": text}
    return _entity(
        "API",
        view,
        name=_name(part),
        title=f"{view.title} API",
        annotations={"backstage.io/techdocs-entity": docs_entity, **annotations.of_model(view)},
        tags=[*tags_of(part["API"], *view.tags), access_tag(part)],
        links=_links(view),
        spec=spec,
    )


def _entity(
    kind: str,
    view: View,
    *,
    name: str,
    title: str,
    about: str = "",
    annotations: dict[str, str],
    tags: list[str],
    links: list[dict[str, str]],
    spec: dict[str, Any],
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "name": name,
        "title": title if view.has_title else "",
        "description": calls.describe(view, about),
        "annotations": annotations,
        "tags": list(dict.fromkeys(tags)),
        "links": links,
    }
    spec |= {"system": view.system} if view.system else {}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {field: value for field, value in metadata.items() if value},
        "spec": {field: value for field, value in spec.items() if value},
    }


def _links(view: View) -> list[dict[str, str]]:
    """Return the links of an entity; Backstage rejects an entity with a link that a browser cannot open."""
    links = [
        {"url": link.url, "title": link.title, "icon": link.icon, "type": _TYPES_OF_LINKS.get(link.icon, "")}
        for link in view.links
    ]
    if view.server and opens(view.server.url):
        links.append({"url": view.server.url, "title": "API", "icon": "web", "type": "api"})
    return [{field: value for field, value in link.items() if value} for link in links]


def _name(part: dict[str, Any]) -> str:
    return re.sub(r"\s+", "", part["name"])


def _owner(part: dict[str, Any], view: View) -> str:
    return view.details.owner or f"user:{part.get('owner') or 'unknown'}"


def _own(*parts: dict[str, Any]) -> dict[str, str]:
    """Return the annotations in the document, except those that name the documentation."""
    return {
        key: value
        for part in parts
        for key, value in part.get("annotations", {}).items()
        if key not in (CARD_ANNOTATION, SECOND_CARD_ANNOTATION) and backstage.is_annotation_key(key)
    }
