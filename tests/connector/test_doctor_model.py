"""`connector doctor model NAME` says how far a model is on its way, and what holds it up."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.connector.doctor.report import Report
from services.connector.doctor.tracing import trace
from tests.connector.broken import TOKEN, World
from tests.objects import isvc

URL = "https://iris-models.apps.example.com"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        world.put_cache({"models_iris": entry("models-iris", server="models-iris", url=URL)})
        yield world


def entry(model: str, *, server: str = "", url: str = "") -> str:
    """A value of the cache, with the names that the document has."""
    document: dict[str, Any] = {"models": [{"name": model}]}
    if server:
        document["modelServer"] = {"name": server, "API": {"url": url}}
    body = {"body": base64.b64encode(json.dumps(document).encode()).decode(), "reconcilerType": "kserve"}
    return base64.b64encode(json.dumps(body).encode()).decode()


async def follow(world: World, name: str) -> dict[str, tuple[str, str]]:
    """Verdict and message of the first finding of each step."""
    report = Report([step async for step in trace(world.options(), name)])
    assert TOKEN not in json.dumps(report.as_json())
    return {step.name: (step.findings[0].verdict, step.findings[0].message) for step in report.steps}


@pytest.mark.parametrize(
    "name",
    [
        "iris",
        "models/iris",
        "models_iris",
        "models-iris",
        f"{URL}/v1/models",
        "/models/iris/model-catalog.json",
        "http://localhost:9090/models/iris/model-catalog.json",
    ],
)
async def test_a_model_that_is_shown_is_found_by_every_name(world: World, name: str) -> None:
    found = await follow(world, name)

    assert found["cache"] == ("ok", "models_iris in ConfigMap bac-import-model")
    assert found["feed"][0] == "ok"
    assert "aimodelserverapi:default/models-iris" in found["feed"][1]
    if name != "models-iris":
        assert found["deployment"] == ("ok", f"InferenceService models/iris is ready, at {URL}")


async def test_a_name_that_nothing_has_gets_a_suggestion(world: World) -> None:
    found = await follow(world, "irys")

    assert found["deployment"][0] == "fault"
    assert "is named irys: did you mean iris" in found["deployment"][1]
    assert found["cache"] == (
        "skipped",
        "the model is not in the cache, which is expected: no source says that it is ready",
    )


async def test_a_model_that_is_not_ready_is_said_to_be_so(world: World) -> None:
    world.cluster.apply(isvc("wine", ready=False))

    found = await follow(world, "wine")

    assert found["deployment"][0] == "fault"
    assert found["deployment"][1].startswith("InferenceService models/wine is not shown: its condition")
    assert found["cache"][0] == "skipped"


async def test_a_namespace_that_is_not_watched_is_named(world: World) -> None:
    world.environ["WATCH_NAMESPACES"] = "demo"

    found = await follow(world, "models/wine")

    assert found["deployment"] == ("fault", "namespace models is not watched: WATCH_NAMESPACES is demo")


async def test_a_name_without_a_namespace_is_looked_for_in_those_that_are_watched(world: World) -> None:
    world.environ["WATCH_NAMESPACES"] = "demo"

    report = Report([step async for step in trace(world.options(), "wine; reboot")])

    [fault] = [f for step in report.steps for f in step.findings if f.verdict == "fault"]
    assert fault.message == "no InferenceService in the namespaces of WATCH_NAMESPACES (demo) is named wine; reboot"
    assert fault.remedy.startswith("kubectl get inferenceservices -A | grep -- 'wine; reboot'     # if another names")


async def test_what_the_normalizer_does_not_know_is_a_fault_only_if_its_source_has_it(world: World) -> None:
    assert (await follow(world, "iris"))["normalizer"] == ("fault", "it knows no model of this name")
    assert (await follow(world, "wine"))["normalizer"][0] == "skipped"


async def test_an_empty_name_is_a_wrong_command(world: World) -> None:
    status, _, errors = await world.command("doctor", "model", " ")
    assert status == 2
    assert "NAME is empty" in errors


async def test_what_its_source_has_and_the_cache_has_not_is_a_fault(world: World) -> None:
    world.cluster.apply(isvc("wine"))

    found = await follow(world, "wine")

    assert found["deployment"][0] == "ok"
    assert found["cache"] == ("fault", "the source of the model has it, but the cache does not")


async def test_what_the_cache_has_and_the_feed_has_not_is_a_fault(world: World) -> None:
    world.pod.documents = {}
    assert (await follow(world, "iris"))["feed"] == (
        "fault",
        "models_iris is in the cache, but not in the feed",
    )

    world.pod.documents = {"/models/iris/model-catalog.json": "waiting for registry team"}
    assert (await follow(world, "iris"))["feed"] == ("fault", "the feed answers 503: waiting for registry team")


async def test_a_registered_model_is_followed_as_well(world: World) -> None:
    model = world.registry.add_model("Granite 3")
    world.registry.add_version(model, "1.0")
    world.put_cache({"Granite3_10": entry("granite3-10")})
    world.pod.documents = {"/Granite3/10/model-catalog.json": ""}

    found = await follow(world, "granite 3")
    assert found["registry"][0] == "ok"
    assert "versions 1.0" in found["registry"][1]
    assert found["deployment"][0] == "skipped"
    assert found["cache"] == ("ok", "Granite3_10 in ConfigMap bac-import-model")
    assert found["feed"][0] == "ok"
    assert (await follow(world, "Granite3_10"))["feed"][0] == "ok"

    world.registry.archive("registered_models", model)
    assert "is ARCHIVED" in (await follow(world, "granite 3"))["registry"][1]


@pytest.mark.parametrize("name", ["another path", "another header", "the parent"])
async def test_an_id_that_fits_into_no_path_is_reported_and_not_requested(world: World, name: str) -> None:
    world.registry.populate(1)
    world.registry.fail("malformed", "registered_models")
    world.registry.counted(reset=True)

    verdict, message = (await follow(world, name))["registry"]
    assert (verdict, "has an invalid id" in message) == ("fault", True)
    assert world.registry.counted().keys() == {"GET registered_models"}


async def test_registries_that_cannot_be_asked_are_named(world: World) -> None:
    world.registry.tokens = {"another"}

    found = await follow(world, "iris")

    assert found["registry"][0] == "warning"
    assert "401" in found["registry"][1]
    assert found["feed"][0] == "ok"


@pytest.mark.parametrize(
    ("explained", "expected"),
    [
        (
            {"found": [{"object": "InferenceService models/wine", "state": "shown", "key": "models_wine"}]},
            ("ok", "InferenceService models/wine is shown as models_wine"),
        ),
        (
            {
                "found": [
                    {
                        "object": "InferenceService models/wine",
                        "state": "hidden",
                        "cause": "refused",
                        "reason": "storage does not take its document",
                        "since": "2026-01-02T03:04:05Z",
                    }
                ]
            },
            (
                "fault",
                "InferenceService models/wine is hidden (refused) since 2026-01-02T03:04:05+00:00: "
                "storage does not take its document",
            ),
        ),
        ({"near": ["wine"]}, ("skipped", "it knows no model of this name either; similar names: wine")),
        (
            {"unread": [{"source": "registry:ns/reg", "reason": "forbidden"}]},
            ("warning", "the model may be in a source that cannot be read: registry:ns/reg (forbidden)"),
        ),
    ],
    ids=["shown", "hidden", "unknown", "unread"],
)
async def test_a_running_normalizer_is_asked(
    world: World, explained: dict[str, Any], expected: tuple[str, str]
) -> None:
    world.pod.explained = explained
    assert (await follow(world, "wine"))["normalizer"] == expected


async def test_one_that_does_not_run_is_no_fault(world: World) -> None:
    world.pod.absent = {"rhoai-normalizer"}
    verdict, message = (await follow(world, "iris"))["normalizer"]
    assert (verdict, message.startswith("no running normalizer could be asked")) == ("skipped", True)
