"""Reading the golden documents of tests/golden."""

import copy
import json
from pathlib import Path
from typing import Any

from common.catalog import CatalogDocument

GOLDEN = Path(__file__).parents[2] / "golden"


def read(path: str) -> Any:
    return json.loads((GOLDEN / path).read_text("utf-8"))


def expected(case: dict[str, Any]) -> Any:
    """Return the original's document with our differences put in, each of which must be one."""
    document = copy.deepcopy(case["original"])
    for difference in case["beyond"]:
        *path, last = difference["at"]
        place = document
        for step in path:
            place = place[step]
        old = place.get(last) if isinstance(place, dict) else place[last]
        assert old != difference.get("value"), f"no difference at {difference['at']}"
        if "value" in difference:
            place[last] = difference["value"]
        else:
            del place[last]
    return with_tag_sets(document)


def served(document: CatalogDocument) -> Any:
    """Return the document as its reader gets it, comparable with `expected`."""
    return with_tag_sets(json.loads(document.encode()))


def with_tag_sets(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: set(item) if key == "tags" else with_tag_sets(item) for key, item in value.items()}
    return [with_tag_sets(item) for item in value] if isinstance(value, list) else value
