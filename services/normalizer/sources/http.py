"""Requests to registries, catalogs and other servers: connections with credentials, metrics, reports of faults."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram

from common.faults import Fault, kind_of
from common.http.client import HttpClient, credentials_from
from common.http.errors import RemoteError, StatusError
from common.secrets import MountedCredentials, TokenSource, UnusableToken
from common.texts import parse_json
from services.normalizer.sources.faults import BadAnswer, Inconsistent, TooLarge
from services.normalizer.sources.refs import SourceRef

T = TypeVar("T")
log = structlog.get_logger("sources")

_LARGE = 1024 * 1024
"""Answers of more bytes than this count as large: as objects they take several times as much memory."""


MAX_ROOM = 48 * 1024 * 1024
"""The bytes of memory that the objects of one answer may take: many small ones take twenty times their JSON."""


class SourceMetrics:
    """The metrics of all servers; the label `source` is the `source` of a SourceRef."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.poll_seconds = Histogram(
            "rhoai_connector_source_poll_seconds",
            "How long it took to read a source",
            ["source"],
            registry=registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self.requests = Counter(
            "rhoai_connector_source_requests",
            "Requests sent to a source, by the status of the answer, or none",
            ["source", "code"],
            registry=registry,
        )

    def forget(self, source: str) -> None:
        """Drop the series of a source that is gone."""
        self.poll_seconds.remove_by_labels({"source": source})
        self.requests.remove_by_labels({"source": source})


class FaultReporter:
    """Reports to the log and to `on_fault` when one server begins to fail, fails in another way, or recovers."""

    def __init__(self, on_fault: Callable[[SourceRef, Fault | None], None] = lambda ref, fault: None) -> None:
        self._on_fault = on_fault
        self._tried = False
        self._fault: Fault | None = None

    def update(self, ref: SourceRef, fault: Fault | None) -> None:
        """Take the result of reading the server; a fault of the same kind as before is not reported again."""
        if self._tried and kind_of(self._fault) == kind_of(fault):
            return
        if fault is not None:
            log.warning(
                "source_unreadable",
                source=ref.label,
                reason=fault.kind,
                fault=fault.reason,
                remedy=fault.remedy,
                url=fault.url,
            )
        else:
            log.info("source_readable", source=ref.label, again=self._tried, url=ref.url)
        self._tried, self._fault = True, fault
        self._on_fault(ref, fault)


class Remote:
    """One server. At most `concurrency` requests are under way at a time, and none is repeated automatically.

    Only as many large answers as the semaphore `large` allows are in memory at a time, over all servers.
    """

    def __init__(self, ref: SourceRef, client: HttpClient, connector: "Connector") -> None:
        """The client has a token for what belongs to the platform; others get an Authorization header."""
        self.ref = ref
        self._client = client
        self._connector = connector
        self._gate = asyncio.Semaphore(connector.concurrency)
        self._authorization = None if ref.of_platform else connector.credentials.of(ref.name)

    async def get(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Return the JSON at `path`.

        Raises:
            RemoteError: no answer, another status than 2xx, no JSON, or too much of it. The poll as a whole is what is
                repeated.
        """
        return (await self.fetch(path, params))[0]

    async def fetch(self, path: str, params: Mapping[str, str] | None = None) -> tuple[Any, int]:
        """Return the JSON at `path`, and how many bytes it was.

        Raises:
            RemoteError: as `get`.
        """
        async with self._gate, AsyncExitStack() as held:
            try:
                body = await self._read(path, params, held)
            except RemoteError as error:
                self._count(str(error.status) if isinstance(error, StatusError) else "none")
                raise
            self._count("200")
            if (room := _room(body)) > MAX_ROOM:
                raise TooLarge(f"{self.ref.url}{path}: the answer would take about {room} bytes of memory")
            try:
                return parse_json(body), len(body)
            except ValueError:
                came = "a web page" if body.lstrip()[:1] == b"<" else "something else"
                raise BadAnswer(f"{self.ref.url}{path}: 200, but {came} instead of JSON") from None

    async def _read(self, path: str, params: Mapping[str, str] | None, held: AsyncExitStack) -> bytearray:
        body = bytearray()
        header = credentials_from(self._authorization) if self._authorization else None
        headers = {"Authorization": header} if header else None
        async with self._client.stream("GET", path, params=params, headers=headers) as answer:
            async for piece in answer.content.iter_any():
                if len(body) <= _LARGE < len(body) + len(piece):
                    await held.enter_async_context(self._connector.large)
                body += piece
                if len(body) > self._connector.body_limit:
                    limit = self._connector.body_limit
                    raise TooLarge(f"{self.ref.url}{path}: the answer is larger than {limit} bytes")
        return body

    def _count(self, code: str) -> None:
        self._connector.metrics.requests.labels(self.ref.source, code).inc()


@dataclass(frozen=True, slots=True, kw_only=True)
class Connector:
    """Opens connections; `timeout` (seconds) is one request's, `concurrency` how many are under way per server.

    `token` is for what belongs to the platform, `tokens` are those of servers, by URL, that have one of their own,
    `credentials` has what others ask for. `body_limit` is how many bytes
    one answer may have, `large` how many large ones are held at a time.
    """

    token: TokenSource | None
    ssl: ssl.SSLContext
    metrics: SourceMetrics
    timeout: float = 10
    concurrency: int = 8
    body_limit: int = 16 * 1024 * 1024
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))
    credentials: MountedCredentials = field(default_factory=lambda: MountedCredentials(None))
    tokens: Mapping[str, TokenSource] = field(default_factory=dict)

    def authenticates(self, ref: SourceRef) -> bool:
        """Return whether requests to a server carry credentials."""
        given = self._token(ref) if ref.of_platform else self.credentials.of(ref.name)
        try:
            return bool(given and given())
        except UnusableToken:
            return True

    def _token(self, ref: SourceRef) -> TokenSource | None:
        return self.tokens.get(ref.url, self.token)

    @asynccontextmanager
    async def open(self, ref: SourceRef) -> AsyncIterator[Remote]:
        """Yield the server of a ref; it is not contacted before the first request."""
        if not ref.verify and ref.url.startswith("https"):
            log.warning(
                "certificate_not_verified",
                source=ref.label,
                url=ref.url,
                remedy="take it out of MODEL_REGISTRY_INSECURE and name its authority in MODEL_REGISTRY_CA_FILE",
            )
        async with HttpClient(
            name=ref.label,
            base_url=ref.url,
            token=self._token(ref) if ref.trusted and ref.of_platform else None,
            ssl=self.ssl if ref.verify else False,
            timeout=self.timeout,
        ) as client:
            yield Remote(ref, client, self)


async def for_each(
    things: Iterable[T], work: Callable[[T], Awaitable[None]], *, patience: int = 3, width: int = 16
) -> dict[T, RemoteError]:
    """Do `work` on all things, `width` at a time, and return those that failed with their errors.

    A failure does not stop the others; after `patience` failures the rest is not tried,
    and what was not tried by then is missing from the answer.
    """
    failed: dict[T, RemoteError] = {}
    waiting = iter(things)
    workers: list[asyncio.Task[None]] = []

    async def take() -> None:
        # No error leaves a worker: a task group whose children fail can lose the cancellation of its parent, up to
        # CPython 3.12.
        for thing in waiting:
            try:
                await work(thing)
            except RemoteError as error:
                failed[thing] = error
                if len(failed) >= patience:
                    for worker in workers:
                        worker.cancel()
                    return

    async with asyncio.TaskGroup() as group:
        workers += [group.create_task(take()) for _ in range(width)]
    return failed


async def ask_for_missing(
    what: str, missing: Iterable[str], exists: Callable[[str], Awaitable[bool]]
) -> tuple[list[str], list[RemoteError]]:
    """Ask for each of the objects that a list of `what` lacks; return those that do not exist.

    The errors, if any, show that the list is not complete after all: an object exists, or cannot be asked for.
    """
    present: list[str] = []
    absent: list[str] = []

    async def ask(each: str) -> None:
        (present if await exists(each) else absent).append(each)

    doubts = list((await for_each(sorted(missing), ask)).values())
    if present:
        doubts.append(Inconsistent(f"the list of {what} lacks {len(present)} that exist, such as {present[0]}"))
    return absent, doubts


def _room(body: bytearray) -> int:
    """Return about how many bytes a JSON text and its objects take: at most four a character, 200 an object."""
    objects = body.count(b"{") + body.count(b"[")
    return (2 if body.isascii() else 6) * len(body) + 200 * objects + 50 * body.count(b",")
