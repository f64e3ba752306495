"""`GET /status` of location."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from common.http.access import AccessPolicy
from common.http.client import HttpClient
from common.secrets import StaticToken
from common.status import (
    ConditionStatus,
    HiddenStatus,
    LeavingStatus,
    MovementStatus,
    NormalizerStatus,
    SourceStatus,
    StorageStatus,
)
from scripts.status_schema import SCHEMA
from services.location.status.neighbours import Neighbours, in_process, over_http
from services.location.status.report import merge_leaving
from services.location.status.routes import OPEN_PATHS
from tests.location.conftest import TOKEN, Location, running_location
from tests.location.world import KINDS

THEN = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
NORMALIZER = NormalizerStatus(
    version="1",
    started=THEN,
    conditions=(ConditionStatus(name="kserve", ok=False, reason="forbidden: apply deploy/rbac", since=THEN),),
    sources=(SourceStatus(id="kserve", kind="kserve", ok=False, stale=True, last_look=THEN, shown=9, leaving=1),),
    hidden=(HiddenStatus(object="InferenceService ai/secret-model", cause="stopped"),),
    leaving=(LeavingStatus(object="isvc:local:ai/bge-m3", reason="not-listed", since=THEN, due=THEN),),
)
STORAGE = StorageStatus(
    version="1",
    started=THEN,
    leaving=(LeavingStatus(key="world_embeddings", object="isvc:local:ai/bge-m3", reason="not-listed", since=THEN),),
    departures=(MovementStatus(key="ai_secret-model", reason="stopped", at=THEN),),
)


def well() -> Neighbours:
    return Neighbours(in_process("rhoai-normalizer", lambda: NORMALIZER), in_process("storage-rest", lambda: STORAGE))


@pytest.fixture
async def location() -> AsyncIterator[Location]:
    async with running_location(neighbours=well()) as running:
        running.fill(*(kind.upsert() for kind in KINDS), cards={"redhat_ai_modelsRedHatAI": "# card"})
        yield running


async def status(location: Location, query: str = "", **headers: str) -> dict[str, Any]:
    code, _, body = await location.get(f"/status{query}", **headers)
    assert code == 200
    told: dict[str, Any] = json.loads(body)
    jsonschema.validate(told, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return told


async def test_all_that_is_known_is_reported(location: Location) -> None:
    told = await status(location)

    assert "something is wrong with kserve" in told["verdict"]["text"]
    assert told["verdict"]["remedy"] == "kserve: forbidden: apply deploy/rbac."
    assert [service["name"] for service in told["services"]] == ["location", "storage-rest", "rhoai-normalizer"]
    assert told["sources"][0]["lastLook"] == "2026-11-25T12:00:00Z"
    assert told["hidden"][0]["object"] == "InferenceService ai/secret-model"
    assert told["leaving"][0]["due"] == "2026-11-25T12:00:00Z"
    assert told["departures"][0]["reason"] == "stopped"
    assert told["counts"] == {"models": 9, "hidden": 1, "leaving": 1, "problems": 0}


async def test_each_model_says_what_became_of_it_in_every_reader(location: Location) -> None:
    models = {model["key"]: model for model in (await status(location))["models"]["items"]}

    chat = models["world_chat"]
    assert chat["called"] == ["granite-33-8b-instruct", "granite-lora-french"]
    assert chat["token"] is True
    assert {form["reader"]: form["entities"] for form in chat["forms"]} == {
        "first-generation": [
            "resource:default/granite-33-8b-instruct",
            "component:default/granite-33-8b-instruct",
            "api:default/granite-33-8b-instruct",
        ],
        "second-generation": ["aimodelserverapi:default/granite-33-8b-instruct"],
        "plain": [
            "resource:default/granite-33-8b-instruct",
            "component:default/granite-33-8b-instruct",
            "api:default/granite-33-8b-instruct",
        ],
    }
    for model in models.values():
        for path in (model["card"], *(form["document"] for form in model["forms"])):
            assert (await location.get(path))[0] in ((200, 404) if "key=" in path else (200,)), path
    assert models["world_registered"]["forms"][1]["entities"] == []
    assert models["world_embeddings"]["leaving"] == "not-listed"


@pytest.mark.parametrize(
    ("query", "keys"),
    [
        ("?q=granite", ["world_chat"]),
        ("?q=GRANITE+assistants-team", ["world_chat"]),
        ("?q=granite+iris", []),
        ("?show=undeployed", ["world_registered"]),
        ("?show=leaving", ["world_embeddings"]),
        ("?show=leaving&q=churn", []),
    ],
)
async def test_models_are_found_by_words_and_state(location: Location, query: str, keys: list[str]) -> None:
    told = (await status(location, query))["models"]

    assert [model["key"] for model in told["items"]] == keys
    assert (told["total"], told["matching"]) == (9, len(keys))


@pytest.mark.parametrize("query", ["?show=everything", "?page=-1", "?page=x", "?page=%D9%A3"])
async def test_what_cannot_be_asked_for_is_refused(location: Location, query: str) -> None:
    assert (await location.get(f"/status{query}"))[0] == 400


async def test_many_models_come_in_pages() -> None:
    async with running_location(neighbours=well()) as location:
        location.fill(*(replace(KINDS[0].upsert(), key=f"m_{number:03}") for number in range(120)))
        first, last = await status(location), await status(location, "?page=99")

    assert (len(first["models"]["items"]), first["models"]["pages"]) == (50, 3)
    assert (len(last["models"]["items"]), last["models"]["page"]) == (20, 3)


async def test_models_are_named_only_to_whom_the_list_is_readable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("common.http.access.is_local", lambda request: False)
    access = AccessPolicy(token=StaticToken(TOKEN), open_paths=OPEN_PATHS)
    async with running_location(neighbours=well(), access=access) as location:
        assert (await location.get("/list"))[0] == 401
        location.fill(*(kind.upsert() for kind in KINDS))
        told = json.loads((await location.get("/status"))[2])
        named = json.loads((await location.get("/status", Authorization=f"Bearer {TOKEN}"))[2])

    assert told["names"] is False
    assert told["counts"]["models"] == 9
    assert told["models"]["items"] == told["hidden"] == told["leaving"] == told["departures"] == []
    assert all(service["settings"] == [] for service in told["services"])
    assert "secret-model" not in json.dumps(told)
    assert named["names"] is True
    assert "secret-model" in json.dumps(named)


async def test_readers_are_reported_apart_by_what_they_ask_for(location: Location) -> None:
    await location.get("/list")
    await location.get("/api/kserve-kubeflow-connector/list")
    await location.get("/api/kserve-kubeflow-connector/models/nobody")

    readers = {reader["id"]: reader for reader in (await status(location))["readers"]}
    assert [readers[id_]["answered"] for id_ in ("first-generation", "second-generation", "plain", "techdocs")] == [
        *(200, 404, None, None)
    ]
    assert readers["second-generation"]["requests"] == 2


@asynccontextmanager
async def neighbour(answer: web.Response) -> AsyncIterator[str]:
    """A service that answers every request so."""

    async def handle(_: web.Request) -> web.Response:
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def told_by(url: str) -> dict[str, Any]:
    """Return what location says of a normalizer at this address."""
    async with (
        HttpClient(name="rhoai-normalizer", base_url=url) as client,
        running_location(neighbours=Neighbours(over_http(client, NormalizerStatus))) as location,
    ):
        service: dict[str, Any] = (await status(location))["services"][2]
        return service


@pytest.mark.parametrize(
    ("answer", "answers", "fault"),
    [
        (web.Response(status=404), True, "it is the original connector's"),
        (web.Response(status=403), False, "give both containers the same token"),
        (web.Response(text="<html>"), False, "the same version"),
        (web.Response(status=500), False, "500"),
        (web.Response(body=NORMALIZER.encode()), True, ""),
    ],
    ids=["original", "another token", "a page", "an error", "well"],
)
async def test_a_neighbour_that_does_not_say_how_it_is_is_reported(
    answer: web.Response, answers: bool, fault: str
) -> None:
    async with neighbour(answer) as url:
        told = await told_by(url)

    assert told["answers"] is answers
    assert fault in told["fault"]


async def test_a_neighbour_that_is_away_is_reported() -> None:
    told = await told_by("http://127.0.0.1:1")

    assert "it does not answer" in told["fault"]
    assert "see the log of the container rhoai-normalizer" in told["fault"]


def test_what_is_leaving_is_reported_once() -> None:
    later = datetime(2026, 11, 25, 13, 0, tzinfo=UTC)
    stored = LeavingStatus(key="a", object="isvc:local:a/b", reason="not-listed", since=THEN, due=THEN)
    both = LeavingStatus(object="isvc:local:a/b", reason="not-listed", since=THEN, due=later)
    fresh = LeavingStatus(object="isvc:local:a/c", reason="not-ready", since=THEN, due=later)

    told = merge_leaving([stored], [both, fresh])

    assert [(each.key, each.object, each.due) for each in told] == [
        ("a", "isvc:local:a/b", later),
        ("", "isvc:local:a/c", later),
    ]
