"""The fakes as a process of their own: the control API inside it, and the client that drives it from a test."""

import asyncio
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import aiohttp
from aiohttp import web

from tests.fakes.registry.catalog import FakeCatalog
from tests.fakes.registry.paging import PageLimits
from tests.fakes.registry.registry import FakeRegistry
from tests.fakes.registry.server import FakeServer

ROOT = Path(__file__).resolve().parents[3]
COMMON = ("up", "down", "present", "fail", "heal", "counted")
CALLABLE: Mapping[str, tuple[str, ...]] = {
    "registry": (
        *COMMON,
        *("add_model", "add_version", "add_artifact", "add_environment", "add_inference_service", "populate"),
        *("edit", "archive", "restore", "undeploy", "delete", "add_raw", "load", "rebuild"),
    ),
    "catalog": (*COMMON, "put_card", "drop_card"),
}


def control_app(servers: Mapping[str, FakeServer]) -> web.Application:
    """Return the control API: `POST /{registry|catalog}/{method}` with `{"args": […], "kwargs": {…}}`."""

    async def call(request: web.Request) -> web.Response:
        name, method = request.match_info["server"], request.match_info["method"]
        if method not in CALLABLE.get(name, ()):
            raise web.HTTPNotFound(text=f"no method {name}.{method}")
        order = await request.json()
        result = getattr(servers[name], method)(*order.get("args", ()), **order.get("kwargs", {}))
        return web.json_response({"result": await result if inspect.isawaitable(result) else result})

    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/{server}/{method}", call)
    return app


async def serve(options: Mapping[str, Any]) -> None:
    """Run a registry, a catalog and their control API until standard input ends."""
    tokens = options.get("tokens", ())
    tls = bool(options.get("tls", False))
    size = options.get("page_size")
    limits = PageLimits(default=size, cap=size) if size else None
    async with (
        FakeRegistry(tls=tls, tokens=tokens, limits=limits) as registry,
        FakeCatalog(tls=tls, tokens=tokens) as catalog,
    ):
        runner = web.AppRunner(control_app({"registry": registry, "catalog": catalog}), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        facts = {
            "url": registry.url,
            "catalog": catalog.url,
            "control": f"http://127.0.0.1:{runner.addresses[0][1]}",
            "ca": registry.ca_pem + catalog.ca_pem,
        }
        print(json.dumps(facts), flush=True)
        try:
            await asyncio.to_thread(sys.stdin.buffer.read)
        finally:
            await runner.cleanup()


class ProcessRegistry:
    """A registry and a catalog in another process, used with `async with`.

    Options: `tls`, `tokens` of both; `page_size` of the registry, whatever is asked for.

    `await fakes.registry("add_model", "granite")` calls that method of the `FakeRegistry` over there,
    `await fakes.catalog(...)` one of the `FakeCatalog`; what they take and return is JSON.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""
        self.catalog_url = ""
        self.ca_pem = ""
        self._control = ""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.fakes.registry", json.dumps(self._options)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1024 * 1024,
        )
        assert self._process.stdout is not None
        facts = json.loads(await asyncio.wait_for(self._process.stdout.readline(), 20))
        self.url, self.catalog_url = facts["url"], facts["catalog"]
        self._control, self.ca_pem = facts["control"], facts["ca"]
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        if self._session is not None:
            await self._session.close()
        self._process.stdin.close()
        await self._process.wait()

    async def registry(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the registry."""
        return await self._call("registry", method, args, kwargs)

    async def catalog(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the catalog."""
        return await self._call("catalog", method, args, kwargs)

    async def _call(self, server: str, method: str, args: Any, kwargs: Any) -> Any:
        assert self._session is not None
        order = {"args": args, "kwargs": kwargs}
        async with self._session.post(f"{self._control}/{server}/{method}", json=order) as answer:
            assert answer.status == 200, await answer.text()
            return (await answer.json())["result"]
