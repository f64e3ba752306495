"""What HTTP clients and servers send their bytes over: TCP, unless a simulation puts something else in its place.

Every client and server takes its transports from here when it opens, and from nowhere else. They are a context
variable, because a simulation is a property of the whole program and of none of its parts: nothing between the
entry point and a client needs a parameter that it only passes on, every task started inside `using` inherits the
choice, and whatever runs outside keeps TCP.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Final, Protocol

import aiohttp

from common.http.addresses import Address, address_of, sockets_of

BACKLOG = 4096
"""Connections that may wait to be accepted: a reader of the feed requests all documents at once."""
STALLED_TIMEOUT: Final = 30
"""Seconds within which a client must accept what it was sent, or show that it is alive."""

NewConnection = Callable[[], asyncio.BaseProtocol]
"""Makes the server's side of a new connection."""


class Transports(Protocol):
    """How a client reaches its server, and how a server is reached."""

    def connector(self, url: str, *, ssl: ssl.SSLContext | bool, limit: int) -> aiohttp.BaseConnector:
        """Return a connector for a client of the server at `url`; needs a running event loop.

        `ssl` says how the server is verified, `limit` how many connections may be open at a time (0: no limit).
        """

    def listen(self, new_connection: NewConnection, address: Address) -> AbstractAsyncContextManager[Sequence[Address]]:
        """Accept connections during the block; yields the addresses that were bound (port 0: any free one).

        Connections that were accepted outlive the block. Entering it raises OSError if the address cannot be bound.
        """


class Tcp:
    """Transports over the network of this machine."""

    def connector(self, url: str, *, ssl: ssl.SSLContext | bool, limit: int) -> aiohttp.BaseConnector:
        """Return a connector that resolves the name of each request's server and connects to it."""
        return aiohttp.TCPConnector(ssl=ssl, limit=limit)

    @asynccontextmanager
    async def listen(self, new_connection: NewConnection, address: Address) -> AsyncIterator[Sequence[Address]]:
        """Accept connections on one socket for each address family."""
        loop = asyncio.get_running_loop()
        servers: list[asyncio.Server] = []
        try:
            for sock in sockets_of(address):
                _end_when_dead(sock)
                servers.append(await loop.create_server(new_connection, sock=sock, backlog=BACKLOG))
            yield [address_of(sock) for server in servers for sock in server.sockets]
        finally:
            for server in servers:
                server.close()


def _end_when_dead(listener: socket.socket) -> None:
    """Let the kernel end connections of a listening socket whose peer is gone or accepts nothing."""
    options: dict[str, Any] = {
        "TCP_KEEPIDLE": STALLED_TIMEOUT,
        "TCP_KEEPINTVL": 10,
        "TCP_KEEPCNT": 3,
        "TCP_USER_TIMEOUT": STALLED_TIMEOUT * 1000,
    }
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in options.items():
        if hasattr(socket, name):  # Linux has all of them, other systems some
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


_current: ContextVar[Transports] = ContextVar("transports", default=Tcp())  # noqa: B039 - it has no state


def current() -> Transports:
    """Return the transports of this context."""
    return _current.get()


@contextmanager
def using(transports: Transports) -> Iterator[None]:
    """Let all clients and servers that open during the block, or in a task started there, use `transports`."""
    token = _current.set(transports)
    try:
        yield
    finally:
        _current.reset(token)
