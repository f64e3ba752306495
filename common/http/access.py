"""Decides which requests may read and write.

Writes always need the bearer token that the sidecars share. Reads from this host are open, because the first-generation
reader of the feed sends no token; reads from other hosts need the token. Below a guarded path, every read needs a
token: the shared one, or one that the guard accepts.
"""

import ipaddress
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from common import PRODUCT
from common.clocks import loop_time
from common.http.problems import HttpProblem
from common.secrets import TokenSource, same_token

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})

Verifier = Callable[[web.Request, str], Awaitable[bool]]
"""Returns whether a bearer token other than the shared one may read what is requested."""
MAX_REMEMBERED = 1024
"""Most addresses that a `RateLimit` remembers."""

_HINT = "this request needs the header 'Authorization: Bearer <token of the connector's service account>'"
_GUARD_HINT = "this request needs the header 'Authorization: Bearer <service token of Backstage>'"


class RateLimit:
    """Allows each address `burst` requests at once, and `rate` more per second (a token bucket each)."""

    def __init__(self, *, rate: float, burst: int, clock: Callable[[], float] = loop_time) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, address: str) -> float:
        """Count a request of `address`; return 0 if it is allowed, else after how many seconds one is."""
        now = self._clock()
        left, at = self._buckets.pop(address, (float(self._burst), now))
        left = min(float(self._burst), left + (now - at) * self._rate)
        passes = left >= 1
        if len(self._buckets) >= MAX_REMEMBERED:  # drop the one without a request for the longest time
            del self._buckets[next(iter(self._buckets))]
        self._buckets[address] = (left - 1 if passes else left, now)
        return 0.0 if passes else (1 - left) / self._rate


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPolicy:
    """Decides about each request; without a token (on a laptop), only this host may write.

    `open_paths` may be read by anyone: the answers contain no names of models, unless `reads_feed`. `guards` maps
    beginnings of paths, each ending in `/`, to a verifier that accepts further tokens for reading below them. A client
    that is refused more often than `refusals` allows must wait; one that has the token never must.
    """

    token: TokenSource | None = None
    open_reads: bool = False
    open_paths: frozenset[str] = OPEN_PATHS
    guards: Mapping[str, Verifier] = field(default_factory=dict)
    refusals: RateLimit = field(default_factory=lambda: RateLimit(rate=50, burst=1000))

    async def check(self, request: web.Request) -> None:
        """Check that the request is allowed.

        Raises:
            HttpProblem: 401 if a token is needed and missing, 403 if it is wrong, 429 after too many of these.
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
            challenge = {"WWW-Authenticate": f'Bearer realm="{PRODUCT}"'}
            raise self._refusal(request, HttpProblem(401, _GUARD_HINT if guard else _HINT, headers=challenge))
        if expected is not None and same_token(given, expected):
            return
        if guard is not None and await guard(request, given):
            return
        raise self._refusal(request, HttpProblem(403, "this bearer token is not accepted for this request"))

    def reads_feed(self, request: web.Request) -> bool:
        """Return whether the request may read the feed where there is no guard; a refusal is not counted."""
        if self.open_reads or is_local(request):
            return True
        expected, given = self.token() if self.token else None, _bearer(request)
        return expected is not None and given is not None and same_token(given, expected)

    def _guard(self, path: str) -> Verifier | None:
        return next((guard for beginning, guard in self.guards.items() if path.startswith(beginning)), None)

    def _refuse_browsers(self, request: web.Request) -> None:
        # Any web page in a browser on this host could send this request; none of our clients sends an Origin.
        if "Origin" in request.headers:
            raise self._refusal(request, HttpProblem(403, "web pages may not write: the request has an Origin header"))

    def _refusal(self, request: web.Request, refusal: HttpProblem) -> HttpProblem:
        seconds = math.ceil(self.refusals.wait(request.remote or ""))
        if not seconds:
            return refusal
        return HttpProblem(429, "too many refused requests from your address", headers={"Retry-After": str(seconds)})


def is_local(request: web.Request) -> bool:
    """Return whether the request comes from this host, including a pod's own address."""
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
