"""A storage service that knows the original's requests and no others."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


class OriginalStorage:
    """Keeps what it is sent; `requests` are those it got, as method and path with query."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.types: dict[str, str] = {}
        self.cards: dict[str, str] = {}
        self.requests: list[str] = []
        self.refuse: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/list", self._list)
        app.router.add_get("/fetch", self._fetch)
        app.router.add_post("/upsert", self._upsert)
        app.router.add_post("/currentkeyset", self._keep_only)
        return app

    async def _list(self, request: web.Request) -> web.Response:
        self.requests.append(f"GET {request.path_qs}")
        return web.json_response({"keys": list(self.documents)})

    async def _fetch(self, request: web.Request) -> web.Response:
        self.requests.append(f"GET {request.path_qs}")
        key = request.query["key"]
        body = {
            "body": base64.b64encode(self.documents[key]).decode(),
            "locationId": "",
            "locationTarget": "",
            "locationIDValid": False,
            "reconcilerType": self.types[key],
            "lastUpdateTimeSinceEpoch": "",
        }
        return web.json_response(body)

    async def _upsert(self, request: web.Request) -> web.Response:
        self.requests.append(f"POST {request.path_qs}")
        key = request.query["key"]
        if key in self.refuse:
            return web.Response(status=400, text="no")
        body = json.loads(await request.read())
        self.documents[key] = base64.b64decode(body["body"])
        self.types[key] = request.query["type"]
        if body["modelCardKey"]:
            self.cards[body["modelCardKey"]] = body["modelCard"]
        return web.Response(status=201)

    async def _keep_only(self, request: web.Request) -> web.Response:
        self.requests.append(f"POST {request.path_qs}")
        kept = set(filter(None, request.query.get("key", "").split(",")))
        self.documents = {key: body for key, body in self.documents.items() if key in kept}
        return web.Response()


@asynccontextmanager
async def original_storage() -> AsyncIterator[tuple[OriginalStorage, str]]:
    """Serve one for the time of the block; gives it and its address."""
    storage = OriginalStorage()
    async with TestServer(storage.app()) as server:
        yield storage, str(server.make_url("")).rstrip("/")
