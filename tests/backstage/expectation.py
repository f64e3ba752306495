"""Entities compared with what is stored in `expected/`."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.backstage.rig import Entity

EXPECTED = Path(__file__).with_name("expected")

_LONG = 400
_OF_THE_CATALOG = {"uid", "etag"}


def assert_expected(entities: Sequence[Entity], name: str, *, feed: str) -> None:
    """Assert that `entities` are those of `expected/<name>`: one on a line, `{feed}` for the feed's base URL.

    `{trees}` stands for the other host name under which cards are read as trees.
    With UPDATE_EXPECTED=1 in the environment the file is written instead, for a person to read the difference.
    """
    file = EXPECTED / name
    seen = [json.dumps(_comparable(entity), sort_keys=True, ensure_ascii=False) for entity in entities]
    trees = f"http://127.0.0.1:{urlsplit(feed).port}"
    text = "[\n" + ",\n".join(seen).replace(feed, "{feed}").replace(trees, "{trees}") + "\n]\n"
    if os.environ.get("UPDATE_EXPECTED"):
        file.write_text(text)
    assert file.is_file(), f"{file} is missing: run once with UPDATE_EXPECTED=1 and read what it wrote"
    assert json.loads(text) == json.loads(file.read_text())


def _comparable(entity: Entity) -> dict[str, Any]:
    """The entity without the catalog's own marks; tags and relations, whose order means nothing, in order."""
    metadata = {key: value for key, value in entity["metadata"].items() if key not in _OF_THE_CATALOG}
    if "tags" in metadata:
        metadata["tags"] = sorted(metadata["tags"])
    relations = sorted(entity.get("relations", []), key=lambda relation: (relation["type"], relation["targetRef"]))
    comparable: dict[str, Any] = _shortened({**entity, "metadata": metadata, "relations": relations})
    return comparable


def _shortened(value: Any) -> Any:
    """`value` with long texts cut to their beginning, length and hash."""
    match value:
        case str() if len(value) > _LONG:
            digest = hashlib.sha256(value.encode()).hexdigest()[:8]
            return f"{value[:60]}… ({len(value)} characters, SHA-256 {digest})"
        case dict():
            return {key: _shortened(item) for key, item in value.items()}
        case list():
            return [_shortened(item) for item in value]
        case _:
            return value
