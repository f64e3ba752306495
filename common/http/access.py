"""Who may read and who may write.

Writes need the bearer token that the sidecars share, wherever they come from. Reads from this very host are open,
because the first-generation reader of the feed sends no token; reads from elsewhere need it. Below a guarded path,
reads need a token wherever they come from: the shared one, or one that the guard accepts.
"""

import ipaddress
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from common.http.limits import RateLimit
from common.http.problems import HttpProblem
from common.secrets import TokenSource, same_token

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

Verifier = Callable[[web.Request, str], Awaitable[bool]]
"""Return whether a bearer token that is not the shared one may read what is asked for."""

_HINT = "this request needs the header 'Authorization: Bearer <token of the connector's service account>'"
_GUARD_HINT = "this request needs the header 'Authorization: Bearer <service token of Backstage>'"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """Decides about each request; without a token (a laptop) writes are open to this host only.

    `open_paths` are read by everybody: what is answered there names no model, or only to whom `reads_feed`.
    `guards` maps the beginnings of paths, each ending in `/`, to what accepts further tokens for reading below them.
    Who is refused more often than `refusals` allows is told to wait instead; who has the token never is.
    """

    token: TokenSource | None = None
    open_reads: bool = False
    open_paths: frozenset[str] = OPEN_PATHS
    guards: Mapping[str, Verifier] = field(default_factory=dict)
    refusals: RateLimit = field(default_factory=lambda: RateLimit(rate=50, burst=1000))

    async def check(self, request: web.Request) -> None:
        """Let the request pass or raise.

        Raises:
            HttpProblem: 401 without a token where one is needed, 403 with a wrong one, 429 after too many of these.
        """
        reading = request.method in SAFE_METHODS
        guard = self._guard(request.path) if reading else None
        if reading and guard is None and (request.path in self.open_paths or self.open_reads or is_local(request)):
            return
        expected = self.token() if self.token else None
        if expected is None and guard is None and is_local(request):
            self._refuse_browsers(request)
            return
        given = _bearer(request)
        if given is None:
            challenge = {"WWW-Authenticate": 'Bearer realm="rhoai-connector"'}
            raise self._refusal(request, HttpProblem(401, _GUARD_HINT if guard else _HINT, headers=challenge))
        if expected is not None and same_token(given, expected):
            return
        if guard is not None and await guard(request, given):
            return
        raise self._refusal(request, HttpProblem(403, "the bearer token is not one that this request is open to"))

    def reads_feed(self, request: web.Request) -> bool:
        """Return whether the request may read what has no guard, as the feed's list; nothing is counted as refused."""
        if self.open_reads or is_local(request):
            return True
        expected, given = self.token() if self.token else None, _bearer(request)
        return expected is not None and given is not None and same_token(given, expected)

    def _guard(self, path: str) -> Verifier | None:
        return next((guard for beginning, guard in self.guards.items() if path.startswith(beginning)), None)

    def _refuse_browsers(self, request: web.Request) -> None:
        # Any page that a browser on this host shows can send it here; none of our clients sends an Origin.
        if "Origin" in request.headers:
            raise self._refusal(request, HttpProblem(403, "writing from a web page is not possible"))

    def _refusal(self, request: web.Request, refusal: HttpProblem) -> HttpProblem:
        seconds = math.ceil(self.refusals.wait(request.remote or ""))
        if not seconds:
            return refusal
        return HttpProblem(429, "too many refused requests from your address", headers={"Retry-After": str(seconds)})


def is_local(request: web.Request) -> bool:
    """Return whether the request comes from this very host, a pod's own address included."""
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
