"""A network in memory: servers listen on it, clients connect over it, and it fails on command."""

import asyncio
import errno
import ipaddress
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import aiohttp
import yarl

from common.http.addresses import Address
from common.http.transports import NewConnection
from tests.simulation.connection import End, Line

P = TypeVar("P", bound=asyncio.BaseProtocol)

LATENCY = 0.001
"""Seconds until a byte arrives. Not zero: what asks again and again without a pause would keep time from passing."""
LOOPBACK = "127.0.0.1"
ELSEWHERE = "192.0.2.1"
"""Where clients come from that connect to another host than the loopback (RFC 5737: for examples)."""

process: ContextVar[object] = ContextVar("process", default=None)
"""The process that connects or listens, where a simulation has several (see `Network.kill`)."""


class Heard(NamedTuple):
    """When a client sent something, to which server, and its first line: `connect`, the line of a request, …"""

    time: float
    server: Address
    line: str


class Network:
    """The transports of a simulation (see `common.http.transports`), and what may go wrong on the way to a server.

    There is no TLS: what is sent to an https address is not encrypted. Faults hold for the server at a URL, whose path
    does not matter. Messages are under way for the latency, or for up to `spread` times as long, at random: so what is
    sent over several connections arrives in any order.
    """

    def __init__(self, *, spread: float = 1.0) -> None:
        self.hosts = {"localhost": LOOPBACK}
        """The names of hosts and their IP addresses, as in /etc/hosts; there are no other names."""
        self.heard: list[Heard] = []
        """What clients have sent, for comparing two simulations."""
        self._spread = spread
        self._servers: dict[Address, Server] = {}
        self._lines: dict[Address, Line] = {}
        self._killed: set[object] = set()
        self._free_ports = itertools.count(49152)

    # Faults

    def delay(self, url: str, seconds: float) -> None:
        """Let all that is sent to or from a server take so long."""
        self._line_to(url).latency = seconds

    def silence(self, url: str) -> None:
        """Let nothing arrive any more, in either direction, as if a cable was pulled: no end is told."""
        self._line_to(url).open.clear()

    def resume(self, url: str) -> None:
        """End a silence: what was sent meanwhile arrives, as TCP sends it again."""
        self._line_to(url).resume()

    def cut(self, url: str) -> None:
        """Break all connections to a server. New ones can be made."""
        self._line_to(url).cut()

    def kill(self, killed: object) -> None:
        """Let nothing that this process does reach anyone any more, as after kill -9.

        Its servers no longer listen. Its connections are closed by the system, so what it has written still arrives.
        """
        self._killed.add(killed)
        for server in [each for each in self._servers.values() if each.context.get(process) is killed]:
            server.close()
        for end in [end for line in self._lines.values() for end in line.ends if end.context.get(process) is killed]:
            end.close()

    def _assert_alive(self) -> None:
        if process.get() in self._killed:
            raise OSError(errno.ENETDOWN, "this process was killed")

    def _line_to(self, url: str) -> Line:
        return self._line(self._address(_place(url)))

    def _line(self, address: Address) -> Line:
        return self._lines.setdefault(address, Line(LATENCY, self._spread))

    def _address(self, place: str) -> Address:
        host, _, port = place.rpartition(":")
        try:
            return Address(self.hosts.get(host) or str(ipaddress.ip_address(host)), int(port))
        except ValueError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None  # as glibc says

    # Transports

    def connector(self, url: str, *, ssl: ssl.SSLContext | bool, limit: int) -> aiohttp.BaseConnector:
        """Return a connector to one server: aiohttp's for Unix sockets, with the server's address as the path."""
        return aiohttp.UnixConnector(_place(url), limit=limit)

    @asynccontextmanager
    async def listen(self, new_connection: NewConnection, address: Address) -> AsyncIterator[Sequence[Address]]:
        """Accept connections during the block."""
        server = self.serve(new_connection, address.host, address.port)
        try:
            yield [Address(address.host, server.address.port)]
        finally:
            server.close()

    # What the event loop of the simulation asks for

    def serve(self, new_connection: NewConnection, host: str | None, port: int | None) -> "Server":
        """Accept connections on an address (no host: on all) until the server is closed.

        Raises:
            OSError: the address is in use.
        """
        self._assert_alive()
        address = Address(host and self._address(f"{host}:0").host, port or next(self._free_ports))
        if address in self._servers:
            raise OSError(errno.EADDRINUSE, f"cannot listen on {address}: it is in use")
        server = self._servers[address] = Server(address, new_connection, copy_context(), self._servers)
        return server

    async def connect(self, new_connection: Callable[[], P], place: str) -> tuple[End, P]:
        """Connect to the server at HOST:PORT.

        Raises:
            OSError: nothing listens there, or no such host is known.
        """
        address = self._address(place)
        line = self._line(address)
        self._hear(address, b"connect")
        await asyncio.sleep(2 * line.under_way())
        await line.open.wait()
        self._assert_alive()
        server = self._servers.get(address) or self._servers.get(Address(None, address.port))
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nothing listens on {address}")
        protocol = new_connection()
        local = ipaddress.ip_address(address.host or LOOPBACK).is_loopback
        origin = Address(LOOPBACK if local else ELSEWHERE, next(self._free_ports))
        end = line.connect(
            protocol,
            server.context.run(server.new_connection),
            origin,
            address,
            contexts=(copy_context(), server.context.copy()),
            listener=lambda sent: self._hear(address, sent),
        )
        return end, protocol

    def _hear(self, server: Address, sent: bytes) -> None:
        line = sent.partition(b"\r\n")[0].decode("latin-1")
        self.heard.append(Heard(asyncio.get_running_loop().time(), server, line))


@dataclass(frozen=True)
class Server:
    """A server that accepts connections until it is closed."""

    address: Address
    new_connection: NewConnection
    context: Context
    _listening: dict[Address, "Server"]

    def close(self) -> None:
        """Accept no more connections."""
        if self._listening.get(self.address) is self:
            del self._listening[self.address]

    @property
    def sockets(self) -> Sequence["Server"]:
        """What aiohttp asks for the address of a server."""
        return [self]

    def getsockname(self) -> tuple[str, int]:
        return self.address.host or "0.0.0.0", self.address.port


def _place(url: str) -> str:
    origin = yarl.URL(url)
    return f"{origin.host}:{origin.port}"
