"""A running location, and storages for it to follow."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import yarl
from aiohttp import web

from common.health import Health
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.http.server import listening
from common.metrics import Metrics
from common.secrets import StaticToken
from common.wire import Changes
from services.location.app import create_location_app
from services.location.delivery import prepare
from services.location.shelf import Shelf

TOKEN = "the-token-of-the-sidecars"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


class AcceptEveryPush:
    """A follower that has not reached any storage: every push is newer."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def is_newer(self, revision: str | None) -> bool:
        return revision != "old-1"

    def note_push(self, key: str) -> None:
        self.keys.append(key)


@dataclass
class Location:
    """A location that serves on a real socket, with a client for it."""

    app: web.Application
    shelf: Shelf
    health: Health
    client: aiohttp.ClientSession
    port: int

    def fill(self, *upserts: Any, cards: dict[str, str] | None = None, complete: bool = True) -> None:
        self.shelf.apply(
            prepare(Changes(revision="a-1", complete=complete, upserts=upserts, cards=cards or {}), whole=True)
        )

    async def get(self, path: str, **headers: str) -> tuple[int, Any, bytes]:
        """Return status, headers and body; the path is sent as it is, header names are written with `_` for `-`."""
        given = {"Accept-Encoding": "identity"} | {name.replace("_", "-"): value for name, value in headers.items()}
        url = yarl.URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.client.get(url, headers=given, allow_redirects=False) as answer:
            return answer.status, answer.headers, await answer.read()


@asynccontextmanager
async def running_location(**options: Any) -> AsyncIterator[Location]:
    """Serve an empty shelf; `options` go to the application."""
    metrics, health = Metrics("location", "test"), Health()
    shelf = Shelf(health=health)
    options.setdefault("access", AccessPolicy(token=StaticToken(TOKEN)))
    options.setdefault("follower", AcceptEveryPush())
    app = create_location_app(shelf=shelf, metrics=metrics, health=health, **options)
    async with AsyncExitStack() as stack:
        (address,) = await stack.enter_async_context(listening(app, [Address("127.0.0.1", 0)], grace=1))
        client = await stack.enter_async_context(
            aiohttp.ClientSession(f"http://127.0.0.1:{address.port}", auto_decompress=False)
        )
        yield Location(app, shelf, health, client, address.port)


@pytest.fixture
async def location() -> AsyncIterator[Location]:
    async with running_location() as running:
        yield running
