"""The HTTP server of all services: errors, request ids, limits, health, metrics, graceful stop."""

import asyncio
import itertools
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache, partial

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from common import PRODUCT, randomness
from common import metrics as metrics_format
from common.health import Health
from common.http import transports
from common.http.access import AccessPolicy
from common.http.addresses import Address
from common.http.connection import HEAD_LINE_LIMIT, ServerConnection
from common.http.problems import HttpProblem
from common.metrics import Metrics
from common.status import StatusModel

log = structlog.get_logger("http")

DEFAULT_BODY_LIMIT = 2 * 1024 * 1024
BODY_TIMEOUT = 30.0
"""Seconds within which the body of a request must arrive."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_LINE_LIMIT = web.AppKey("line_limit", int)
REQUEST_ID = web.RequestKey("request_id", str)


class _Traffic:
    """The metrics of all servers of a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "rhoai_connector_http_requests",
            "Requests answered",
            ["server", "route", "method", "code"],
            registry=registry,
        )
        self.last = Gauge(
            "rhoai_connector_http_last_request_timestamp_seconds",
            "When the last request was answered",
            ["server", "route"],
            registry=registry,
        )
        self.seconds = Histogram(
            "rhoai_connector_http_request_seconds",
            "Time to answer a request",
            ["server", "route"],
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30),
            registry=registry,
        )


def create_app(
    *,
    name: str,
    metrics: Metrics,
    health: Health,
    access: AccessPolicy | None,
    body_limit: int = DEFAULT_BODY_LIMIT,
    line_limit: int = HEAD_LINE_LIMIT,
) -> web.Application:
    """Return an application with `/healthz`, `/readyz`, `/metrics` and the common behaviour of all services.

    `name` is a label of its metrics and log lines; `access=None` allows every request; bodies larger than `body_limit`
    bytes are answered with 413, request lines longer than `line_limit` with 400.
    """
    traffic = metrics.shared(_Traffic)
    metrics.watch(health)
    # Looking up the child of a metric takes longer than counting, and there are few of them.
    count = cache(partial(traffic.requests.labels, name))
    duration = cache(partial(traffic.seconds.labels, name))
    last = cache(partial(traffic.last.labels, name))
    fresh_id = map("{}-{:x}".format, itertools.repeat(randomness.identifier(4)), itertools.count(1))

    @web.middleware
    async def skeleton(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        offered = request.headers.get("X-Request-Id", "")
        request_id = offered if _REQUEST_ID.match(offered) else next(fresh_id)
        request[REQUEST_ID] = request_id
        try:
            if access is not None:
                await access.check(request)
            response = await handler(request)
        except HttpProblem as problem:
            response = problem.response(instance=request.path, request_id=request_id)
        except web.HTTPException as error:
            response = _as_problem(error, request).response(instance=request.path, request_id=request_id)
        except Exception:
            log.exception("request_failed", server=name, path=request.path, request_id=request_id)
            fault = HttpProblem(500, "an internal error: see the log of this service for the request id")
            response = fault.response(instance=request.path, request_id=request_id)
        route = _route(request)
        count(route, request.method, response.status).inc()
        duration(route).observe(time.perf_counter() - began)
        last(route).set_to_current_time()
        log.debug(
            "request_answered",
            server=name,
            method=request.method,
            path=request.path,
            status=response.status,
            seconds=round(time.perf_counter() - began, 6),
            request_id=request_id,
        )
        return response

    app = web.Application(middlewares=[skeleton], client_max_size=body_limit)
    app.on_response_prepare.append(_add_headers)
    app[_LINE_LIMIT] = line_limit
    _add_own_routes(app, metrics, health)
    return app


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the headers of every answer, including those that aiohttp sends without calling our handlers."""
    if REQUEST_ID in request:
        response.headers["X-Request-Id"] = request[REQUEST_ID]
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Server"] = PRODUCT


def _add_own_routes(app: web.Application, metrics: Metrics, health: Health) -> None:
    async def healthz(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        return web.Response(
            status=200 if health.ready else 503,
            text=json.dumps(health.report(), indent=1) + "\n",
            content_type="application/json",
        )

    async def render(_request: web.Request) -> web.Response:
        return web.Response(body=metrics.render(), headers={"Content-Type": metrics_format.CONTENT_TYPE})

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", render)


def add_status(app: web.Application, status: Callable[[], StatusModel]) -> None:
    """Add `/status`; like other reads, it is open to this host and otherwise needs the token."""

    async def show(_request: web.Request) -> web.Response:
        return web.Response(body=status().encode(), content_type="application/json")

    app.router.add_get("/status", show)


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "none"


def _as_problem(error: web.HTTPException, request: web.Request) -> HttpProblem:
    headers = {key: value for key, value in error.headers.items() if key in ("Allow", "Location")}
    details = {
        404: f"nothing is served at {request.path}",
        405: f"{request.path} does not allow {request.method}, only {headers.get('Allow')}",
        413: f"the body is larger than {request.client_max_size} bytes",
    }
    return HttpProblem(error.status, details.get(error.status, error.text or error.reason), headers=headers)


async def read_body(request: web.Request) -> bytes:
    """Return the whole body.

    Raises:
        HttpProblem: 408 if it does not arrive within `BODY_TIMEOUT`, 415 if it is compressed (no client of ours does
            that, and a few bytes could expand to gigabytes), 400 if it breaks the rules of HTTP.
        web.HTTPRequestEntityTooLarge: it exceeds the application's limit.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise HttpProblem(415, "compressed bodies are not accepted: send it without Content-Encoding")
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await request.read()
    except web.RequestPayloadError:
        raise HttpProblem(400, "the body breaks the rules of HTTP", headers={"Connection": "close"}) from None
    except TimeoutError:
        raise HttpProblem(
            408, f"the body did not arrive within {BODY_TIMEOUT:g} s", headers={"Connection": "close"}
        ) from None


@asynccontextmanager
async def listening(
    app: web.Application, addresses: Sequence[Address], *, grace: float = 10
) -> AsyncIterator[list[Address]]:
    """Serve `app` during the block; yields the addresses that were bound (port 0: the system's choice).

    At the end, no new connections are accepted, and requests under way have `grace` seconds to finish.

    Raises:
        OSError: an address cannot be bound; the message says which.
    """
    line_limit = app.get(_LINE_LIMIT, HEAD_LINE_LIMIT)
    runner = web.AppRunner(app, shutdown_timeout=grace, handler_cancellation=True)
    await runner.setup()
    try:
        manager = runner.server
        assert manager is not None  # noqa: S101 - it exists after setup
        new_connection = partial(ServerConnection, manager, line_limit=line_limit)
        async with AsyncExitStack() as listeners:
            bound: list[Address] = []
            for address in addresses:
                bound += await listeners.enter_async_context(transports.current().listen(new_connection, address))
            yield bound
    finally:
        await runner.cleanup()


async def run(
    app: web.Application,
    addresses: Sequence[Address],
    *,
    stop: asyncio.Event,
    started: Callable[[Sequence[Address]], None],
    grace: float = 10,
) -> None:
    """Serve `app` until `stop` is set; `started` is called with the addresses that were bound."""
    async with listening(app, addresses, grace=grace) as bound:
        started(bound)
        await stop.wait()
