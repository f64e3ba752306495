"""Who may read and who may write.

Writes need the bearer token that the sidecars share, wherever they come from. Reads from this very host are open,
because the first-generation reader of the feed sends no token; reads from elsewhere need it.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from common.http.problems import HttpProblem
from common.secrets import TokenSource, same_token

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

Verifier = Callable[[web.Request, str], Awaitable[bool]]
"""Tells whether a bearer token that is not the shared one may read what is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """Decides about each request; without a token (a laptop) writes are open to this host only."""

    token: TokenSource | None = None
    open_reads: bool = False
    verifiers: Sequence[Verifier] = ()

    async def check(self, request: web.Request) -> None:
        """Let the request pass or raise.

        Raises:
            HttpProblem: 401 without a token where one is needed, 403 with a wrong one.
        """
        if request.path in OPEN_PATHS:
            return
        reading = request.method in SAFE_METHODS
        if reading and (self.open_reads or is_local(request)):
            return
        expected = self.token() if self.token else None
        if expected is None and is_local(request):
            return
        given = _bearer(request)
        if given is None:
            raise HttpProblem(
                401,
                "this request needs the header 'Authorization: Bearer <token of the connector's service account>'",
                headers={"WWW-Authenticate": 'Bearer realm="rhoai-connector"'},
            )
        if expected is not None and same_token(given, expected):
            return
        if reading:
            for verify in self.verifiers:
                if await verify(request, given):
                    return
        raise HttpProblem(403, "the bearer token is not the one that this service was started with")


def is_local(request: web.Request) -> bool:
    """Tell whether the request comes from this very host, a pod's own address included."""
    if request.transport is None:
        return False
    peer = request.transport.get_extra_info("peername")
    own = request.transport.get_extra_info("sockname")
    if not peer or not own:
        return False
    return bool(peer[0] == own[0]) or ipaddress.ip_address(peer[0].partition("%")[0]).is_loopback


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
