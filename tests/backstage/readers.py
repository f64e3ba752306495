"""The three ways in which a Backstage reads the connector, as app-config."""

import hashlib
from collections.abc import Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

CONNECTOR_ID = "kserve-kubeflow-connector"
"""The plugin id that the second generation asks discovery for, and that its card reader wants to see in a path."""
FEED_IN_A_POD = "http://localhost:9090"
"""Where the feed is for a Backstage whose sidecar the connector is; addresses of model cards begin with it."""

_SCHEDULE = {
    "frequency": {"milliseconds": 500},
    "timeout": {"seconds": 60},
    "initialDelay": {"milliseconds": 1},
    "scope": "local",
}


class Reader(Enum):
    """Who reads the feed; the value selects the features of the backend, see `backend/index.js`."""

    FIRST_GENERATION = "first-generation"
    SECOND_GENERATION = "second-generation"
    PLAIN = "plain"


def configuration(reader: Reader, *, feed: str, port: int, token: str) -> Mapping[str, Any]:
    """Return the app-config of a backend on `port` that reads the location service at `feed` with `reader`."""
    base_url = f"http://127.0.0.1:{port}"
    return {
        "app": {"title": "Connector", "baseUrl": base_url},
        "backend": {
            "baseUrl": base_url,
            "listen": {"host": "127.0.0.1", "port": port},
            "database": {"client": "better-sqlite3", "connection": ":memory:"},
            "auth": {
                "externalAccess": [{"type": "static", "options": {"token": token, "subject": "tests"}}],
            },
            "reading": {"allow": [{"host": urlsplit(feed).netloc}]},
        },
        "events": {"useEventBus": "never"},
        "cards": {"pod": {"from": FEED_IN_A_POD, "to": feed}},
        **_reading(reader, feed),
    }


def round_begins(reader: Reader, feed: str) -> str:
    """Return how the backend's log message begins that announces a round of reading the feed."""
    match reader:
        case Reader.FIRST_GENERATION:
            return "Reading the feed"
        case Reader.SECOND_GENERATION:
            return "Discovering AiModelServerAPI"
        case Reader.PLAIN:
            target = hashlib.sha1(f"url:{feed}/catalog-info.yaml".encode(), usedforsecurity=False).hexdigest()
            return f"Processing location:default/generated-{target}"


def _reading(reader: Reader, feed: str) -> Mapping[str, Any]:
    match reader:
        case Reader.FIRST_GENERATION:
            provider = {"development": {"baseUrl": feed, "schedule": _SCHEDULE}}
            return {"catalog": _catalog(providers={"modelCatalog": provider})}
        case Reader.SECOND_GENERATION:
            provider = {CONNECTOR_ID: {"main": {"name": "connector"}, "schedule": _SCHEDULE}}
            endpoint = {"target": f"{feed}/api/{{{{pluginId}}}}", "plugins": [CONNECTOR_ID]}
            return {
                "discovery": {"endpoints": [endpoint]},
                "catalog": _catalog(providers={"modelCatalog": provider}),
            }
        case Reader.PLAIN:
            return {"catalog": _catalog(locations=[{"type": "url", "target": f"{feed}/catalog-info.yaml"}])}


def _catalog(**source: Any) -> Mapping[str, Any]:
    return {
        "rules": [{"allow": ["API", "AiModelServerAPI", "Component", "Group", "Location", "Resource", "User"]}],
        "processingInterval": {"seconds": 1},
        **source,
    }
