"""The addresses that servers listen on, and the sockets bound to them."""

import errno
import ipaddress
import socket
from dataclasses import dataclass

from common.http.ports import holder_of

_HINTS = {
    errno.EADDRNOTAVAIL: "this machine does not have that address: choose 127.0.0.1, or :PORT for all of its addresses",
    errno.EACCES: "this user may not use that port: choose one above 1023",
}
"""What to do about an address that cannot be used, by the error of the system."""


@dataclass(frozen=True, slots=True)
class Address:
    """The address that a server listens on; without a host, all addresses of the machine, IPv4 and IPv6."""

    host: str | None
    port: int

    def __str__(self) -> str:
        host = self.host or ""
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address in `9090`, `:9090`, `127.0.0.1:9090`, `localhost:9090` or `[::1]:9090`.

    Raises:
        ValueError: it is not an address; the text says what was expected.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        expected = "expected PORT, :PORT, HOST:PORT or [IPV6]:PORT, with a PORT up to 65535"
        raise ValueError(f"{text!r} is not an address: {expected}")
    return Address(host or None, int(port))


def sockets_of(address: Address) -> list[socket.socket]:
    """Return the sockets bound to an address, one for each address family.

    Raises:
        OSError: it cannot be bound; the text names it, and the process that has it if that can be seen.
    """
    if address.host is not None:
        try:
            family, *_ = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)[0]
        except socket.gaierror as error:
            raise OSError(error.errno, f"cannot listen on {address}: {error.strerror}") from error
        return [_bound(socket.AddressFamily(family), address.host, address.port)]
    first = _bound(socket.AF_INET, "0.0.0.0", address.port)  # noqa: S104 - probes come from the node's address
    try:
        return [first, _bound(socket.AF_INET6, "::", first.getsockname()[1])]
    except OSError as error:
        if error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):  # a machine without IPv6
            return [first]
        first.close()
        raise


def _bound(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        where = Address(host, port)
        if error.errno == errno.EADDRINUSE:
            holder = holder_of(port)
            by = f" by {holder}" if holder else ""
            detail = f"{where} is in use{by}: stop that process, or choose another address"
            raise OSError(error.errno, detail) from error
        hint = _HINTS.get(error.errno or 0, "")
        raise OSError(error.errno, f"cannot listen on {where}: {hint or error.strerror}") from error
    return sock


def address_of(sock: socket.socket) -> Address:
    """Return the address that a socket is bound to."""
    host, port = sock.getsockname()[:2]
    return Address(None if ipaddress.ip_address(host).is_unspecified else host, port)
