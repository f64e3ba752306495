"""docs/status.schema.json, the JSON Schema of what location answers at `GET /status`.

`python -m scripts.status_schema` writes it again; tests/docs/test_status_schema.py holds the file to it.
"""

import json
from pathlib import Path

from common.status import Status

SCHEMA = Path(__file__).parents[1] / "docs/status.schema.json"


def schema() -> str:
    """Return the schema as text."""
    described = Status.model_json_schema(mode="serialization")
    described["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
