"""The entities that a Backstage without any plugin reads."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from common.catalog_info import render
from services.location.delivery import make_entry
from services.location.plain import entities_of
from services.location.rendering import RenderOptions
from tests.location.conftest import Location, running_location
from tests.location.samples import model_document, served_document, upsert


async def read(location: Location, path: str) -> list[dict[str, Any]]:
    status, headers, body = await location.get(path)
    assert (status, headers["Content-Type"]) == (200, "application/yaml")
    return list(yaml.safe_load_all(body))


async def test_one_location_names_every_document(location: Location) -> None:
    location.fill(upsert("b_1"), upsert("a_1"))
    (entity,) = await read(location, "/catalog-info.yaml")
    assert (entity["apiVersion"], entity["kind"]) == ("backstage.io/v1alpha1", "Location")
    assert entity["spec"] == {"type": "url", "targets": ["./a/1/catalog-info.yaml", "./b/1/catalog-info.yaml"]}
    for target in entity["spec"]["targets"]:
        assert len(await read(location, target.removeprefix("."))) == 1


async def test_an_empty_catalogue_is_a_location_without_targets(location: Location) -> None:
    location.fill()
    (entity,) = await read(location, "/catalog-info.yaml")
    assert entity["spec"]["targets"] == []


@pytest.mark.parametrize("path", ["/catalog-info.yaml", "/a/1/catalog-info.yaml"])
async def test_nothing_is_shown_before_the_feed_is_complete(location: Location, path: str) -> None:
    location.fill(upsert("a_1"), complete=False)
    assert (await location.get(path))[0] == 503


async def test_unknown_paths_are_not_found(location: Location) -> None:
    location.fill(upsert("a_1"))
    assert (await location.get("/a/2/catalog-info.yaml"))[0] == 404
    assert (await location.get("/a/%31/catalog-info.yaml"))[0] == 404


CALL = "Call https://mnist.example.com/v1 with model `mnist`. A bearer token is needed."
LINKS = [
    {"url": "https://docs.example.com/how", "title": "How to use", "icon": "help", "type": "documentation"},
    {
        "url": "https://spdx.org/licenses/Apache-2.0.html",
        "title": "License: Apache-2.0",
        "icon": "docs",
        "type": "documentation",
    },
    {"url": "https://mnist.example.com/", "title": "Homepage", "icon": "web"},
    {"url": "https://mnist.example.com/v1", "title": "API", "icon": "web", "type": "api"},
]
PAGES = {
    "backstage.io/view-url": "https://mnist.example.com/",
    "backstage.io/edit-url": "https://mnist.example.com/",
    "backstage.io/source-location": "url:https://mnist.example.com/",
}
DOCS = {"backstage.io/techdocs-ref": "url:http://127.0.0.1:9090/mnist/v1/src/branch/main"}
FILES = {"rhdh.modelcatalog.io/artifact-location": "s3://bucket/mnist"}


async def test_a_document_without_details_becomes_a_model_a_server_and_an_api(location: Location) -> None:
    location.fill(upsert("mnist_v1", served_document()))
    resource, component, api = await read(location, "/mnist/v1/catalog-info.yaml")
    assert resource == {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Resource",
        "metadata": {
            "name": "mnist-v1",
            "description": f"reads digits\n\n{CALL}",
            "annotations": {**DOCS, **PAGES, **FILES, "rhdh.modelcatalog.io/model-name": "mnist"},
            "tags": ["onnx-1", "vision"],
            "links": LINKS,
        },
        "spec": {
            "type": "ai-model",
            "lifecycle": "staging",
            "owner": "user:team-a",
            "dependencyOf": ["component:mnist-v1-server"],
        },
    }
    assert component == {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": "mnist-v1-server",
            "description": f"serves digits\n\n{CALL}",
            "annotations": {
                **DOCS,
                **PAGES,
                "rhdh.io/ai-asset-category": "model-server",
                "rhdh.io/default": "mnist",
                "rhdh.io/lifecycle": "staging",
                "example.com/api": "a",
                "example.com/server": "s",
            },
            "tags": ["kserve", "auth-required"],
            "links": LINKS,
        },
        "spec": {
            "type": "model-server",
            "lifecycle": "staging",
            "owner": "user:team-b",
            "dependsOn": ["resource:mnist-v1"],
            "providesApis": ["mnist-v1-server"],
        },
    }
    assert api == {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "API",
        "metadata": {
            "name": "mnist-v1-server",
            "description": f"reads digits\n\n{CALL}",
            "annotations": {"backstage.io/techdocs-entity": "resource:default/mnist-v1", **PAGES, **FILES},
            "tags": ["v1", "auth-required"],
            "links": LINKS,
        },
        "spec": {
            "type": "openapi",
            "lifecycle": "staging",
            "owner": "user:team-b",
            "definition": 'openapi: 3.1.0\nservers:\n- url: "https://mnist.example.com/v1"\n',
        },
    }


async def test_both_feeds_together_point_at_each_other() -> None:
    async with running_location(options=RenderOptions(both_feeds=True)) as location:
        location.fill(upsert("mnist_v1", served_document()))
        resource, *_ = await read(location, "/mnist/v1/catalog-info.yaml")
        assert resource["spec"]["dependencyOf"] == [
            "component:mnist-v1-server",
            "aimodelserverapi:default/mnist-v1-server",
        ]
        _, _, body = await location.get("/api/kserve-kubeflow-connector/models/mnist_v1")
        server = json.loads(body)["modelServer"]
        assert server["annotations"]["rhdh.io/api-entity-ref"] == "api:default/mnist-v1-server"


def entities(document: dict[str, Any]) -> list[dict[str, Any]]:
    return entities_of(make_entry(upsert("a_1", json.dumps(document).encode())), RenderOptions())


def test_what_the_catalog_would_refuse_is_left_out() -> None:
    fields = {
        "tags": ["Upper", "has space", "ok", "ok"],
        "annotations": {"Bad/Prefix": "x", "good": "y"},
        "license": "apache 2.0",
        "howToUseURL": "https://example.com",
    }
    (resource,) = entities(json.loads(model_document("with space", **fields)))
    assert resource["metadata"] == {
        "name": "withspace",
        "description": "about with space",
        "annotations": {"backstage.io/techdocs-ref": "url:http://127.0.0.1:9090/a/1/src/branch/main", "good": "y"},
        "tags": ["hasspace", "ok"],
        "links": [{"url": "https://example.com", "title": "How to use", "icon": "help", "type": "documentation"}],
    }


def test_a_server_without_authentication_or_api() -> None:
    server = {"name": "s", "owner": "o", "lifecycle": "l", "description": ""}
    resource, component = entities({"models": [{"name": "m"}], "modelServer": server})
    assert component["metadata"]["tags"] == ["auth-not-required"]
    assert "providesApis" not in component["spec"]
    assert "description" not in component["metadata"]
    assert resource["spec"]["owner"] == "user:unknown"


printable_or_not = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(printable_or_not, st.one_of(printable_or_not, st.lists(printable_or_not), st.integers())))
def test_any_text_comes_out_of_the_yaml_as_it_went_in(value: dict[str, Any]) -> None:
    assert list(yaml.safe_load_all(render([value, value]))) == [value, value]
