"""Service tokens of Backstage: who reads the second-generation feed proves by one that it is a plugin of that backend.

Backstage, "Service to Service Auth": a backend plugin calls another with a JWT (ES256, type `vnd.backstage.plugin`,
`sub` the calling plugin, `aud` the called one) whose public keys it publishes as a JWKS below
`/api/<plugin>/.backstage/auth/v1/jwks.json`, and which it replaces every now and then.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from common import strict_json
from common.http.client import HttpClient, RemoteError
from common.http.problems import HttpProblem

if TYPE_CHECKING:
    from jwt import PyJWK

log = structlog.get_logger("location.jwks")

ALGORITHM: Final = "ES256"
JWT_TYPE: Final = "vnd.backstage.plugin"
CLOCK_SKEW: Final = 60
"""Seconds by which our clock and that of Backstage may differ."""
KEYS_LIFETIME: Final = 3600.0
"""Seconds after which the keys are fetched again, so that a withdrawn one ends."""
REFETCH_PAUSE: Final = 10.0
"""Seconds between two fetches, however many tokens name keys that nobody knows."""
_REMEMBERED: Final = 256
_MAX_TOKEN: Final = 8192


class ServiceTokens:
    """Verifies tokens against the keys of one Backstage; `client` asks exactly for its JWKS."""

    def __init__(
        self,
        *,
        client: HttpClient,
        audience: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._audience = audience
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()
        self._good_until: dict[str, float] = {}

    async def verify(self, _request: web.Request, token: str) -> bool:
        """Tell whether `token` was made by the Backstage for a call to us, and is valid now.

        Raises:
            HttpProblem: 503 when that cannot be told, because the keys have never been read.
        """
        now = self._clock()
        if self._good_until.get(token, 0) > now and now - self._fetched_at < KEYS_LIFETIME:
            return True
        if len(token) > _MAX_TOKEN:
            return False
        key_id = _key_id(token)
        key = await self._key(key_id) if key_id is not None else None
        expires = self._expiry(token, key) if key is not None else None
        if expires is None:
            return False
        self._remember(token, expires + CLOCK_SKEW)
        return True

    async def _key(self, key_id: str) -> "PyJWK | None":
        if key_id not in self._keys or self._clock() - self._fetched_at >= KEYS_LIFETIME:
            async with self._fetching:  # who waited here finds what the first one fetched
                if self._clock() - self._tried_at >= REFETCH_PAUSE:
                    await self._fetch()
        if not self._keys:
            raise HttpProblem(
                503,
                "the token cannot be verified: the keys of Backstage could not be read; see the log of location",
                headers={"Retry-After": str(int(REFETCH_PAUSE))},
            )
        return self._keys.get(key_id)

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            answer = await self._client.request("GET", "", attempts=1)
            keys = _usable_keys(answer.body)
        except (RemoteError, strict_json.JsonError) as error:
            log.warning(
                "the keys of Backstage cannot be read",
                error=str(error),
                remedy="see that BACKSTAGE_JWKS_URL is reachable from here and answers with a JWKS",
                keys_from_before=len(self._keys),
            )
            return
        self._keys, self._fetched_at = keys, self._clock()
        self._good_until.clear()

    def _expiry(self, token: str, key: "PyJWK") -> float | None:
        import jwt

        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                audience=self._audience,
                leeway=CLOCK_SKEW,
                options={"require": ["exp", "aud", "sub"]},
            )
        except jwt.InvalidTokenError as error:
            log.info("service token refused", reason=type(error).__name__)
            return None
        return float(claims["exp"])

    def _remember(self, token: str, until: float) -> None:
        if len(self._good_until) >= _REMEMBERED:
            self._good_until.clear()
        self._good_until[token] = until


def _key_id(token: str) -> str | None:
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return None
    key_id = header.get("kid")
    fits = header.get("alg") == ALGORITHM and header.get("typ") == JWT_TYPE and isinstance(key_id, str)
    return key_id if fits else None


def _usable_keys(raw: bytes) -> "dict[str, PyJWK]":
    """The keys of a JWKS that can have signed a service token; others in it are no fault."""
    from jwt import PyJWK
    from jwt.exceptions import InvalidKeyError, PyJWKError

    found: dict[str, PyJWK] = {}
    for item in strict_json.items(strict_json.parse_object(raw), "keys"):
        fields: dict[str, Any] = strict_json.as_object(item, "a key of the JWKS")
        if fields.get("kty") != "EC" or fields.get("crv") != "P-256" or not isinstance(fields.get("kid"), str):
            continue
        try:
            found[fields["kid"]] = PyJWK(fields, algorithm=ALGORITHM)
        except (InvalidKeyError, PyJWKError):
            log.warning("a key of Backstage cannot be used", key_id=fields["kid"][:80])
    return found
