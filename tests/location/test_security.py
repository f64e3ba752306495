"""What is tried against location, and what comes back; docs/security.md lists it."""

import json

import pytest

from tests.location.conftest import AUTHORIZED, Location, running_location
from tests.location.samples import model_document, push_body, shows, upsert

SCRIPT = "<script>alert(1)</script>"
INNER = "/a_b/c/model-catalog.json"

HOSTILE_PATHS = {
    "up and away": "/../../etc/passwd",
    "up, encoded": "/%2e%2e/%2e%2e/etc/passwd",
    "up, encoded twice": "/%252e%252e/etc/passwd",
    "up and down again": "/x/../a_b/c/model-catalog.json",
    "this place": "/./a_b/c/model-catalog.json",
    "an encoded slash in place of a real one": "/a_b%2fc/model-catalog.json",
    "an encoded slash inside a segment": "/a_b%2Fc/x/model-catalog.json",
    "the other split of the key": "/a/b_c/model-catalog.json",
    "an encoded letter": "/a_b/%63/model-catalog.json",
    "another case": "/A_B/C/model-catalog.json",
    "an empty segment": "//a_b/c/model-catalog.json",
    "a slash behind": "/a_b/c/model-catalog.json/",
    "an encoded zero byte": "/a_b/c%00/model-catalog.json",
    "an encoded line break": "/a_b/c%0d%0aSet-Cookie:x/model-catalog.json",
    "invalid UTF-8": "/%ff%fe/c/model-catalog.json",
    "half an escape": "/a_b/c%/model-catalog.json",
    "a backslash": "/a_b%5cc/model-catalog.json",
    "8,000 bytes": f"/{'a' * 4000}/{'b' * 3900}/model-catalog.json",
    "a parameter behind the path": "/a_b/c/model-catalog.json;x",
    "the YAML of another split": "/a/b_c/catalog-info.yaml",
    "a key with a slash": "/api/kserve-kubeflow-connector/models/a_b%2Fc",
    "a key that goes up": "/api/kserve-kubeflow-connector/models/..%2fa_b_c",
    "the path of another connector": "/api/other/models/a_b_c",
    "a card that goes up": "/modelcard?key=../../etc/passwd",
    "a card by an encoded path": "/modelcard/%2e%2e%2fk",
}


@pytest.mark.parametrize("path", HOSTILE_PATHS.values(), ids=HOSTILE_PATHS)
async def test_only_the_exact_path_of_an_entry_is_served(location: Location, path: str) -> None:
    location.fill(upsert("a_b_c", uri=INNER), cards={"k": "# card"})
    assert (await location.get(INNER))[0] == 200
    status, headers, body = await location.get(path)
    assert status in (400, 404)
    assert headers["Content-Type"] == "application/problem+json"
    assert "Set-Cookie" not in headers
    assert model_document() not in body


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
@pytest.mark.parametrize(("method", "path"), [("POST", "/upsert?key=a_1"), ("DELETE", "/remove?key=a_1")])
async def test_every_write_needs_the_token_from_this_host_too(
    location: Location, method: str, path: str, headers: dict[str, str]
) -> None:
    location.fill(upsert("a_1"))
    async with location.client.request(method, path, json=push_body(model_document("new")), headers=headers) as answer:
        assert answer.status == (403 if headers.get("Authorization", "").startswith("Bearer") else 401)
        assert answer.content_type == "application/problem+json"
    assert shows((await location.get("/a/1/model-catalog.json"))[2], model_document())


async def test_every_route_that_changes_something_is_known_to_these_tests(location: Location) -> None:
    mutating = {
        (route.method, route.resource.canonical)
        for route in location.app.router.routes()
        if route.method not in ("GET", "HEAD") and route.resource
    }
    assert mutating == {("POST", "/upsert"), ("DELETE", "/remove")}


async def test_a_feed_that_is_filled_from_inside_cannot_be_written_to() -> None:
    async with running_location(follower=None) as location:
        async with location.client.post("/upsert?key=a_1", json={}, headers=AUTHORIZED) as answer:
            assert answer.status == 404
        async with location.client.delete("/remove?key=a_1", headers=AUTHORIZED) as answer:
            assert answer.status == 404


async def test_script_in_a_name_or_a_description_comes_out_as_data(location: Location) -> None:
    document = model_document(SCRIPT, description=SCRIPT)
    location.fill(upsert("a_1", document), cards={"k": SCRIPT, SCRIPT: "x"})
    paths = {
        "/a/1/model-catalog.json": "application/json",
        "/api/kserve-kubeflow-connector/models/a_1": "application/json",
        "/a/1/catalog-info.yaml": "application/yaml",
        "/modelcard?key=k&raw=true": "text/markdown; charset=utf-8",
    }
    for path, media_type in paths.items():
        _, headers, body = await location.get(path)
        assert headers["Content-Type"] == media_type
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert SCRIPT in body.decode()
    status, headers, body = await location.get("/<script>alert(1)</script>", Accept="text/html")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")
    assert json.loads(body)["instance"] == "/<script>alert(1)</script>"


@pytest.mark.parametrize("path", ["/", "/modelcard?key=k"])
async def test_what_a_browser_may_show_runs_nothing(location: Location, path: str) -> None:
    location.fill(cards={"k": "x"})
    _, headers, _ = await location.get(path)
    assert "default-src 'none'" in headers["Content-Security-Policy"]


async def test_probes_and_metrics_name_no_model(location: Location) -> None:
    location.fill(upsert("secret-project_v1", model_document("secret-model")), cards={"secret-card": "secret text"})
    await location.get("/secret-project/v1/model-catalog.json")
    await location.get("/modelcard?key=secret-card")
    for path in ("/healthz", "/readyz", "/metrics"):
        assert b"secret" not in (await location.get(path))[2]
