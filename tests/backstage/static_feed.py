"""A location service that says what a test tells it to say, right or wrong: it proves that the rig notices."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from tests.backstage.readers import CONNECTOR_ID

Document = dict[str, Any]
Answer = tuple[int, str]
"""Status and body."""


class StaticFeed:
    """Serves `documents` (by key `seg1_seg2`) to both plugin generations, `cards` by key, and `descriptor` as YAML.

    `answers` overrides: a path below the reader's base URL, such as `/list`, and the answer it gets instead.
    """

    def __init__(self, documents: Mapping[str, Document], *, cards: Mapping[str, str], descriptor: str = "") -> None:
        self.documents: dict[str, Any] = dict(documents)
        self.cards = dict(cards)
        self.descriptor = descriptor
        self.answers: dict[str, Answer] = {}
        self.base_url = ""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve on a free port of the loopback interface while the context lasts."""
        second = f"/api/{CONNECTOR_ID}"
        app = web.Application(middlewares=[self._override])
        app.router.add_get("/list", self._list_of_the_first)
        app.router.add_get("/{seg1}/{seg2}/model-catalog.json", self._document)
        app.router.add_get("/modelcard", self._card)
        app.router.add_get("/catalog-info.yaml", self._descriptor)
        app.router.add_get(f"{second}/list", self._list_of_the_second)
        app.router.add_get(f"{second}/models/{{key}}", self._document)
        app.router.add_get(f"{second}/modelcard/{{key}}", self._card)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()

    @web.middleware
    async def _override(self, request: web.Request, handler: Any) -> web.StreamResponse:
        path = request.path.removeprefix(f"/api/{CONNECTOR_ID}")
        if path in self.answers:
            status, body = self.answers[path]
            return web.Response(status=status, text=body, content_type="application/json")
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _list_of_the_first(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"uris": [f"/{key.replace('_', '/', 1)}/model-catalog.json" for key in self.documents]}
        )

    async def _list_of_the_second(self, _: web.Request) -> web.Response:
        return web.json_response({"uris": list(self.documents)})

    async def _document(self, request: web.Request) -> web.Response:
        path = request.match_info
        key = path.get("key") or f"{path['seg1']}_{path['seg2']}"
        if key not in self.documents:
            raise web.HTTPNotFound
        return web.json_response(self.documents[key])

    async def _card(self, request: web.Request) -> web.Response:
        key = request.match_info.get("key") or request.query["key"]
        if key not in self.cards:
            raise web.HTTPNotFound
        return web.Response(text=self.cards[key], content_type="text/markdown")

    async def _descriptor(self, _: web.Request) -> web.Response:
        return web.Response(text=self.descriptor, content_type="application/yaml")
