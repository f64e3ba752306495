"""The ways in which a Backstage reads the connector: with the app-config that is shipped for each, as it is."""

import hashlib
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONNECTOR_ID = "kserve-kubeflow-connector"
"""The plugin id that the second generation asks discovery for, and that its card reader wants to see in a path."""
FEED_IN_A_POD = "http://localhost:9090"
"""Where the feed is for a Backstage whose sidecar the connector is; addresses of model cards begin with it."""
SHIPPED = Path(__file__).parents[2] / "deploy" / "app-config"

_SCHEDULE = {
    "frequency": {"seconds": 0, "milliseconds": 500},  # configurations are merged: the shipped seconds would be added
    "timeout": {"seconds": 60},
    "initialDelay": {"milliseconds": 1},
    "scope": "local",
}


class Reader(Enum):
    """Who reads the feed; the value selects the features of the backend, see `backend/index.js`."""

    FIRST_GENERATION = "first-generation"
    SECOND_GENERATION = "second-generation"
    PLAIN = "plain"
    SECOND_AND_PLAIN = "second-generation-and-plain"

    @property
    def directory(self) -> Path:
        """The directory of deploy/ with the app-config for this reader."""
        return SHIPPED / ("plain-backstage" if self is Reader.PLAIN else self.value)

    @property
    def provider(self) -> str | None:
        """The key of the entity provider under catalog.providers.modelCatalog, where there is a plugin."""
        if self is Reader.PLAIN:
            return None
        return "development" if self is Reader.FIRST_GENERATION else CONNECTOR_ID


def shipped(reader: Reader, feed: str) -> str:
    """Return the app-config of deploy/ for this reader, with the feed's address instead of the pod's.

    It has the feed under two host names, for a Gitea integration concerns a whole host.
    """
    address = urlsplit(feed)
    other = "127.0.0.1" if address.hostname == "localhost" else "localhost"
    text = (reader.directory / "app-config.rhoai-connector.yaml").read_text(encoding="utf-8")
    marked = text.replace("127.0.0.1:9090", "OTHER").replace("localhost:9090", address.netloc)
    return marked.replace("OTHER", f"{other}:{address.port}")


def configuration(*, feed: str, port: int, token: str) -> Mapping[str, Any]:
    """Return what a Backstage on `port` has for itself, as a customer's does: it comes after what is shipped.

    The rules are those of Developer Hub's own app-config, which knows nothing of the connector's kinds.
    """
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
        },
        "catalog": {
            "rules": [{"allow": ["Component", "System", "Group", "Resource", "Location", "Template", "API", "User"]}],
        },
        "events": {"useEventBus": "never"},
        "cards": {"pod": {"from": FEED_IN_A_POD, "to": feed}},
    }


def hurry(reader: Reader, processing_seconds: int) -> Mapping[str, Any]:
    """Return what makes this reader read twice a second, and the catalog process everything again so often."""
    providers = {"modelCatalog": {reader.provider: {"schedule": _SCHEDULE}}} if reader.provider else {}
    return {"catalog": {"processingInterval": {"seconds": processing_seconds}, "providers": providers}}


def round_begins(reader: Reader, feed: str) -> str:
    """Return how the backend's log message begins that announces a round of reading the feed."""
    match reader:
        case Reader.FIRST_GENERATION:
            return "Reading the feed"
        case Reader.SECOND_GENERATION | Reader.SECOND_AND_PLAIN:
            return "Discovering AiModelServerAPI"
        case Reader.PLAIN:
            target = hashlib.sha1(f"url:{feed}/catalog-info.yaml".encode(), usedforsecurity=False).hexdigest()
            return f"Processing location:default/generated-{target}"
