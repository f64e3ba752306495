"""PUSH_TO_RHDH: the feed registered with a Backstage that has no plugin for it."""

import asyncio
import json
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from common.wire import Batch
from services.storage_rest import factory, registration
from services.storage_rest.factory import registering
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings
from tests.storage_rest.running import Running, running, upsert
from tests.waiting import eventually

BASE = "http://localhost:9090"
TARGET = f"{BASE}/catalog-info.yaml"
A, B = f"{BASE}/a/1/catalog-info.yaml", f"{BASE}/b/1/catalog-info.yaml"
OF_OTHERS = {"https://git.example.com/catalog-info.yaml", f"{BASE}/else.yaml"}


class Backstage:
    """The part of a catalog's API that takes locations, as catalog-backend 3.9 does it.

    Answers with `statuses` in turn first, and to questions for its locations with `answers`; `refused` are methods that
    the token may not use.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.answers: list[object] = []
        self.refused: set[str] = set()
        self.tokens: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.locations: dict[str, str] = {}
        self._number = 0

    @web.middleware
    async def guard(self, request: web.Request, handler: object) -> web.StreamResponse:
        self.tokens.add(request.headers.get("Authorization", ""))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        if request.method in self.refused:
            return web.Response(status=403)
        response: web.StreamResponse = await handler(request)  # type: ignore[operator]
        return response

    def add(self, *targets: str) -> None:
        for target in targets:
            self._number += 1
            self.locations[target] = f"id-{self._number}"

    async def list(self, _: web.Request) -> web.Response:
        if self.answers:
            return web.json_response(self.answers.pop(0))
        found = [{"data": {"id": each, "type": "url", "target": target}} for target, each in self.locations.items()]
        return web.json_response([*found, {"data": {"id": "x", "type": "file", "target": TARGET}}])

    async def create(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        assert body["type"] == "url"
        if body["target"] in self.locations:
            return web.Response(status=409)
        self.asked.append(("POST", body["target"]))
        self.add(body["target"])
        return web.Response(status=201)

    async def delete(self, request: web.Request) -> web.Response:
        found = [target for target, each in self.locations.items() if each == request.match_info["id"]]
        if not found:
            return web.Response(status=404)
        self.asked.append(("DELETE", found[0]))
        del self.locations[found[0]]
        return web.Response(status=204)

    def holds(self, *targets: str) -> bool:
        return self.locations.keys() == {*targets, *OF_OTHERS}


class Scene:
    """A Backstage, and a storage with two models of which `registered` tells it."""

    def __init__(self, catalog: Backstage, storage: Running, url: str) -> None:
        self.catalog = catalog
        self.storage = storage
        self._url = url

    @asynccontextmanager
    async def registered(self, **settings: object) -> AsyncIterator[None]:
        given = {"push_to_rhdh": True, "backstage_token": "s3cret", "bridge_url": BASE, **settings}
        chosen = StorageSettings.load(backstage_url=self._url, **given)
        async with registering(chosen, self.storage.service):
            yield


@pytest.fixture(autouse=True)
def haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(registration, "LONGEST_PAUSE", 0.02)
    monkeypatch.setattr(registration, "LOOK", 0.01)


@contextmanager
def checking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(registration, "CHECK", 0.02)
        yield


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    catalog = Backstage()
    catalog.add(*OF_OTHERS)
    app = web.Application(middlewares=[catalog.guard])
    app.router.add_get("/api/catalog/locations", catalog.list)
    app.router.add_post("/api/catalog/locations", catalog.create)
    app.router.add_delete("/api/catalog/locations/{id}", catalog.delete)
    async with TestServer(app) as server, running() as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1"), upsert("b_1")), complete=True))
        yield Scene(catalog, storage, str(server.make_url("")))


async def test_the_feed_is_registered_once(scene: Scene) -> None:
    for _ in range(2):  # and again after a restart
        async with scene.registered():
            await eventually(lambda: scene.catalog.holds(TARGET))
    assert scene.catalog.asked == [("POST", TARGET)]
    assert scene.catalog.tokens == {"Bearer s3cret"}


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_it_is_tried_until_backstage_takes_it(scene: Scene, status: int) -> None:
    scene.catalog.statuses = [status] * 3
    async with scene.registered():
        await eventually(lambda: scene.catalog.holds(TARGET))


@pytest.mark.parametrize("answer", [None, "login", [1], [{"data": {"type": "url", "target": TARGET}}]])
async def test_answers_that_are_no_locations_end_nothing(scene: Scene, answer: object) -> None:
    scene.catalog.answers = [answer] * 2
    async with scene.registered():
        await eventually(lambda: scene.catalog.holds(TARGET))


async def test_a_token_that_may_only_create_is_enough(scene: Scene) -> None:
    scene.catalog.refused = {"GET", "DELETE"}
    for _ in range(2):
        async with scene.registered():
            await eventually(lambda: scene.catalog.holds(TARGET))
    assert scene.catalog.asked == [("POST", TARGET)]


async def test_a_backstage_that_has_lost_its_database_is_asked_to_register_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    with checking(monkeypatch):
        async with scene.registered():
            await eventually(lambda: scene.catalog.holds(TARGET))
            del scene.catalog.locations[TARGET]
            await eventually(lambda: scene.catalog.holds(TARGET))


async def test_switched_off_it_is_taken_back(scene: Scene) -> None:
    scene.catalog.add(TARGET, A)
    async with scene.registered(push_to_rhdh=False):
        await eventually(scene.catalog.holds)


async def test_without_the_switch_or_without_a_token_nothing_is_sent(scene: Scene) -> None:
    scene.catalog.add(TARGET)
    tasks = asyncio.all_tasks()
    async with scene.registered(push_to_rhdh=None), scene.registered(push_to_rhdh=False, backstage_token=None):
        assert asyncio.all_tasks() == tasks, "there is a task that could send something"
    assert not scene.catalog.tokens
    assert scene.catalog.holds(TARGET)


async def test_in_the_second_format_each_model_is_registered_in_place_of_the_feed(scene: Scene) -> None:
    scene.catalog.add(TARGET)
    async with scene.registered(format="CatalogInfoYamlFormat"):
        await eventually(lambda: scene.catalog.holds(A, B))
        assert scene.catalog.asked[-1] == ("DELETE", TARGET)  # after the others were there

        await scene.storage.service.apply(Batch(removals={"a_1": "deleted"}, upserts=(upsert("c_d_1"),)))
        await eventually(lambda: scene.catalog.holds(B, f"{BASE}/c/d_1/catalog-info.yaml"))

    async with scene.registered():
        await eventually(lambda: scene.catalog.holds(TARGET))


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Collection[str] | None]:
    """Return a list to which each answer to the question which Locations are wanted is added."""
    answers: list[Collection[str] | None] = []

    def targets(settings: StorageSettings, service: StorageService) -> Collection[str] | None:
        answers.append(real(settings, service))
        return answers[-1]

    real = factory._targets
    monkeypatch.setattr(factory, "_targets", targets)
    return answers


async def test_while_the_cache_may_lack_models_none_is_taken_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.catalog.add(A, B, f"{BASE}/c/1/catalog-info.yaml")
    async with running() as storage:
        await storage.service.apply(Batch(upserts=(upsert("a_1"),)))
        empty = Scene(scene.catalog, storage, scene._url)
        looks = counted(monkeypatch)
        async with empty.registered(format="CatalogInfoYamlFormat"):
            await eventually(lambda: len(looks) >= 3, what="it has looked at the cache several times")
            assert not scene.catalog.tokens
            await storage.service.apply(Batch(complete=True))
            await eventually(lambda: scene.catalog.holds(A))


async def test_the_address_is_the_same_after_each_start_of_the_pod(scene: Scene) -> None:
    async with scene.registered(bridge_url=None, pod_ip="10.1.2.3"):
        await eventually(lambda: scene.catalog.holds(TARGET))
