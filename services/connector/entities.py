"""The entities that readers make of a document, for the preview."""

import json
from collections.abc import Iterator
from typing import Any

from common.catalog_info import access_tag
from common.wire import Upsert

_OVERRIDES = ("system", "serverType", "default", "owner", "lifecycle", "api-entity-ref")


def entities_of(upsert: Upsert) -> Iterator[dict[str, Any]]:
    """Yield the entities of a document.

    These are the Resource, Component and API of a Backstage without a plugin (those of the first-generation plugin are
    similar), and the AiModelServerAPI of the second generation.
    """
    from services.location import plain, second_generation
    from services.location.delivery import make_entry
    from services.location.rendering import RenderOptions

    entry, options = make_entry(upsert), RenderOptions(both_feeds=True)
    yield from plain.entities_of(entry, options)
    yield from _server_entity(json.loads(second_generation.render_document(entry, options)))


def _server_entity(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the entity that the second-generation reader (1.1.0) makes of a document with a server."""
    server = document.get("modelServer")
    if not server or not server.get("API", {}).get("url"):
        return
    api, names = server["API"], [model["name"] for model in document["models"]]
    annotations = {**server.get("annotations", {}), **api.get("annotations", {})}
    overrides = {name: annotations.pop(f"rhdh.io/{name}", None) for name in _OVERRIDES}
    spec = {
        "type": "ai-model-server",
        "owner": f"user:{overrides['owner'] or server['owner']}",
        "lifecycle": overrides["lifecycle"] or server["lifecycle"],
        "system": overrides["system"],
        "serverType": overrides["serverType"] or api["type"],
        "serverUrl": api["url"],
        "requiresApiKey": server["authentication"],
        "apiEntityRef": overrides["api-entity-ref"],
        "models": {"available": names, "default": overrides["default"] or names[0]},
    }
    yield {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "AiModelServerAPI",
        "metadata": {
            "name": server["name"],
            "description": server["description"],
            "tags": [*server.get("tags", ()), access_tag(server)],
            "annotations": annotations,
        },
        "spec": {name: value for name, value in spec.items() if value is not None},
    }
