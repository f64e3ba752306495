"""A server's connections: they end if they are silent or stalled, and never repeat a malformed request in an answer."""

import asyncio
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from common import PRODUCT
from common.http.problems import HttpProblem

log = structlog.get_logger("http")

FIRST_REQUEST_TIMEOUT = 10.0
"""Seconds within which a new connection must send the head of a request."""
IDLE_TIMEOUT: Final = 75.0
"""Seconds between two requests on one connection."""
HEAD_LINE_LIMIT: Final = 8190
"""Longest request line and longest header, in bytes, unless an application allows more."""


class ServerConnection(RequestHandler):
    """A connection that ends if no request arrives, and never repeats a malformed request.

    aiohttp would log a malformed request and answer with a part of it, which may contain a token.
    """

    __slots__ = ("_deadline",)

    def __init__(self, manager: web.Server, *, line_limit: int = HEAD_LINE_LIMIT) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None turns it off, but the annotation lacks it
            keepalive_timeout=IDLE_TIMEOUT,
            max_line_size=line_limit,
            auto_decompress=False,
        )
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the deadline for the first request."""
        super().connection_made(transport)
        self._deadline = asyncio.get_running_loop().call_later(FIRST_REQUEST_TIMEOUT, self._end_if_silent)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().connection_lost(exc)

    def _end_if_silent(self) -> None:
        self._deadline = None
        if self._request_count == 0 and self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the answer to a request that could not be parsed; the connection is closed after it."""
        if request.writer.output_size > 0:
            raise ConnectionError("the request proved malformed after the answer had begun")
        fault = type(exc).__name__
        log.info("malformed_request", fault=fault)
        detail = f"this is not a valid HTTP request ({fault})"
        if isinstance(exc, LineTooLong):
            detail = (
                f"the request line is longer than {self.max_line_size} bytes, or a header longer than "
                f"{self.max_field_size}"
            )
        response = HttpProblem(status, detail).response(instance="", request_id="")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Server"] = PRODUCT
        response.force_close()
        return response
