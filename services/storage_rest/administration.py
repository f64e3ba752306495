"""The requests of administrators: list the entries that are leaving, and confirm or refuse their removal."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from aiohttp import web

from common import strict_json
from common.http.problems import HttpProblem
from common.http.server import read_body
from services.storage_rest.service import NotLeaving, StorageService
from services.storage_rest.stores.base import StoreUnavailable

T = TypeVar("T")


def add_routes(app: web.Application, service: StorageService) -> None:
    """Add the routes below `/removals`."""

    async def show(_request: web.Request) -> web.Response:
        await _with_problems(service.stored.loaded())
        return _answer(
            {
                "damage": service.stored.damage,
                "leaving": [
                    {
                        "key": entry.key,
                        "ref": entry.ref,
                        "source": entry.source,
                        "reason": mark.reason,
                        "since": _moment(mark.since),
                        "due": None if due is None else _moment(due),
                    }
                    for entry, mark, due in service.leaving
                ],
                "left": [
                    {
                        "key": departure.key,
                        "ref": departure.ref,
                        "source": departure.source,
                        "reason": departure.reason,
                        "at": _moment(departure.at),
                    }
                    for departure in service.stored.departures
                ],
            }
        )

    async def confirm(request: web.Request) -> web.Response:
        return await _decide(request, service.confirm)

    async def refuse(request: web.Request) -> web.Response:
        return await _decide(request, service.refuse)

    async def accept(_request: web.Request) -> web.Response:
        return _answer({"damage": await _with_problems(service.accept())})

    async def _decide(request: web.Request, decide: Callable[[list[str]], Awaitable[None]]) -> web.Response:
        await _with_problems(service.stored.loaded())
        keys = await _keys(request, service)
        await _with_problems(decide(keys))
        return _answer({"keys": keys})

    app.router.add_get("/removals", show)
    app.router.add_post("/removals/confirm", confirm)
    app.router.add_post("/removals/refuse", refuse)
    app.router.add_post("/removals/accept", accept)


async def _keys(request: web.Request, service: StorageService) -> list[str]:
    try:
        fields = strict_json.parse_object(await read_body(request))
        keys, everything = strict_json.texts(fields, "keys"), strict_json.flag(fields, "all")
    except strict_json.JsonError as fault:
        raise HttpProblem(400, str(fault)) from None
    if everything == bool(keys):
        raise HttpProblem(400, 'the body must be {"keys": ["a_b"]} or, for everything that is leaving, {"all": true}')
    return [entry.key for entry, _, _ in service.leaving] if everything else sorted(set(keys))


async def _with_problems(work: Awaitable[T]) -> T:
    try:
        return await work
    except NotLeaving as fault:
        raise HttpProblem(404, f"{fault}; GET /removals lists what is") from None
    except StoreUnavailable as fault:
        raise HttpProblem(503, str(fault), headers={"Retry-After": str(fault.retry_after)}) from None


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _answer(fields: dict[str, Any]) -> web.Response:
    return web.Response(
        body=json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode(), content_type="application/json"
    )
