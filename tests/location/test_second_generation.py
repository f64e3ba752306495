"""What the second-generation reader and its TechDocs reader get."""

import json

import pytest

from tests.location.conftest import Location, running_location
from tests.location.samples import model_document, served_document, shows, upsert

BASE = "/api/kserve-kubeflow-connector"


async def test_keys_are_listed_and_each_is_served(location: Location) -> None:
    location.fill(upsert("b_1"), upsert("a_b_c", model_document("abc"), uri="/a_b/c/model-catalog.json"))
    status, headers, body = await location.get(f"{BASE}/list")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body) == {"uris": ["a_b_c", "b_1"]}
    status, headers, body = await location.get(f"{BASE}/models/a_b_c")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert shows(body, model_document("abc"))
    assert (await location.get(f"{BASE}/models/a_b_c", If_None_Match=headers["ETag"]))[0] == 304


@pytest.mark.parametrize("path", ["list", "models/a_1", "modelcard/k"])
async def test_nothing_is_shown_before_the_feed_is_complete(location: Location, path: str) -> None:
    location.fill(upsert("a_1"), cards={"k": "x"}, complete=False)
    status, headers, _ = await location.get(f"{BASE}/{path}")
    assert (status, headers["Retry-After"]) == (503, "5")


async def test_both_generations_are_served_at_the_same_time(location: Location) -> None:
    location.fill(upsert("a_1"))
    assert json.loads((await location.get("/list"))[2]) == {"uris": ["/a/1/model-catalog.json"]}
    assert json.loads((await location.get(f"{BASE}/list"))[2]) == {"uris": ["a_1"]}


async def test_a_card_is_named_relative_to_the_base_and_found_there(location: Location) -> None:
    location.fill(upsert("a_1", served_document(), card_key="mnist v1"), cards={"mnist v1": "# MNIST"})
    _, headers, body = await location.get(f"{BASE}/models/a_1")
    annotations = json.loads(body)["models"][0]["annotations"]
    assert annotations["techdocs"] == "/modelcard/mnist%20v1"
    assert annotations["TechDocs"] == "http://localhost:9090/modelcard?key=mnist%20v1"
    status, headers, card = await location.get(BASE + annotations["techdocs"])
    assert (status, card.split(b"\n")[0]) == (200, b"# MNIST")
    assert b"https://mnist.example.com/v1" in card
    assert headers["Content-Type"] == "text/markdown; charset=utf-8"
    # the form that a reader configured with an environment's name asks in
    assert (await location.get(f"{BASE}/modelcard/development?key=mnist%20v1"))[2] == card
    # and the first generation's document names it as it did
    first = json.loads((await location.get("/a/1/model-catalog.json"))[2])
    assert first["models"][0]["annotations"]["TechDocs"] == "http://localhost:9090/modelcard?key=mnist%20v1"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({"TechDocs": "http://10.0.0.1:9090/modelcard?key=a%2Fb"}, "/modelcard/a%2Fb"),
        ({"TechDocs": "https://github.com/org/repo/tree/main/docs"}, "https://github.com/org/repo/tree/main/docs"),
        ({"TechDocs": "http://localhost:9090/modelcard?key="}, "http://localhost:9090/modelcard?key="),
        ({"TechDocs": "http://[::1/modelcard?key=a"}, "http://[::1/modelcard?key=a"),
        ({"TechDocs": "http://x/modelcard?key=a", "techdocs": "/modelcard/own"}, "/modelcard/own"),
        ({"techdocs": "/modelcard/own"}, "/modelcard/own"),
        ({"TechDocs": ""}, "/modelcard/entry?entry=a_1"),
        ({}, "/modelcard/entry?entry=a_1"),
    ],
)
async def test_the_annotation_of_each_kind_of_page(
    location: Location, annotations: dict[str, str], expected: str
) -> None:
    location.fill(upsert("a_1", model_document(annotations=annotations)))
    served = json.loads((await location.get(f"{BASE}/models/a_1"))[2])
    assert served["models"][0]["annotations"].get("techdocs") == expected


async def test_the_connector_id_can_be_another() -> None:
    async with running_location(connector_id="prod-models") as location:
        location.fill(upsert("a_1"))
        assert (await location.get("/api/prod-models/list"))[0] == 200
        assert (await location.get(f"{BASE}/list"))[0] == 404


@pytest.mark.parametrize("path", ["models/unknown_1", "models/", "models/a%2F1", "models/a_1/x", "modelcard/unknown"])
async def test_what_is_not_there_is_not_found(location: Location, path: str) -> None:
    location.fill(upsert("a_1"))
    assert (await location.get(f"{BASE}/{path}"))[0] == 404
