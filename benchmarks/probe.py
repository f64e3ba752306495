"""The smallest HTTP client: one connection, asked again and again, so that measuring costs little itself."""

import asyncio
import time
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

PAUSE = 0.001
"""Seconds between two questions of a probe that waits; a figure is too large by this at most."""


class Probe:
    """One kept-alive connection to a service; opened again when it was lost."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop()

    async def get(self, path: str) -> tuple[int, bytes]:
        """Return status and body.

        Raises:
            OSError: no one listens, or the connection was lost.
        """
        try:
            return await self._exchange(path)
        except (OSError, EOFError):
            self._drop()
            return await self._exchange(path)

    async def until(self, path: str, status: int, *, timeout: float = 60, pause: float = PAUSE) -> float:
        """Ask until the answer has this status, and return the moment (`time.perf_counter`) at which it had.

        Raises:
            TimeoutError: it never had.
        """
        async with asyncio.timeout(timeout):
            while True:
                try:
                    found, _ = await self.get(path)
                except (OSError, EOFError):
                    found = 0  # not listening yet
                if found == status:
                    return time.perf_counter()
                await asyncio.sleep(pause)

    async def _exchange(self, path: str) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 20)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head[9:12])
        length = next(
            int(line.partition(b":")[2]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        return status, await reader.readexactly(length)

    def _drop(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
