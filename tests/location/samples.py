"""Documents and pushes for the tests of location."""

import base64
import json
from typing import Any

from common.wire import Upsert


def model_document(name: str = "mnist-v1", **model: Any) -> bytes:
    """A document with one model and no server."""
    fields = {"name": name, "owner": "team-a", "lifecycle": "production", "description": f"about {name}", **model}
    return json.dumps({"models": [fields]}).encode()


def served_document(name: str = "mnist-v1") -> bytes:
    """A document with everything that a document can have."""
    return json.dumps(
        {
            "models": [
                {
                    "name": name,
                    "owner": "team-a",
                    "lifecycle": "production",
                    "description": "reads digits",
                    "artifactLocationURL": "s3://bucket/mnist",
                    "howToUseURL": "https://docs.example.com/how",
                    "license": "https://spdx.org/licenses/Apache-2.0.html",
                    "tags": ["onnx-1", "vision"],
                    "annotations": {
                        "TechDocs": "http://localhost:9090/modelcard?key=mnist%20v1",
                        "rhdh.modelcatalog.io/model-name": "mnist",
                    },
                }
            ],
            "modelServer": {
                "name": f"{name}-server",
                "owner": "team-b",
                "lifecycle": "staging",
                "description": "serves digits",
                "homepageURL": "https://mnist.example.com/",
                "authentication": True,
                "tags": ["kserve"],
                "annotations": {"example.com/server": "s"},
                "API": {
                    "url": "https://mnist.example.com/v1",
                    "type": "openapi",
                    "spec": "openapi: 3.1.0",
                    "tags": ["v1"],
                    "annotations": {"example.com/api": "a"},
                },
            },
        }
    ).encode()


def upsert(key: str = "mnist_v1", body: bytes | None = None, **fields: Any) -> Upsert:
    """An entry as storage holds it."""
    return Upsert(key=key, body=model_document() if body is None else body, reconciler="kserve", **fields)


def push_body(document: bytes, *, card_key: str = "", card: str = "") -> dict[str, str]:
    """The body of the original's `POST /upsert`."""
    return {
        "body": base64.b64encode(document).decode(),
        "lastUpdateTimeSinceEpoch": "",
        "modelCardKey": card_key,
        "modelCard": card,
    }


def shows(body: bytes, document: bytes) -> bool:
    """Return whether a served document without a server is `document` and the page that every model has."""
    served = json.loads(body)
    for model in served["models"]:
        annotations = model["annotations"]
        if "?entry=" in annotations.get("TechDocs", ""):
            del annotations["TechDocs"]
        if "/entry?" in annotations.get("techdocs", ""):
            del annotations["techdocs"]
        if not annotations:
            del model["annotations"]
    return bool(served == json.loads(document))
