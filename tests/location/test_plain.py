"""The entities that a Backstage without any plugin reads."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from services.location.plain import entities_of, render
from tests.location.conftest import Location
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


async def test_a_document_becomes_what_the_first_generation_makes_of_it(location: Location) -> None:
    location.fill(upsert("mnist_v1", served_document()))
    resource, component, api = await read(location, "/mnist/v1/catalog-info.yaml")
    assert resource == {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Resource",
        "metadata": {
            "name": "mnist-v1",
            "description": "reads digits",
            "annotations": {
                "backstage.io/techdocs-ref": "url:http://localhost:9090/modelcard?key=mnist%20v1",
                "rhdh.modelcatalog.io/model-name": "mnist",
            },
            "tags": ["onnx-1", "vision"],
            "links": [
                {"title": "Artifact Location", "url": "s3://bucket/mnist"},
                {"title": "How to use", "url": "https://docs.example.com/how"},
                {"title": "License", "url": "https://spdx.org/licenses/Apache-2.0.html"},
            ],
        },
        "spec": {"type": "ai-model", "owner": "user:team-a", "dependencyOf": ["component:mnist-v1-server"]},
    }
    assert component == {
        "apiVersion": "backstage.io/v1alpha1",
        "kind": "Component",
        "metadata": {
            "name": "mnist-v1-server",
            "description": "serves digits",
            "annotations": {"example.com/api": "a", "example.com/server": "s"},
            "tags": ["kserve", "auth-required"],
            "links": [
                {"title": "API", "url": "https://mnist.example.com/v1"},
                {"title": "Homepage", "url": "https://mnist.example.com/"},
            ],
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
            "tags": ["v1", "auth-required"],
            "links": [{"title": "API", "url": "https://mnist.example.com/v1"}],
        },
        "spec": {"type": "openapi", "lifecycle": "staging", "owner": "user:team-b", "definition": "openapi: 3.1.0"},
    }


def test_what_the_catalog_would_refuse_is_left_out() -> None:
    fields = {
        "tags": ["Upper", "has space", "ok", "ok"],
        "annotations": {"Bad/Prefix": "x", "good": "y"},
        "license": "apache 2.0",
        "howToUseURL": "https://example.com",
    }
    (resource,) = entities_of(json.loads(model_document("with space", **fields)))
    assert resource["metadata"] == {
        "name": "withspace",
        "description": "about with space",
        "annotations": {"good": "y"},
        "tags": ["hasspace", "ok"],
        "links": [{"title": "How to use", "url": "https://example.com"}],
    }


def test_a_server_without_authentication_or_api() -> None:
    server = {"name": "s", "owner": "o", "lifecycle": "l", "description": ""}
    resource, component = entities_of({"models": [{"name": "m"}], "modelServer": server})
    assert component["metadata"]["tags"] == ["auth-not-required"]
    assert "providesApis" not in component["spec"]
    assert "description" not in component["metadata"]
    assert resource["spec"]["owner"] == "user:unknown"


printable_or_not = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.dictionaries(printable_or_not, st.one_of(printable_or_not, st.lists(printable_or_not), st.integers())))
def test_any_text_comes_out_of_the_yaml_as_it_went_in(value: dict[str, Any]) -> None:
    assert list(yaml.safe_load_all(render([value, value]))) == [value, value]
