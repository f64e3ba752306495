"""An application on a real socket, spoken to in raw bytes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from common.health import Health
from common.http.addresses import Address
from common.http.server import create_app, listening, read_body
from common.metrics import Metrics
from tests.waiting import PATIENCE


class Server:
    """An application with a few routes, and the port it is served on."""

    def __init__(self, **options: Any) -> None:
        self.metrics, self.health = Metrics("test", "0"), Health()
        options.setdefault("access", None)
        self.app = create_app(name="test", metrics=self.metrics, health=self.health, **options)
        self.app.router.add_get("/hello", self._hello)
        self.app.router.add_post("/echo", self._echo)
        self.app.router.add_get("/fault", self._fault)
        self.app.router.add_get("/large", self._large)
        self.app.router.add_get("/slow", self._slow)
        self.release = asyncio.Event()
        self.entered = asyncio.Event()
        self.port = 0

    async def _hello(self, _request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def _echo(self, request: web.Request) -> web.Response:
        return web.Response(body=await read_body(request))

    async def _fault(self, _request: web.Request) -> web.Response:
        raise RuntimeError("inner detail")

    async def _large(self, _request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 50_000_000)

    async def _slow(self, _request: web.Request) -> web.Response:
        self.entered.set()
        await self.release.wait()
        return web.Response(text="late")

    @asynccontextmanager
    async def running(self, *, grace: float = 1) -> AsyncIterator["Server"]:
        async with listening(self.app, [Address("127.0.0.1", 0)], grace=grace) as (address,):
            self.port = address.port
            yield self

    async def send(self, raw: bytes | str, *, timeout: float = PATIENCE) -> "Answer":
        """Send bytes, and return what comes until the other side closes or a whole answer is there."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(raw.encode("latin-1") if isinstance(raw, str) else raw)
            await writer.drain()
            async with asyncio.timeout(timeout):
                head = await reader.readuntil(b"\r\n\r\n")
                answer = Answer(head)
                answer.body = await reader.readexactly(int(answer.headers.get("content-length", "0")))
            return answer
        finally:
            writer.close()


class Answer:
    """An answer taken apart."""

    def __init__(self, head: bytes) -> None:
        status, *lines = head.decode("latin-1").split("\r\n")
        self.status = int(status.split(" ")[1])
        self.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        self.body = b""

    @property
    def problem(self) -> dict[str, Any]:
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["x-content-type-options"] == "nosniff"
        fields: dict[str, Any] = json.loads(self.body)
        assert fields["status"] == self.status
        return fields
