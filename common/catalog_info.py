"""Converts documents between JsonArrayFormat and CatalogInfoYamlFormat, the entities of a `catalog-info.yaml`. No I/O.

A document in JsonArrayFormat becomes the entities that the first-generation reader would make of it: a Component for
the server, a Resource for each model, an API (Backstage, "Descriptor Format of Catalog Entities"). Each YAML document
is written as JSON, which is valid YAML.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from common import backstage, strict_json
from common.annotations import CARD_ANNOTATION, TECHDOCS_REF
from common.texts import parse_json, unicode

FILE_NAME: Final = "catalog-info.yaml"
API_VERSION: Final = "backstage.io/v1alpha1"

_URL: Final = "url:"
_ACCESS: Final = {True: "auth-required", False: "auth-not-required"}
_API, _ARTIFACT, _HOMEPAGE, _HOW_TO_USE, _LICENSE = "API", "Artifact Location", "Homepage", "How to use", "License"
_OF_MODEL: Final = {"artifactLocationURL": _ARTIFACT, "howToUseURL": _HOW_TO_USE, "license": _LICENSE}
_NO_DEFINITION: Final = "TBD"
_DEFAULT_LIFECYCLE: Final = "development"
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that need no escape in JSON but one in YAML 1.2 (5.1, character set)."""
_SEPARATOR = re.compile(rb"^---\s*$", re.MULTILINE)


def render(entities: Iterable[Mapping[str, Any]]) -> bytes:
    """Return entities as YAML documents."""
    return "".join(f"---\n{in_yaml(entity, indent=2)}\n" for entity in entities).encode()


def in_yaml(value: Any, *, indent: int | None = None) -> str:
    """Return a value as YAML, written like JSON."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _NOT_PRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def to_yaml(body: bytes) -> bytes:
    """Return a document in JsonArrayFormat as CatalogInfoYamlFormat."""
    return render(entities_of(strict_json.parse_object(body)))


def entities_of(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the entities of a document in JsonArrayFormat."""
    models, server = document["models"], document.get("modelServer")
    entities = []
    if server:
        entities.append(_component(server, models))
    entities += [_resource(model, server) for model in models]
    if server and server.get("API"):
        entities.append(_api_entity(server))
    return entities


def _resource(model: Mapping[str, Any], server: Mapping[str, Any] | None) -> dict[str, Any]:
    spec: dict[str, Any] = {"type": "ai-model", "owner": _owner(model), "lifecycle": _lifecycle(model)}
    if server:
        spec["dependencyOf"] = [f"component:{_name(server)}"]
    annotations = dict(model.get("annotations", {}))
    if card := annotations.pop(CARD_ANNOTATION, ""):
        annotations[TECHDOCS_REF] = f"{_URL}{card.strip()}"
    return _entity(
        "Resource",
        model,
        annotations=annotations,
        tags=model.get("tags", ()),
        links=[(title, model.get(field)) for field, title in _OF_MODEL.items()],
        spec=spec,
    )


def _component(server: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    api = server.get("API") or {}
    spec: dict[str, Any] = {"type": "model-server", "lifecycle": _lifecycle(server), "owner": _owner(server)}
    spec["dependsOn"] = [f"resource:{_name(model)}" for model in models]
    if api:
        spec["providesApis"] = [_name(server)]
    return _entity(
        "Component",
        server,
        annotations={**api.get("annotations", {}), **server.get("annotations", {})},
        tags=(*server.get("tags", ()), access_tag(server)),
        links=[(_API, api.get("url")), (_HOMEPAGE, server.get("homepageURL"))],
        spec=spec,
    )


def _api_entity(server: Mapping[str, Any]) -> dict[str, Any]:
    api = server["API"]
    spec = {
        "type": api.get("type") or "openapi",
        "lifecycle": _lifecycle(server),
        "owner": _owner(server),
        "definition": api.get("spec") or _NO_DEFINITION,
    }
    return _entity(
        "API",
        server,
        annotations=api.get("annotations", {}),
        tags=(*api.get("tags", ()), access_tag(server)),
        links=[(_API, api.get("url"))],
        spec=spec,
    )


def _entity(
    kind: str,
    part: Mapping[str, Any],
    *,
    annotations: Mapping[str, str],
    tags: Iterable[str],
    links: Iterable[tuple[str, str | None]],
    spec: dict[str, Any],
) -> dict[str, Any]:
    metadata = {
        "name": _name(part),
        "description": part.get("description", ""),
        "annotations": {key: value for key, value in annotations.items() if backstage.is_annotation_key(key)},
        "tags": list(dict.fromkeys(tag for tag in tags if backstage.is_tag(tag))),
        "links": [{"url": url, "title": title} for title, url in links if url and backstage.is_link(url)],
    }
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {field: value for field, value in metadata.items() if value},
        "spec": spec,
    }


def _name(part: Mapping[str, Any]) -> str:
    return re.sub(r"\s+", "", part["name"])


def _owner(part: Mapping[str, Any]) -> str:
    return f"user:{part.get('owner') or 'unknown'}"


def _lifecycle(part: Mapping[str, Any]) -> str:
    return part.get("lifecycle") or _DEFAULT_LIFECYCLE


def access_tag(server: Mapping[str, Any]) -> str:
    """Return the tag that says whether a server of a document asks for a token."""
    return _ACCESS[bool(server.get("authentication"))]


# --- the other direction, for documents written by an original normalizer


def document_of(body: bytes) -> bytes:
    """Return a document in JsonArrayFormat made of entities; anything else is returned unchanged."""
    if body.lstrip().startswith(b"{"):
        return body
    entities = [entity for entity in _parse(body) if isinstance(entity, Mapping)]
    by_kind = {
        kind: [each for each in entities if each.get("kind") == kind] for kind in ("Component", "Resource", "API")
    }
    if not by_kind["Resource"]:
        return body
    document: dict[str, Any] = {"models": [_model_of(entity) for entity in by_kind["Resource"]]}
    apis = [_api_of(entity) for entity in by_kind["API"]]
    if by_kind["Component"] and apis and apis[0]["url"]:
        document["modelServer"] = {**_server_of(by_kind["Component"][0]), "API": apis[0]}
    return unicode(json.dumps(document, ensure_ascii=False, separators=(",", ":"))).encode()


def _parse(body: bytes) -> Iterator[Any]:
    """Yield the YAML documents; the YAML parser is imported only if they are not written as JSON."""
    try:
        parts = [part for part in _SEPARATOR.split(body) if part.strip()]
        yield from [parse_json(part) for part in parts]
        return
    except ValueError:
        pass
    import yaml

    with suppress(yaml.YAMLError, ValueError, OverflowError, RecursionError):
        yield from list(yaml.safe_load_all(body))


def _common_of(entity: Mapping[str, Any]) -> dict[str, Any]:
    metadata, spec = _mapping(entity.get("metadata")), _mapping(entity.get("spec"))
    return {
        "name": _text(metadata.get("name")),
        "owner": _text(spec.get("owner")).removeprefix("user:"),
        "lifecycle": _text(spec.get("lifecycle")) or _DEFAULT_LIFECYCLE,
        "description": _text(metadata.get("description")),
    }


def _model_of(entity: Mapping[str, Any]) -> dict[str, Any]:
    links = _links_of(entity)
    first = next(iter(links.values()), "")
    found = {field: links.get(title, "") for field, title in _OF_MODEL.items()}
    if not any(found.values()):
        found["artifactLocationURL"] = first
    annotations = _annotations_of(entity)
    reference = annotations.pop(TECHDOCS_REF, "")
    if reference.startswith(_URL):
        annotations[CARD_ANNOTATION] = reference.removeprefix(_URL)
    optional = {**found, "tags": _tags_of(entity), "annotations": annotations}
    return {**_common_of(entity), **{field: value for field, value in optional.items() if value}}


def _server_of(entity: Mapping[str, Any]) -> dict[str, Any]:
    tags = _tags_of(entity)
    homepage = _links_of(entity).get(_HOMEPAGE, "")
    return {
        **_common_of(entity),
        "authentication": _ACCESS[True] in tags,
        **({"homepageURL": homepage} if homepage else {}),
        "tags": [tag for tag in tags if tag not in _ACCESS.values()],
        "annotations": {key: text for key, text in _annotations_of(entity).items() if key != TECHDOCS_REF},
    }


def _api_of(entity: Mapping[str, Any]) -> dict[str, Any]:
    spec, links = _mapping(entity.get("spec")), _links_of(entity)
    kind = _text(spec.get("type"))
    annotations = {key: text for key, text in _annotations_of(entity).items() if key != TECHDOCS_REF}
    return {
        **({"annotations": annotations} if annotations else {}),
        "url": links.get(_API) or next(iter(links.values()), ""),
        "type": kind if kind in ("openapi", "asyncapi", "graphql", "grpc") else "openapi",
        "spec": _text(spec.get("definition")) or _NO_DEFINITION,
        "tags": [tag for tag in _tags_of(entity) if tag not in _ACCESS.values()],
    }


def _links_of(entity: Mapping[str, Any]) -> dict[str, str]:
    links = _mapping(entity.get("metadata")).get("links")
    found = [link for link in links if isinstance(link, Mapping)] if isinstance(links, list) else []
    return {_text(link.get("title")): url for link in found if (url := _text(link.get("url")))}


def _tags_of(entity: Mapping[str, Any]) -> list[str]:
    tags = _mapping(entity.get("metadata")).get("tags")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _annotations_of(entity: Mapping[str, Any]) -> dict[str, str]:
    annotations = _mapping(_mapping(entity.get("metadata")).get("annotations"))
    return {key: text for key, text in annotations.items() if isinstance(key, str) and isinstance(text, str)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
