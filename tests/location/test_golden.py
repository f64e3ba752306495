"""What each reader gets of a world of models, against golden files; and the entities against Backstage's rules.

`UPDATE_GOLDEN=1` writes the files again: read the difference before it is committed.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from common import backstage
from common.catalog import CatalogDocument
from services.location import first_generation, plain, second_generation
from services.location.delivery import Entry, make_entry
from services.location.rendering import RenderOptions
from tests.location.world import KINDS, Kind

FOLDER = Path(__file__).parents[1] / "golden" / "renderings"
OPTIONS = RenderOptions(both_feeds=True)
RENDERERS: dict[str, Callable[[Entry], Any]] = {
    "first-generation": lambda entry: json.loads(first_generation.render_document(entry, OPTIONS)),
    "second-generation": lambda entry: json.loads(second_generation.render_document(entry, OPTIONS)),
    "plain": lambda entry: plain.entities_of(entry, OPTIONS),
}
_BARE = {"": False, "-without-details": True}


@pytest.mark.parametrize("details", _BARE)
@pytest.mark.parametrize("reader", RENDERERS)
def test_every_reader_gets_of_each_model_what_is_known(reader: str, details: str) -> None:
    rendered = {kind.key: RENDERERS[reader](make_entry(kind.upsert(bare=_BARE[details]))) for kind in KINDS}
    file = FOLDER / f"{reader}{details}.json"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(json.dumps(rendered, ensure_ascii=False, indent=2) + "\n")
    assert rendered == json.loads(file.read_text())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("bare", [False, True])
def test_documents_of_the_first_generation_keep_to_the_schema(kind: Kind, bare: bool) -> None:
    rendered = first_generation.render_document(make_entry(kind.upsert(bare=bare)), OPTIONS)
    CatalogDocument.decode(rendered)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("bare", [False, True])
def test_names_of_entities_are_those_of_the_stored_document(kind: Kind, bare: bool) -> None:
    entry = make_entry(kind.upsert(bare=bare))
    server = kind.document.get("modelServer")
    stored = [kind.document["models"][0]["name"]] + ([server["name"]] if server else [])
    first = json.loads(first_generation.render_document(entry, OPTIONS))
    names = [first["models"][0]["name"]] + ([first["modelServer"]["name"]] if server else [])
    assert names == stored
    entities = plain.entities_of(entry, OPTIONS)
    assert list(dict.fromkeys(entity["metadata"]["name"] for entity in entities)) == list(dict.fromkeys(stored))
    if server:
        second = json.loads(second_generation.render_document(entry, OPTIONS))
        assert second["modelServer"]["name"] == server["name"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("bare", [False, True])
def test_plain_entities_keep_to_the_rules_of_the_catalog(kind: Kind, bare: bool) -> None:
    for entity in plain.entities_of(make_entry(kind.upsert(bare=bare)), OPTIONS):
        metadata, spec = entity["metadata"], entity["spec"]
        assert backstage.is_entity_name(metadata["name"])
        assert all(backstage.is_tag(tag) for tag in metadata.get("tags", ()))
        assert all(backstage.is_annotation_key(key) for key in metadata["annotations"])
        assert all(isinstance(value, str) and value for value in metadata["annotations"].values())
        for link in metadata.get("links", ()):
            assert link["url"].startswith(("http://", "https://"))
            assert backstage.is_link(link["url"])
        assert spec["owner"]
        assert spec["type"]
        assert spec["lifecycle"]
        if entity["kind"] == "API" and spec["type"] == "openapi" and spec["definition"].startswith("{"):
            validate(json.loads(spec["definition"]))
