"""The HTTP client of all services, with time-outs, retries, size limits, and errors that say what to do."""

import io
import json
import os
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import stamina
import structlog
import yarl

from common.http import transports
from common.http.causes import cause_of, distrust_of, reason_of, speaks_no_tls, wants_tls
from common.http.errors import NoCredentials, NotTrusted, RemoteError, StatusError, TimedOut, Unreachable
from common.http.proxies import proxy_for
from common.secrets import TokenSource, UnusableToken, is_sendable
from common.texts import parse_json

log = structlog.get_logger("http.client")

RETRIED = frozenset({429, 502, 503, 504})
UNKNOWN_PATH = frozenset({404, 405, 501})
"""Statuses by which a server says that it has no such path: another program, or an older version."""
MAX_WAIT = 30.0
"""Longest pause before a retry, in seconds, even if Retry-After asks for more."""


@dataclass(frozen=True, slots=True)
class Response:
    """A complete answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str

    def json(self) -> Any:
        """Return the body as JSON; what is not Unicode in it is replaced, see `common.texts`.

        Raises:
            RemoteError: it is not JSON, but for example a login page.
        """
        try:
            return parse_json(self.body)
        except ValueError as error:
            media_type = self.headers.get("Content-Type", "no media type")
            raise RemoteError(
                f"{self.url}: {self.status}, but the answer ({media_type}) is not JSON: {error}"
            ) from None


class HttpClient:
    """Sends requests to one server. Use as an asynchronous context manager.

    It may repeat every request, so requests must be idempotent.
    """

    def __init__(
        self,
        *,
        name: str,
        base_url: str,
        token: TokenSource | None = None,
        ssl: ssl.SSLContext | bool = True,
        timeout: float = 10,
        attempts: int = 3,
        body_limit: int = 64 * 1024 * 1024,
        connections: int = 64,
        traces: Sequence[aiohttp.TraceConfig] = (),
    ) -> None:
        """Prepare a client; `name` is the server's name in messages, `timeout` (seconds) is for a whole request.

        At most `connections` are open at a time (0: no limit); `traces` observe each attempt of every request.
        """
        self.name = name
        self.base_url = base_url.rstrip("/")
        self._proxy = proxy_for(self.base_url, os.environ)
        self._token = token
        self._ssl = ssl
        self._timeout = timeout
        self._attempts = attempts
        self._body_limit = body_limit
        self._connections = connections
        self._traces = list(traces)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=transports.current().connector(self.base_url, ssl=self._ssl, limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            auto_decompress=True,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=self._traces,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        attempts: int | None = None,
    ) -> Response:
        """Send a request, with retries if they may help, and return an answer with status 2xx or 304.

        The caller percent-encodes `path`; `json` is sent as JSON, `data` unchanged.

        Raises:
            Unreachable: there was no answer, even after retries.
            StatusError: any other status.
            RemoteError: the answer is larger than the limit.
        """
        limit = aiohttp.ClientTimeout(total=timeout or self._timeout)
        if json is not None:
            data, headers = _dump(json), {"Content-Type": "application/json", **(headers or {})}
        async for attempt in stamina.retry_context(
            on=_retry_delay, attempts=attempts or self._attempts, timeout=None, wait_initial=0.1, wait_max=5
        ):
            with attempt:
                # A file, because aiohttp would write large bytes at once; each attempt needs a new one.
                file = None if data is None else io.BytesIO(data)
                async with self._open(method, path, params=params, data=file, headers=headers, timeout=limit) as answer:
                    body = await self._read(answer)
                    return Response(answer.status, answer.headers, body, str(answer.url.with_query(None)))
        raise AssertionError("unreachable")  # the loop returns or raises

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: aiohttp.ClientTimeout | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open an answer to read it in pieces, without retries; transport errors inside the block are raised too.

        Raises:
            Unreachable, StatusError: as `request`.
        """
        limit = timeout or aiohttp.ClientTimeout(total=self._timeout)
        async with self._open(method, path, params=params, headers=headers, timeout=limit) as answer:
            yield answer

    @asynccontextmanager
    async def _open(
        self, method: str, path: str, *, headers: Mapping[str, str] | None, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError(f"the client for {self.name} is not open: use it in 'async with'")
        url = yarl.URL(self.base_url + path, encoded=True)
        sent = {"Accept": "application/json", **(headers or {})}
        token = credentials_from(self._token) if self._token else None
        if token and "Authorization" not in sent:
            sent["Authorization"] = f"Bearer {token}"
        began = time.perf_counter()
        result: int | str = "cancelled"
        try:
            sending = self._session.request(
                method, url, headers=sent, allow_redirects=False, proxy=self._proxy, **options
            )
            async with sending as answer:
                result = answer.status
                if not (200 <= answer.status < 300 or answer.status == 304):
                    raise await self._status_error(answer)
                yield answer
        except TimeoutError:
            result = "no answer in time"
            raise TimedOut(str(url), proxy=self._proxy_host) from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise NotTrusted(str(url), f"certificate not trusted: {distrust_of(error)}") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:  # UnicodeError: the host is no valid name
            result = cause_of(error, proxy=self._proxy_host)
            failure = Unreachable(str(url), result, proxy=self._proxy_host)
            failure.expects = "http" if speaks_no_tls(error) else ""
            raise failure from error
        finally:
            seconds = round(time.perf_counter() - began, 6)
            log.debug("request_sent", server=self.name, method=method, path=url.path, result=result, seconds=seconds)

    @property
    def _proxy_host(self) -> str:
        """The proxy without its credentials, empty without one."""
        proxy = yarl.URL(self._proxy) if self._proxy else None
        return f"{proxy.host}:{proxy.port}" if proxy else ""

    async def _read(self, answer: aiohttp.ClientResponse, limit: int | None = None) -> bytes:
        limit = limit or self._body_limit
        body = bytearray()
        async for piece in answer.content.iter_any():
            body += piece
            if len(body) > limit:
                raise RemoteError(f"{answer.url}: the answer is larger than {limit} bytes")
        return bytes(body)

    async def _status_error(self, answer: aiohttp.ClientResponse) -> StatusError:
        try:
            body = await self._read(answer, limit=1024 * 1024)
        except RemoteError:
            body = b""
        target = _target(answer)
        leads = f"redirects to {target}" if target else ""
        error = StatusError(
            status=answer.status,
            reason=leads or reason_of(answer.status, body) or answer.reason or "",
            url=str(answer.url.with_query(None)),
            retry_after=_seconds(answer.headers.get("Retry-After")),
            body=body,
        )
        url = answer.url
        if url.scheme == "http" and (wants_tls(error.reason) or target == url.with_scheme("https").with_query(None)):
            error.expects = "https"
        return error


def _target(answer: aiohttp.ClientResponse) -> yarl.URL | None:
    """Return where an answer redirects to, without credentials and query; None if it does not."""
    written = answer.headers.get("Location", "")
    if not 300 <= answer.status < 400 or not written:
        return None
    try:
        return answer.url.join(yarl.URL(written)).with_user(None).with_query(None).with_fragment(None)
    except ValueError:
        return None


def credentials_from(source: TokenSource) -> str | None:
    """Return what a source of tokens, or of Authorization headers, has now.

    Raises:
        NoCredentials: it has something that cannot be sent.
    """
    try:
        given = source()
    except UnusableToken as error:
        raise NoCredentials(str(error), error.remedy) from None
    if given and not is_sendable(given):
        raise NoCredentials(
            "the token contains something else than one line of ASCII", "give the token, and nothing else"
        )
    return given


def _retry_delay(error: Exception) -> bool | float:
    """Return whether a failed request is sent again; a number is the pause that the server asked for."""
    if isinstance(error, Unreachable):
        return not isinstance(error, NotTrusted)
    if isinstance(error, StatusError) and error.status in RETRIED:
        return True if error.retry_after is None else min(error.retry_after, MAX_WAIT)
    return False


def _dump(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _seconds(retry_after: str | None) -> float | None:
    # A date is also allowed, but none of our servers sends one.
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
