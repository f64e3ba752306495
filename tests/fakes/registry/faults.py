"""Faults on command: what registries, their proxies and their networks do on bad days."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from aiohttp import web

Kind = Literal[
    "status",  # answer `status`
    "slow",  # answer after `seconds`
    "hang",  # never answer
    "empty",  # 200 {}
    "login",  # 200 with the HTML of a login page
    "redirect",  # 302 to a login page
    "truncated",  # the first half of the JSON, as a whole answer
    "cut",  # the connection breaks in the middle of the answer
    "malformed",  # items that are not, among the good ones
    "unknown",  # enum values and metadataTypes of the future
    "repeating",  # the second page names itself as the next one, forever
    "echoing",  # the last page names itself as the next one
    "shrinking",  # `count` objects seem to vanish after the first page was answered
    "database",  # the database is away: lists answer 500, single objects 404 (seen in August 2026)
    "starting",  # 404 for everything, for 5 to 60 s, while it says it is ready (the catalog of RHOAI, August 2026)
]

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body><form>Log in with …</form></body></html>"

_TEXTS = {
    401: "Unauthorized",
    403: "Forbidden (user=system:serviceaccount:ai-rhdh:rhdh-rhoai-connector, verb=get, resource=services)",
    404: "404 page not found",
    500: '{"code": "", "message": "internal error"}',
    503: '{"code": "", "message": "failed to connect to database: connection refused"}',
}
DATABASE = (
    '{"code":"","message":"failed to connect to `user=registry-admin database=model-registry`: '
    '10.9.8.7:5432 (model-registry-db): dial error: connect: connection refused"}'
)
"""Such as a registry answers while its database is away, with names that no one else should read."""
_MALFORMED: tuple[Any, ...] = (
    "not an object",
    {"id": 17, "name": None, "customProperties": "none"},
    {"name": "without an id", "customProperties": {}},
    {"id": "../../admin", "name": "another path", "registeredModelId": "1"},
    {"id": "1\r\nX-Injected: yes", "name": "another header", "registeredModelId": "1"},
    {"id": "..", "name": "the parent", "registeredModelId": "1"},
)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One fault, for requests whose path template matches `path` (as in a shell), `times` times or until healed.

    `when` is asked, with the template, about each request that matches; `ending` is how the path itself must end.
    """

    kind: Kind
    path: str = "*"
    times: int | None = None
    status: int = 503
    seconds: float = 1.0
    count: int = 1
    retry_after: int | None = None
    when: Callable[[str], bool] | None = None
    ending: str = ""

    def hits(self, template: str, path: str) -> bool:
        """Return whether it hits a request for a path."""
        matches = fnmatchcase(template, self.path) and path.endswith(self.ending)
        return matches and (self.when is None or self.when(template))


class Faults:
    """The faults in force; several may hit one request."""

    def __init__(self) -> None:
        self._left: list[tuple[Fault, int | None]] = []
        self._healed = asyncio.Event()

    def add(self, fault: Fault) -> None:
        """Let `fault` happen from now on."""
        self._left.append((fault, fault.times))

    def heal(self) -> None:
        """Take all faults back; requests that hang are answered 503."""
        self._left.clear()
        self._healed.set()
        self._healed = asyncio.Event()

    def strike(self, template: str, path: str = "") -> list[Fault]:
        """Return the faults that hit a request, and count them."""
        hits = [fault for fault, _ in self._left if fault.hits(template, path)]
        counted = [(each, left - 1 if left is not None and each in hits else left) for each, left in self._left]
        self._left = [(each, left) for each, left in counted if left != 0]
        return hits

    async def before(self, fault: Fault, template: str) -> web.Response | None:
        """Return the answer that `fault` puts in place of the real one, None when the request goes on."""
        match fault.kind:
            case "database" if template.endswith("{id}"):
                return web.json_response({"code": "", "message": "no such object"}, status=404)
            case "database":
                return web.Response(status=500, text=DATABASE, content_type="application/json")
            case "starting":
                return web.Response(status=404, text="404 page not found")
            case "status":
                headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
                return web.Response(status=fault.status, text=_TEXTS.get(fault.status, ""), headers=headers)
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "hang":
                await self._healed.wait()
                return web.Response(status=503)
            case "empty":
                return web.json_response({})
            case "login":
                return web.Response(text=LOGIN_PAGE, content_type="text/html")
            case "redirect":
                return web.Response(status=302, headers={"Location": "/oauth/start"})
        return None


def spoil(fault: Fault, payload: Any, asked: str) -> Any:
    """Return the JSON of an answer as `fault` leaves it; `asked` is the token that the request carried."""
    if not isinstance(payload, dict) or "items" not in payload:
        return payload
    match fault.kind:
        case "malformed":
            items = [*_MALFORMED, *payload["items"]]
            return {**payload, "items": items, "size": len(items)}
        case "unknown":
            return {**payload, "items": [_of_the_future(item) for item in payload["items"]]}
        case "repeating":
            return {**payload, "nextPageToken": asked or payload["nextPageToken"]}
        case "echoing":
            return {**payload, "nextPageToken": payload["nextPageToken"] or asked}
    return payload


async def deliver(request: web.Request, payload: Any, status: int, hits: list[Fault]) -> web.StreamResponse:
    """Answer with `payload` as JSON, or with as much of it as the faults let through."""
    body = json.dumps(payload).encode()
    kinds = {fault.kind for fault in hits}
    if "cut" in kinds:
        answer = web.StreamResponse(status=status, headers={"Content-Type": "application/json"})
        answer.content_length = len(body) + 1
        await answer.prepare(request)
        await answer.write(body[: len(body) // 2])
        if request.transport is not None:
            request.transport.abort()
        return answer
    if "truncated" in kinds:
        body = body[: len(body) // 2]
    return web.Response(body=body, status=status, content_type="application/json")


def _of_the_future(item: Any) -> Any:
    if not isinstance(item, dict):
        return item
    extra = {"embedding": {"metadataType": "MetadataVectorValue", "vector_value": [1, 2]}}
    changed = {**item, "customProperties": {**item.get("customProperties", {}), **extra}, "signature": {"alg": "x"}}
    if "artifactType" in item:
        changed["state"] = "QUARANTINED"
    if "desiredState" in item:
        changed["desiredState"] = "SCALED_TO_ZERO"
    return changed
