"""The request pipeline of the server: faults, authentication, authorisation, delay, verb, counters."""

import asyncio
from collections.abc import Callable
from typing import get_args

from aiohttp import web

from tests.fakes.kubernetes import discovery, requests, reviews, status
from tests.fakes.kubernetes.counts import Counts, RequestRecord
from tests.fakes.kubernetes.faults import Fault, Faults, WatchFault
from tests.fakes.kubernetes.handlers import MAX_REQUEST_BYTES, Handlers, json_response
from tests.fakes.kubernetes.history import dump
from tests.fakes.kubernetes.operations import Operations
from tests.fakes.kubernetes.rbac import Guard
from tests.fakes.kubernetes.requests import RequestInfo
from tests.fakes.kubernetes.resources import InstalledTypes
from tests.fakes.kubernetes.store import Store
from tests.fakes.kubernetes.watches import Watches

Delay = Callable[[str, int], float]


class ApiServer:
    """The state of one server and its handler of every path."""

    def __init__(self, *, history_limit: int) -> None:
        self.types = InstalledTypes()
        self.store = Store(history_limit)
        self.operations = Operations(store=self.store, types=self.types)
        self.watches = Watches(self.store, self._count_sent)
        self.guard = Guard()
        self.faults = Faults()
        self.counts = Counts()
        self.logs: dict[tuple[str, str, str], str] = {}
        self.latency: Delay = lambda verb, size: 0.0
        self._handlers = Handlers(store=self.store, types=self.types, operations=self.operations)

    def app(self) -> web.Application:
        """The application to listen with."""
        app = web.Application(client_max_size=MAX_REQUEST_BYTES)
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, or fail it as a fault demands."""
        info = requests.parse(request)
        fault = self.faults.strike(request.method, request.path_qs, info)
        action = fault.action if fault else ""
        record = self._count_request(request, info)
        if fault and action == "hang":
            await asyncio.Event().wait()
        if fault and action == "delay":
            await asyncio.sleep(fault.seconds)
        if fault and action == "status":
            response: web.StreamResponse = _faulty_answer(fault)
        elif action == "drop":
            return _lost(request)
        else:
            response = await self._answer(request, info, fault)
        self._count_answer(record, response)
        if action == "drop_after":
            return _lost(request)
        if action == "truncate":
            return await _truncated(request, response)
        return response

    async def _answer(self, request: web.Request, info: RequestInfo | None, fault: Fault | None) -> web.StreamResponse:
        try:
            user = self.guard.authenticate(request.headers.get("Authorization", ""))
            if info is None:
                return self._discover(request, user)
            if reviews.is_review(info):
                body = await request.json()
                return json_response(dump(reviews.answer(info, body, user, self.guard)), 201)
            self.guard.authorize(info.access(user), info.name)
            if (info.resource, info.subresource) == ("pods", "log"):
                return self._log(request, info)
            return await self._answer_call(request, info, fault)
        except status.ApiError as error:
            return refusal(error)
        except status.PageNotFoundError:
            return web.Response(status=404, text="404 page not found\n")

    def _log(self, request: web.Request, info: RequestInfo) -> web.Response:
        """Answer as the kubelet does through Kubernetes 1.33: plain text, the last lines of what was written."""
        container = request.query.get("container", "")
        text = self.logs.get((info.namespace, info.name, container))
        if text is None:
            raise status.bad_request(f"container {container} is not valid for pod {info.name}")
        lines = text.splitlines(keepends=True)
        return web.Response(text="".join(lines[-requests.number(request.query, "tailLines") :]))

    async def _answer_call(self, request: web.Request, info: RequestInfo, fault: Fault | None) -> web.StreamResponse:
        call = self._handlers.call(request, info, await _body_of(request))
        self._count_body(info, len(call.body))
        if info.verb == "watch":
            orders: list[str] = [fault.action] if fault and fault.action in get_args(WatchFault) else []
            return await self.watches.serve(request, info, call.resource, call.view, orders)
        if delay := self.latency(info.verb, self._handlers.present_size(call)):
            await asyncio.sleep(delay)
        return self._handlers.answer(call)

    def _discover(self, request: web.Request, user: str) -> web.Response:
        if request.method not in ("GET", "HEAD"):
            message = f'forbidden: User "{user}" cannot {request.method.lower()} path "{request.path}"'
            raise status.ApiError(403, message)
        document = discovery.answer(self.types, request.path.rstrip("/"))
        return web.Response(text=document) if isinstance(document, str) else json_response(dump(document))

    def _count_request(self, request: web.Request, info: RequestInfo | None) -> RequestRecord:
        verb, resource = (info.verb, info.resource) if info else ("", "")
        if info:
            self.counts.requests[verb, resource] += 1
        record = RequestRecord(method=request.method, path=request.path_qs, verb=verb, resource=resource)
        self.counts.recent.append(record)
        return record

    def _count_body(self, info: RequestInfo, size: int) -> None:
        self.counts.request_bytes += size
        if info.verb == "patch":
            self.counts.patches += 1
            self.counts.patched_bytes += size

    def _count_answer(self, record: RequestRecord, response: web.StreamResponse) -> None:
        record.status = response.status
        self.counts.answers[response.status] += 1
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            self._count_sent(len(response.body))

    def _count_sent(self, size: int) -> None:
        self.counts.response_bytes += size


def refusal(error: status.ApiError) -> web.Response:
    """A Status as an answer, with Retry-After where the Status has it."""
    response = json_response(dump(error.status()), error.code)
    if "retryAfterSeconds" in error.details:
        response.headers["Retry-After"] = str(error.details["retryAfterSeconds"])
    if error.code == 401:
        response.headers["WWW-Authenticate"] = 'Bearer realm="kubernetes"'
    return response


async def _body_of(request: web.Request) -> bytes:
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise status.ApiError(413, f"Request entity too large: limit is {MAX_REQUEST_BYTES}") from error


def _faulty_answer(fault: Fault) -> web.Response:
    if fault.body is None:
        return refusal(status.of_code(fault.status, retry_after=fault.retry_after))
    headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
    headers["Content-Type"] = fault.content_type
    return web.Response(body=fault.body.encode(), status=fault.status, headers=headers)


def _lost(request: web.Request) -> web.Response:
    """Break the connection; what is returned reaches no one."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _truncated(request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    """Send the head of an answer and half of its body, then end the connection."""
    body = response.body if isinstance(response, web.Response) and isinstance(response.body, bytes) else b""
    half = web.StreamResponse(status=response.status, headers=response.headers)
    half.content_length = len(body)
    await half.prepare(request)
    await half.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return half
