"""docs/clusters.schema.json, the JSON Schema by which editors check CLUSTERS_FILE.

`python -m scripts.clusters_schema` writes it again; tests/docs/test_clusters.py holds the file to it.
"""

import json
from pathlib import Path

from services.normalizer.clusters_file import ClustersFile

SCHEMA = Path(__file__).parents[1] / "docs/clusters.schema.json"


def schema() -> str:
    """Return the schema as text."""
    described = ClustersFile.model_json_schema(by_alias=True)
    described["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
