"""A load generator: `python -m benchmarks.load URL [--connections N] [--seconds S] [--rate R]`.

Without a rate each connection asks again as soon as it has its answer; with one, all together ask so often a second,
and an answer that comes late counts from when its request was due.
"""

import argparse
import asyncio
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from benchmarks.figures import percentile
from benchmarks.generators import Load


class Client(asyncio.Protocol):
    """One connection; `due` returns when the next request is to be sent, or None to end."""

    def __init__(self, request: bytes, due: Callable[[], float | None]) -> None:
        self._request = request
        self._due = due
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._asked = 0.0
        self.latencies: list[float] = []
        self.errors = 0
        self.ended = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; when it is whole, go on."""
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            return
        self._buffer = b""
        self.latencies.append(self._loop.time() - self._asked)
        self.errors += not head.startswith(b"HTTP/1.1 200 ")
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """End; a connection that the server ended is an error."""
        if not self.ended.done():
            self.errors += 1
            self.ended.set_result(None)

    def _next(self) -> None:
        due = self._due()
        if due is None:
            self.ended.set_result(None)
            self._transport.close()
        elif due <= self._loop.time():
            self._ask(due or self._loop.time())
        else:
            self._loop.call_at(due, self._ask, due)

    def _ask(self, due: float) -> None:
        if not self.ended.done():
            self._asked = due
            self._transport.write(self._request)


def _length(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.partition(b"\r\n")[0])


async def generate(url: str, *, connections: int, seconds: float, rate: float = 0) -> Load:
    """Generate load in this process and return what was seen."""
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    request = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    began = loop.time()
    sent = 0

    def due() -> float | None:
        nonlocal sent
        sent += 1
        at = began + sent / rate if rate else 0.0
        return at if max(at, loop.time()) < began + seconds else None

    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(lambda: Client(request, due), parts.hostname or "", parts.port or 80)
        clients.append(client)
    await asyncio.gather(*(client.ended for client in clients))
    taken = loop.time() - began
    latencies = [latency for client in clients for latency in client.latencies]
    return Load(
        rate=round(len(latencies) / taken, 1),
        errors=sum(client.errors for client in clients),
        p50=percentile(latencies, 0.5),
        p99=percentile(latencies, 0.99),
    )


def main() -> None:
    """Read the command line, generate, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load")
    parser.add_argument("url")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=float, default=0, help="requests a second, all connections together; 0: any")
    options = parser.parse_args()
    load = asyncio.run(
        generate(options.url, connections=options.connections, seconds=options.seconds, rate=options.rate)
    )
    print(json.dumps({"rate": load.rate, "errors": load.errors, "p50": load.p50, "p99": load.p99}))


if __name__ == "__main__":
    main()
