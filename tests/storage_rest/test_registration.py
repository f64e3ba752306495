"""PUSH_TO_RHDH: the feed registered with a Backstage that has no plugin for it."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.storage_rest import registration
from services.storage_rest.factory import registering
from services.storage_rest.settings import StorageSettings
from tests.waiting import eventually

TARGET = "http://localhost:9090/catalog-info.yaml"


class Backstage:
    """The part of a catalog's API that takes locations; answers with `statuses` in turn, then as Backstage does."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.asked: list[tuple[str, str]] = []
        self.locations: set[str] = set()

    async def create(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.asked.append((request.headers.get("Authorization", ""), body["target"]))
        assert body["type"] == "url"
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        if body["target"] in self.locations:
            return web.Response(status=409)
        self.locations.add(body["target"])
        return web.Response(status=201)


@pytest.fixture
async def backstage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Backstage, StorageSettings]]:
    monkeypatch.setattr(registration, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(registration, "LONGEST_PAUSE", 0.02)
    catalog = Backstage()
    app = web.Application()
    app.router.add_post("/api/catalog/locations", catalog.create)
    async with TestServer(app) as server:
        settings = StorageSettings.load(
            push_to_rhdh=True,
            backstage_url=str(server.make_url("")),
            backstage_token="s3cret",
            bridge_url="http://localhost:9090",
        )
        yield catalog, settings


async def test_the_feed_is_registered_once(backstage: tuple[Backstage, StorageSettings]) -> None:
    catalog, settings = backstage
    async with registering(settings):
        await eventually(lambda: catalog.locations == {TARGET})
    assert catalog.asked == [("Bearer s3cret", TARGET)]


async def test_one_that_is_registered_already_is_left_alone(backstage: tuple[Backstage, StorageSettings]) -> None:
    catalog, settings = backstage
    catalog.locations = {TARGET}
    async with registering(settings):
        await eventually(lambda: catalog.asked)
    assert len(catalog.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_it_is_tried_until_backstage_takes_it(backstage: tuple[Backstage, StorageSettings], status: int) -> None:
    catalog, settings = backstage
    catalog.statuses = [status, status]
    async with registering(settings):
        await eventually(lambda: catalog.locations == {TARGET})


async def test_without_the_switch_nothing_is_sent(backstage: tuple[Backstage, StorageSettings]) -> None:
    catalog, settings = backstage
    async with registering(settings.model_copy(update={"push_to_rhdh": False})):
        await asyncio.sleep(0)
    assert not catalog.asked
