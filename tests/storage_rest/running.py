"""A storage-rest on a real socket inside the test, and ways to speak to it."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from common.health import Health
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.http.client import HttpClient
from common.http.server import listening
from common.metrics import Metrics
from common.secrets import StaticToken
from common.wire import Upsert
from services.storage_rest.app import create_storage_app
from services.storage_rest.push import Pusher
from services.storage_rest.removals import RemovalPolicy
from services.storage_rest.service import StorageService
from services.storage_rest.settings import StorageSettings
from services.storage_rest.stores.base import Store
from services.storage_rest.stores.local import MemoryStore
from services.storage_rest.telemetry import StorageMetrics

T = TypeVar("T")

TOKEN = "sesame"
WIRE = Path(__file__).parent / "wire"


def present(value: T | None) -> T:
    """Return what must be there."""
    assert value is not None
    return value


def document(name: str = "iris", **fields: Any) -> bytes:
    """A document with one model."""
    model = {"name": name, "owner": "anna", "description": "d", "lifecycle": "production", **fields}
    return json.dumps({"models": [model]}, separators=(",", ":")).encode()


def upsert(key: str = "serving_iris", body: bytes | None = None, **fields: Any) -> Upsert:
    """An upsert of a document that bears the name of its key."""
    return Upsert(key=key, body=document(key) if body is None else body, **{"reconciler": "kserve", **fields})


def original_request(name: str) -> bytes:
    """A request as a client of the original sends it, byte for byte, with the token of the tests."""
    return (WIRE / f"{name}.request").read_bytes().replace(b"Bearer TOKEN", f"Bearer {TOKEN}".encode())


@dataclass(frozen=True)
class Answer:
    """An answer as it came over the socket."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Running:
    """The service and where it listens."""

    service: StorageService
    address: Address
    metrics: Metrics
    health: Health
    http: aiohttp.ClientSession = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def ask(self, method: str, path: str, *, token: str | None = TOKEN, **options: Any) -> Answer:
        """Send a request; `path` is taken as it is."""
        headers = {**options.pop("headers", {}), **({"Authorization": f"Bearer {token}"} if token else {})}
        async with self.http.request(method, f"{self.url}{path}", headers=headers, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def send(self, raw: bytes) -> Answer:
        """Send bytes over a fresh connection and return the answer."""
        reader, writer = await asyncio.open_connection(self.address.host, self.address.port)
        try:
            writer.write(raw)
            await writer.drain()
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = CIMultiDict(re.findall(r"^([^:\r\n]+): (.*)\r$", head, re.MULTILINE))
            body = await reader.readexactly(int(headers.get("Content-Length", 0)))
            return Answer(int(head.split()[1]), headers, body)
        finally:
            writer.close()
            await writer.wait_closed()

    async def batch(self, **fields: Any) -> Answer:
        return await self.ask("POST", "/batch", json=fields)

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"rhoai_connector_storage_{name}", labels) or 0.0


@asynccontextmanager
async def background(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines for the time of the block; an error in one ends the block."""
    async with asyncio.TaskGroup() as tasks:
        started = [tasks.create_task(coroutine) for coroutine in coroutines]
        try:
            yield
        finally:
            for task in started:
                task.cancel()


@asynccontextmanager
async def running(
    store: Store | None = None,
    *,
    telemetry: StorageMetrics | None = None,
    metrics: Metrics | None = None,
    health: Health | None = None,
    bridge: str = "",
    document_limit: int = 1024 * 1024,
    policy: RemovalPolicy | None = None,
    clock: Callable[[], float] = time.time,
    token: str = TOKEN,
) -> AsyncIterator[Running]:
    """A service on a store (memory unless told), pushing to `bridge` if given."""
    metrics = metrics or Metrics("storage-rest", "test")
    health = health or Health()
    telemetry = telemetry or StorageMetrics(metrics)
    service = StorageService(
        store=store or MemoryStore(),
        telemetry=telemetry,
        health=health,
        document_limit=document_limit,
        policy=policy or RemovalPolicy(),
        clock=clock,
    )
    access = AccessPolicy(token=StaticToken(token) if token else None)
    app = create_storage_app(
        service=service, metrics=metrics, health=health, access=access, settings=StorageSettings.load()
    )
    work = [service.stored.run()]
    client = HttpClient(name="location", base_url=bridge or "http://127.0.0.1:1", token=StaticToken(token))
    async with client, aiohttp.ClientSession() as http:
        if bridge:
            pusher = Pusher(client=client, cache=service.stored, telemetry=telemetry)
            service.stored.pushes = pusher
            work.append(pusher.run())
        async with (
            background(*work),
            listening(app, [Address("127.0.0.1", 0)], grace=2) as bound,
        ):
            yield Running(service, bound[0], metrics, health, http)


@dataclass
class OriginalLocation:
    """A location that knows only the original's requests and records them."""

    url: str = ""
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[tuple[str, str, bytes, dict[str, str]]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        self.requests.append((request.method, request.path_qs, raw, dict(request.headers)))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        key = request.query["key"]
        if request.method == "DELETE":
            self.documents.pop(key, None)
            return web.Response()
        self.documents[key] = json.loads(raw)
        return web.Response(status=201)


@asynccontextmanager
async def original_location(statuses: Sequence[int] = ()) -> AsyncIterator[OriginalLocation]:
    """Such a location on a socket; `statuses` are its first answers."""
    location = OriginalLocation(statuses=list(statuses))
    app = web.Application()
    app.router.add_route("*", "/{path:upsert|remove}", location.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        location.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield location
    finally:
        with suppress(RuntimeError):
            await runner.cleanup()
