"""The HTTP interface of storage-rest: the original's requests, and our own (docs/protocol.md)."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from importlib import resources
from math import isfinite

from aiohttp import web

from common import STORAGE, feed, strict_json, wire
from common.health import Health
from common.http.access import AccessPolicy
from common.http.problems import HttpProblem
from common.http.server import add_status, create_app, read_body
from common.metrics import Metrics
from services.storage_rest import administration
from services.storage_rest.screening import Unacceptable
from services.storage_rest.service import StorageService, TooManyFollowers
from services.storage_rest.settings import StorageSettings
from services.storage_rest.status import report
from services.storage_rest.stores.base import Refusal, StoreUnavailable

BODY_LIMIT = 16 * 1024 * 1024
"""Largest request, in bytes; a larger batch must be sent in parts."""
LONGEST_WAIT = 60.0
"""Seconds that a request for changes may be held open."""
FOLLOW_LATER = 5
"""Seconds after which a client may try again when too many wait for changes."""
MOST_KEYS = 100_000
"""Most keys in one `/currentkeyset`."""
KEYS_LINE_LIMIT = 1024 * 1024
"""Longest request line, in bytes: the original's `/currentkeyset` has every key in its query."""
HELD_HEADER = "X-Connector-Held"

_PIECE = 256 * 1024

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_storage_app(
    *, service: StorageService, metrics: Metrics, health: Health, access: AccessPolicy, settings: StorageSettings
) -> web.Application:
    """Return the web application for `service`."""
    app = create_app(
        name=STORAGE,
        metrics=metrics,
        health=health,
        access=access,
        body_limit=BODY_LIMIT,
        line_limit=KEYS_LINE_LIMIT,
    )
    handlers = _Handlers(service, yaml=settings.writes_yaml)
    app.router.add_post("/upsert", _with_problems(handlers.upsert))
    app.router.add_post("/currentkeyset", _with_problems(handlers.current_key_set))
    app.router.add_get("/list", _with_problems(handlers.list))
    app.router.add_get("/fetch", _with_problems(handlers.fetch))
    app.router.add_post("/batch", _with_problems(handlers.batch))
    app.router.add_get("/snapshot", _with_problems(handlers.snapshot), allow_head=False)
    app.router.add_get("/changes", _with_problems(handlers.changes), allow_head=False)
    app.router.add_get("/openapi.json", openapi)
    administration.add_routes(app, service)
    add_status(app, lambda: report(service, health=health, settings=settings))

    async def end_waiting(_app: web.Application) -> None:
        service.stored.close()

    app.on_shutdown.append(end_waiting)
    return app


def openapi_text() -> str:
    """Return the OpenAPI description of storage-rest."""
    return resources.files(__package__).joinpath("openapi.json").read_text(encoding="utf-8")


async def openapi(_request: web.Request) -> web.Response:
    """Serve the OpenAPI description."""
    return web.Response(text=openapi_text(), content_type="application/json")


class _Handlers:
    """One method for each request."""

    def __init__(self, service: StorageService, *, yaml: bool) -> None:
        self._service = service
        self._stored = service.stored
        self._yaml = yaml

    async def upsert(self, request: web.Request) -> web.Response:
        key = _parameter(request, "key")
        try:
            feed.check_key(key)  # before the body is read
        except feed.Refused as fault:
            raise Unacceptable(400, str(fault)) from None
        body = await read_body(request)
        try:
            upsert = wire.parse_original_upsert(body, key=key, reconciler=request.query.get("type", ""))
        except ValueError as fault:  # a WireError, or invalid base64
            raise Unacceptable(400, str(fault)) from None
        outcome = await self._service.apply(wire.Batch(upserts=(upsert,)))
        if outcome.problems:
            raise Unacceptable(outcome.problems[0].status, outcome.problems[0].detail)
        return web.Response(status=201)

    async def current_key_set(self, request: web.Request) -> web.Response:
        named = ",".join(request.query.getall("key", []))
        body = await read_body(request)
        keys = _named_keys(body) if body else tuple(named.split(","))
        if len(keys) > MOST_KEYS:
            raise Unacceptable(413, f"the request has {len(keys)} keys; at most {MOST_KEYS} are allowed")
        held = await self._service.keep_only(frozenset(key for key in keys if key))
        return web.Response(headers={HELD_HEADER: str(held)} if held else None)

    async def list(self, request: web.Request) -> web.Response:
        await self._stored.loaded()
        tag = f'"{self._stored.revision}"'
        detailed = _flag(request, "detail")
        if not detailed:
            self._service.read_by_original()
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        if detailed:
            listing = await self._service.listing()
            assert listing is not None  # noqa: S101 - it is None only if a revision was given
            fields = json.loads(wire.encode_listing(listing)) | {"problems": _problems(self._service.problems)}
        else:
            fields = {"keys": self._stored.keys}
        return web.Response(body=_dump(fields), content_type="application/json", headers={"ETag": tag})

    async def fetch(self, request: web.Request) -> web.Response:
        await self._stored.loaded()
        key = _parameter(request, "key")
        self._service.read_by_original()
        entry = self._stored.shown(key)
        if entry is None:
            raise HttpProblem(404, f"nothing is stored under the key {key[:80]!r}; GET /list lists all keys")
        return web.Response(body=wire.encode_storage_body(entry, yaml=self._yaml), content_type="application/json")

    async def batch(self, request: web.Request) -> web.Response:
        outcome = await self._service.apply(wire.parse_batch(await read_body(request)))
        answer = {
            "revision": outcome.revision,
            "base": outcome.base,
            "changed": outcome.changed,
            "unchanged": outcome.unchanged,
            "removed": outcome.removed,
            "problems": _problems(outcome.problems),
        }
        return web.Response(body=_dump(answer), content_type="application/json")

    async def snapshot(self, request: web.Request) -> web.StreamResponse:
        await self._stored.loaded()
        whole = self._service.snapshot()
        tag = f'"{whole.revision}"'
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers={"ETag": tag})
        return web.Response(
            body=_pieces(wire.snapshot_lines(whole)), content_type=wire.SNAPSHOT_TYPE, headers={"ETag": tag}
        )

    async def changes(self, request: web.Request) -> web.Response:
        await self._stored.loaded()
        since, wait = _parameter(request, "since"), _seconds(request, "wait")
        try:
            changes = await self._service.changes(since, wait)
        except TooManyFollowers:
            later = {"Retry-After": str(FOLLOW_LATER)}
            raise HttpProblem(429, "too many requests are waiting for changes", headers=later) from None
        if changes is None:
            raise HttpProblem(410, "the changes since this revision are no longer known: read GET /snapshot again")
        return web.Response(body=wire.encode_changes(changes), content_type="application/json")


def _with_problems(handler: Handler) -> Handler:
    """Return a handler that answers with a problem (RFC 9457) if this one raises an expected exception."""

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (Unacceptable, wire.WireError, StoreUnavailable) as fault:
            raise _problem(fault) from None

    return answer


def _problem(fault: Unacceptable | wire.WireError | StoreUnavailable) -> HttpProblem:
    if isinstance(fault, StoreUnavailable):
        return HttpProblem(503, str(fault), headers={"Retry-After": str(fault.retry_after)})
    return HttpProblem(fault.status if isinstance(fault, Unacceptable) else 400, str(fault))


def _problems(refusals: Iterable[Refusal]) -> list[dict[str, str | int]]:
    return [{"key": refusal.key, "status": refusal.status, "detail": refusal.detail} for refusal in refusals]


def _named_keys(body: bytes) -> tuple[str, ...]:
    """Return the keys in the body of `/currentkeyset`; "no keys" must be explicit, because it removes everything."""
    fields = strict_json.parse_object(body)
    if not isinstance(fields.get("keys"), list):
        raise Unacceptable(400, "'keys' must be a list; an empty list means that there are no models")
    return strict_json.texts(fields, "keys")


def _parameter(request: web.Request, name: str) -> str:
    value = request.query.get(name, "")
    if not value:
        raise HttpProblem(400, f"the query parameter {name!r} is missing")
    return value


def _flag(request: web.Request, name: str) -> bool:
    value = request.query.get(name, "false")
    if value not in ("true", "false"):
        raise HttpProblem(400, f"the query parameter {name!r} must be true or false")
    return value == "true"


def _seconds(request: web.Request, name: str) -> float:
    try:
        seconds = float(request.query.get(name, "0"))
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds) or not 0 <= seconds <= LONGEST_WAIT:
        raise HttpProblem(400, f"the query parameter {name!r} must be a number of seconds from 0 to {LONGEST_WAIT:g}")
    return seconds


async def _pieces(lines: Iterable[bytes]) -> AsyncIterator[bytes]:
    """Join lines into pieces that are large enough for a write to the socket."""
    piece = bytearray()
    for line in lines:
        piece += line
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
