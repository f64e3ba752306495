"""The second format: what stands in the golden files, and that nothing is lost on the way back."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from common import catalog_info, wire
from common.backstage import is_annotation_key, is_entity_name, is_link, is_tag

GOLDEN = Path(__file__).parents[1] / "golden"
SOURCES = sorted(
    path
    for folder in ("kserve", "registry")
    for path in (GOLDEN / folder).glob("*.json")
    if json.loads(path.read_text()).get("original")
)
REQUIRED = {
    "Component": {"type", "lifecycle", "owner"},
    "Resource": {"type", "owner"},
    "API": {"type", "lifecycle", "owner", "definition"},
}
BARE = {"models": [{"name": "m", "owner": "o", "lifecycle": "l", "description": "d"}]}


def original(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())["original"]
    return document


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_documents_become_what_the_golden_files_hold(path: Path) -> None:
    golden = GOLDEN / "catalog-info" / f"{path.stem}.yaml"
    written = catalog_info.to_yaml(json.dumps(original(path)).encode())
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_bytes(written)
    assert written == golden.read_bytes()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_what_is_written_is_yaml_that_the_catalog_takes(path: Path) -> None:
    entities = list(yaml.safe_load_all(catalog_info.to_yaml(json.dumps(original(path)).encode())))
    document = original(path)
    kinds = ["Component"] * ("modelServer" in document) + ["Resource"] + ["API"] * ("modelServer" in document)
    assert [entity["kind"] for entity in entities] == kinds
    for entity in entities:
        metadata, spec = entity["metadata"], entity["spec"]
        assert entity["apiVersion"] == "backstage.io/v1alpha1"
        assert is_entity_name(metadata["name"])
        assert all(map(is_tag, metadata.get("tags", [])))
        assert all(map(is_annotation_key, metadata.get("annotations", {})))
        assert all(is_link(link["url"]) for link in metadata.get("links", []))
        assert all(spec[field] for field in REQUIRED[entity["kind"]])


def test_they_refer_to_each_other() -> None:
    server = {**BARE["models"][0], "name": "s", "authentication": True}
    server["API"] = {"url": "https://s.example.com", "type": "grpc", "spec": "proto"}
    component, resource, api = catalog_info.entities_of({**BARE, "modelServer": server})
    assert component["spec"] == {
        "type": "model-server",
        "lifecycle": "l",
        "owner": "user:o",
        "dependsOn": ["resource:m"],
        "providesApis": ["s"],
    }
    assert resource["spec"] == {
        "type": "ai-model",
        "owner": "user:o",
        "lifecycle": "l",
        "dependencyOf": ["component:s"],
    }
    assert api["spec"] == {"type": "grpc", "lifecycle": "l", "owner": "user:o", "definition": "proto"}
    assert component["metadata"]["tags"] == api["metadata"]["tags"] == ["auth-required"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_way_back_leads_to_the_same_entities(path: Path) -> None:
    written = catalog_info.to_yaml(json.dumps(original(path)).encode())
    assert catalog_info.to_yaml(catalog_info.document_of(written)) == written


def test_what_an_original_wrote_as_yaml_is_read() -> None:
    written = b"""
apiVersion: backstage.io/v1alpha1
kind: Component
metadata:
  annotations:
    backstage.io/techdocs-ref: ./
  description: Finds digits
  links:
  - title: API
    type: website
    url: https://digits.example.com
  name: vision_digits
  tags:
  - vllm
spec:
  dependsOn:
  - resource:vision_digits
  lifecycle: production
  owner: user:ml-team
  profile:
    displayName: digits
  providesApis:
  - vision_digits
  type: model-server
---
apiVersion: backstage.io/v1alpha1
kind: Resource
metadata:
  name: vision_digits
  description: Finds digits
  links: [{title: Files, url: "s3://bucket/digits"}]
spec:
  owner: user:ml-team
  type: ai-model
---
apiVersion: backstage.io/v1alpha1
kind: API
metadata:
  name: vision_digits
spec:
  definition: "openapi: 3.1.0"
  lifecycle: production
  owner: user:ml-team
  type: unknown
"""
    document = json.loads(catalog_info.document_of(written))
    assert document["models"] == [
        {
            "name": "vision_digits",
            "owner": "ml-team",
            "lifecycle": "development",
            "description": "Finds digits",
            "artifactLocationURL": "s3://bucket/digits",
        }
    ]
    assert "modelServer" not in document  # its API has no address


def test_a_text_that_is_not_unicode_is_replaced() -> None:
    document = json.loads(catalog_info.document_of(b'kind: Resource\nmetadata: {name: m, description: "x\\ud800y"}\n'))
    assert document["models"][0]["description"] == "x\ufffdy"


NO_DOCUMENTS = (
    b"",
    b"not json",
    b"[1]",
    b"---\n",
    b"\xff\xfe",
    b"a: [",
    b"kind: Template\n",
    b"{",
    b'a: "\\UFFFFFFFF"',
)


@pytest.mark.parametrize("body", NO_DOCUMENTS)
def test_what_is_no_document_stays_as_it_came(body: bytes) -> None:
    assert catalog_info.document_of(body) == body


def test_storage_bodies_hold_both_forms() -> None:
    upsert = wire.Upsert(key="a_b", body=json.dumps(BARE).encode(), reconciler="kserve")
    raw = wire.encode_storage_body(upsert, yaml=True)
    assert wire.is_yaml_form(raw)
    assert not wire.is_yaml_form(wire.encode_storage_body(upsert))
    assert wire.parse_storage_body("a_b", raw) == upsert
    sent = wire.parse_original_upsert(wire.encode_original_upsert(upsert, yaml=True), key="a_b", reconciler="kserve")
    assert json.loads(sent.body) == BARE
