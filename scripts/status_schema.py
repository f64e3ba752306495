"""Writes the JSON Schemas of the answers to `GET /status`, from the models of the answers.

`python -m scripts.status_schema` writes docs/status.schema.json (the answer of location) and the schemas of
storage-rest's answer in its OpenAPI description; tests/docs/test_status_schema.py checks that both are up to date.
"""

import json
from pathlib import Path
from typing import Any

from common.status import StorageStatus
from services.location.status.answer import Status

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "docs/status.schema.json"
OPENAPI = ROOT / "services/storage_rest/openapi.json"


def schema() -> str:
    """Return the schema of location's answer as text."""
    described = Status.model_json_schema(mode="serialization")
    described["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return _dump(described)


def openapi() -> str:
    """Return the OpenAPI description of storage-rest with the schemas of its status."""
    description = json.loads(OPENAPI.read_text(encoding="utf-8"))
    described = StorageStatus.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    parts = described.pop("$defs")
    description["components"]["schemas"] |= {"StorageStatus": described, **parts}
    return _dump(description)


def _dump(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
    OPENAPI.write_text(openapi(), encoding="utf-8")
