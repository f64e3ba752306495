"""The client for one Kubernetes API server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Generic, Self, TypeVar

import aiohttp
import structlog
import yarl

from common.http.client import HttpClient, Response
from common.http.errors import StatusError, TimedOut
from common.kube.answers import WatchEvent, read_events, read_object, read_page, read_resource_names
from common.kube.credentials import Credentials, CredentialsError
from common.kube.errors import Asked, KubeError, from_answer
from common.kube.metrics import KubeMetrics
from common.kube.resources import Resource

T = TypeVar("T")
log = structlog.get_logger("kube")

PAGE_SIZE = 500
LIST_TIMEOUT = 60.0
"""Seconds for one page; a large page takes long on a busy API server."""
LOOK = 1.0
"""Seconds between two looks at the token during a pause."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


@dataclass(frozen=True, slots=True)
class ObjectList(Generic[T]):
    """A whole collection as of `version`, from which a watch can continue."""

    items: list[T]
    version: str


class KubeClient:
    """Reads and writes objects as plain JSON. Use as an asynchronous context manager.

    Every method raises KubeError if the API server refuses, Unreachable if there is no answer, and GarbledAnswer if the
    answer is not the Kubernetes API's; all are RemoteError. Requests other than watches are retried (see HttpClient),
    so a `create` whose first answer was lost ends in KubeError 409.
    """

    def __init__(self, *, credentials: Credentials, metrics: KubeMetrics, timeout: float = 10) -> None:
        """`timeout`, in seconds, is for one request other than a list, and for opening a watch."""
        self.credentials = credentials
        self._timeout = timeout
        self._http = HttpClient(
            name="the Kubernetes API",
            base_url=credentials.server,
            token=credentials.token,
            ssl=credentials.ssl,
            timeout=timeout,
            connections=0,  # each watch needs one
            traces=[_counting(metrics, metrics.host(yarl.URL(credentials.server).authority))],
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._http.__aexit__(*exc_info)

    async def pause(self, seconds: float) -> None:
        """Sleep before the next attempt, but no longer than until the token has changed, in its file for example."""
        former = self.credentials.current_token()
        while seconds > 0 and self.credentials.current_token() == former:  # a file says nothing when it changes
            await asyncio.sleep(min(seconds, LOOK))
            seconds -= LOOK

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, metadata_only: bool = False
    ) -> dict[str, Any]:
        """Return one object, or only its metadata."""
        asked = Asked("get", resource, namespace, name)
        options = {"headers": {"Accept": _METADATA_ONLY}} if metadata_only else {}
        return read_object(await self._send(asked, "GET", resource.path(namespace, name), **options), asked)

    async def lacks(self, resource: Resource, name: str, namespace: str) -> bool:
        """Return whether the API server says that the object does not exist (an unknown kind does not count).

        Raises:
            RemoteError: the answer does not say whether it exists.
        """
        try:
            await self.get(resource, name, namespace, metadata_only=True)
        except KubeError as error:
            if error.status == 404 and error.reason == "NotFound" and f'"{name}"' in error.message:
                return True
            raise
        return False

    async def serves(self, resource: Resource) -> bool:
        """Return whether the API server has this kind in this version; discovery needs no permission."""
        asked = Asked("get", resource)
        try:
            answer = await self._send(asked, "GET", resource.versions_path)
        except KubeError as error:
            if error.status == 404:
                return False
            raise
        return resource.plural in read_resource_names(answer, asked)

    async def create(self, resource: Resource, body: Mapping[str, Any], namespace: str | None = None) -> dict[str, Any]:
        """Create an object and return it as stored."""
        asked = Asked("create", resource, namespace)
        return read_object(await self._send(asked, "POST", resource.path(namespace), json=body), asked)

    async def patch(
        self,
        resource: Resource,
        name: str,
        changes: Mapping[str, Any],
        namespace: str | None = None,
        *,
        metadata_only: bool = False,
    ) -> dict[str, Any]:
        """Apply a merge patch and return the object, or only its metadata to keep the answer small."""
        asked = Asked("patch", resource, namespace, name)
        headers = {"Content-Type": "application/merge-patch+json"}
        if metadata_only:
            headers["Accept"] = _METADATA_ONLY
        data = json.dumps(changes, separators=(",", ":")).encode()
        answer = await self._send(asked, "PATCH", resource.path(namespace, name), data=data, headers=headers)
        return read_object(answer, asked)

    async def list_all(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        convert: Callable[[dict[str, Any]], T],
        label_selector: str = "",
        field_selector: str = "",
        from_cache: bool = False,
        page_size: int = PAGE_SIZE,
        attempts: int | None = None,
    ) -> ObjectList[T]:
        """Return a whole collection in one version; each object is converted when its page arrives.

        `from_cache` reads from the API server's cache (resourceVersion=0): cheaper, in one page whatever the
        `page_size`, and possibly older than what another API server has already returned.
        """
        asked = Asked("list", resource, namespace)
        selectors = _selectors(label_selector, field_selector)
        params = {**selectors, **({"resourceVersion": "0"} if from_cache else {"limit": str(page_size)})}
        items: list[T] = []
        while True:
            try:
                answer = await self._send(
                    asked, "GET", resource.path(namespace), params=params, timeout=LIST_TIMEOUT, attempts=attempts
                )
            except KubeError as error:
                if error.status != 410 or "continue" not in params:
                    raise
                # The version of the pages so far was compacted. This cannot happen to a list in one page.
                items, params = [], selectors
                continue
            objects, metadata = read_page(answer, asked)
            items += map(convert, objects)
            if not metadata.get("continue"):
                return ObjectList(items, metadata["resourceVersion"])
            params = {**selectors, "limit": str(page_size), "continue": metadata["continue"]}

    async def list_some(
        self,
        resource: Resource,
        namespace: str,
        *,
        convert: Callable[[dict[str, Any]], T],
        label_selector: str = "",
        field_selector: str = "",
        at_most: int,
    ) -> list[T]:
        """Return at most `at_most` of the matching objects, each converted; the choice is arbitrary."""
        asked = Asked("list", resource, namespace)
        params = {**_selectors(label_selector, field_selector), "limit": str(at_most)}
        objects, _ = read_page(await self._send(asked, "GET", resource.path(namespace), params=params), asked)
        return list(map(convert, objects))

    @asynccontextmanager
    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        version: str,
        label_selector: str = "",
        field_selector: str = "",
        seconds: int,
        idle: float,
    ) -> AsyncIterator[AsyncIterator[WatchEvent]]:
        """Open a watch from `version`; iterating over its events raises as `read_events` does.

        If the connection breaks, the block raises Unreachable. The server is asked to close the watch after `seconds`,
        and the client ends it ten seconds later, or if no byte arrives for `idle` seconds.
        """
        asked = Asked("watch", resource, namespace)
        params = {
            **_selectors(label_selector, field_selector),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        limits = aiohttp.ClientTimeout(total=seconds + 10, sock_connect=self._timeout, sock_read=idle)
        path = resource.path(namespace)
        async with AsyncExitStack() as stack:

            async def open_watch() -> aiohttp.ClientResponse:
                try:
                    async with asyncio.timeout(self._timeout):
                        return await stack.enter_async_context(
                            self._http.stream("GET", path, params=params, timeout=limits)
                        )
                except TimeoutError:
                    raise TimedOut(self._http.base_url + path) from None

            answer = await self._authorized(asked, open_watch)
            events = read_events(answer, asked, refused=self.credentials.refused)
            yield await stack.enter_async_context(aclosing(events))

    async def _send(self, asked: Asked, method: str, path: str, **options: Any) -> Response:
        return await self._authorized(asked, lambda: self._http.request(method, path, **options))

    async def _authorized(self, asked: Asked, send: Callable[[], Awaitable[T]]) -> T:
        """Send, and after a 401 send again with fresh credentials if there are any."""
        sent = self.credentials.current_token()
        try:
            try:
                return await send()
            except StatusError as error:
                if error.status != 401 or not (self.credentials.current_token() != sent or await self._renew()):
                    raise
                return await send()
        except StatusError as error:
            raise from_answer(error, asked, refused=self.credentials.refused) from error

    async def _renew(self) -> bool:
        if self.credentials.renew is None:
            return False
        try:
            return await self.credentials.renew()
        except CredentialsError as error:
            log.warning("credentials_not_renewed", origin=self.credentials.origin, error=str(error))
            return False


def _selectors(label_selector: str, field_selector: str) -> dict[str, str]:
    given = {"labelSelector": label_selector, "fieldSelector": field_selector}
    return {name: value for name, value in given.items() if value}


def _counting(metrics: KubeMetrics, host: str) -> aiohttp.TraceConfig:
    async def answered(_: object, __: SimpleNamespace, end: aiohttp.TraceRequestEndParams) -> None:
        metrics.requests.labels(str(end.response.status), host, end.method).inc()

    async def failed(_: object, __: SimpleNamespace, end: aiohttp.TraceRequestExceptionParams) -> None:
        metrics.requests.labels("<error>", host, end.method).inc()

    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(answered)
    trace.on_request_exception.append(failed)
    return trace
