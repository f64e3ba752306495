"""The feed for a Backstage without any plugin: `catalog.locations: [{type: url, target: …/catalog-info.yaml}]`.

`/catalog-info.yaml` is a Location (Backstage, "Descriptor Format of Catalog Entities") whose targets are one
`catalog-info.yaml` for each document, with the entities that the first-generation reader would make of it. Every YAML
document is written as JSON, which is YAML too.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from aiohttp import web

from common import backstage, identity
from common.http.problems import HttpProblem
from services.location.delivery import Entry
from services.location.first_generation import Index, raw_path, require_complete
from services.location.pages import Page
from services.location.shelf import Shelf

YAML: Final = "application/yaml"
FILE_NAME: Final = "catalog-info.yaml"
API_VERSION: Final = "backstage.io/v1alpha1"

_BLANKS = re.compile(r"\s+")
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""What JSON may hold as it is, and YAML 1.2 only as an escape (5.1, character set)."""


def add_routes(app: web.Application, shelf: Shelf) -> None:
    """Add `/catalog-info.yaml` and the one of each document."""
    index = Index(shelf, render_location, media_type=YAML)

    async def location(request: web.Request) -> web.Response:
        require_complete(shelf)
        return index.page().answer(request)

    async def document(request: web.Request) -> web.Response:
        require_complete(shelf)
        entry = shelf.at_uri(raw_path(request).removesuffix(FILE_NAME) + identity.DOCUMENT_NAME)
        if entry is None:
            raise HttpProblem(404, f"no document is served under this path; GET /{FILE_NAME} names all that are")
        return Page(render(entities_of(json.loads(entry.document.body))), YAML).answer(request)

    app.router.add_get(f"/{FILE_NAME}", location)
    app.router.add_get(f"/{{model}}/{{version}}/{FILE_NAME}", document)


def render(entities: Iterable[dict[str, Any]]) -> bytes:
    """Return entities as YAML documents."""
    texts = (json.dumps(entity, ensure_ascii=False, indent=2) for entity in entities)
    printable = (_NOT_PRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) for text in texts)
    return "".join(f"---\n{text}\n" for text in printable).encode()


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


def entities_of(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the Resource of each model, and the Component and the API of its server."""
    server = document.get("modelServer")
    entities = [_resource(model, server) for model in document["models"]]
    if server:
        access = "auth-required" if server.get("authentication") else "auth-not-required"
        entities.append(_component(server, document["models"], access))
        if server.get("API"):
            entities.append(_api(server, access))
    return entities


def _resource(model: dict[str, Any], server: dict[str, Any] | None) -> dict[str, Any]:
    links = {
        "Artifact Location": model.get("artifactLocationURL"),
        "How to use": model.get("howToUseURL"),
        "License": model.get("license"),
    }
    spec: dict[str, Any] = {"type": "ai-model", "owner": _owner(model)}
    if server:
        spec["dependencyOf"] = [f"component:{_name(server)}"]
    return _entity("Resource", model, annotations=_annotations(model), tags=_tags(model), links=links, spec=spec)


def _component(server: dict[str, Any], models: list[dict[str, Any]], access: str) -> dict[str, Any]:
    api = server.get("API") or {}
    spec: dict[str, Any] = {"type": "model-server", "lifecycle": server.get("lifecycle"), "owner": _owner(server)}
    spec["dependsOn"] = [f"resource:{_name(model)}" for model in models]
    if api:
        spec["providesApis"] = [_name(server)]
    return _entity(
        "Component",
        server,
        annotations=_annotations(api, server),
        tags=[*_tags(server), access],
        links={"API": api.get("url"), "Homepage": server.get("homepageURL")},
        spec=spec,
    )


def _api(server: dict[str, Any], access: str) -> dict[str, Any]:
    api = server["API"]
    spec = {
        "type": api.get("type"),
        "lifecycle": server.get("lifecycle"),
        "owner": _owner(server),
        "definition": api.get("spec"),
    }
    named = {"name": server["name"]}
    return _entity("API", named, tags=[*_tags(api), access], links={"API": api.get("url")}, spec=spec)


def _entity(
    kind: str,
    named: dict[str, Any],
    *,
    tags: list[str],
    links: dict[str, str | None],
    spec: dict[str, Any],
    annotations: dict[str, str] | None = None,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": _name(named)}
    if named.get("description"):
        metadata["description"] = named["description"]
    if annotations:
        metadata["annotations"] = annotations
    metadata["tags"] = list(dict.fromkeys(tags))
    # One link that is none costs the whole entity.
    metadata["links"] = [{"title": title, "url": url} for title, url in links.items() if url and backstage.is_link(url)]
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _name(part: dict[str, Any]) -> str:
    return _BLANKS.sub("", part["name"])


def _owner(part: dict[str, Any]) -> str:
    return f"user:{part.get('owner') or 'unknown'}"


def _tags(part: dict[str, Any]) -> list[str]:
    tags = (_BLANKS.sub("", tag) for tag in part.get("tags", ()))
    return [tag for tag in tags if backstage.is_tag(tag)]


def _annotations(*parts: dict[str, Any]) -> dict[str, str]:
    annotations: dict[str, str] = {}
    for part in parts:
        for key, value in part.get("annotations", {}).items():
            if key == "TechDocs":
                annotations["backstage.io/techdocs-ref"] = f"url:{value}"
            elif backstage.is_annotation_key(key):
                annotations[key] = value
    return annotations
