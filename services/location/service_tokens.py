"""Verifies Backstage's service tokens, with which a plugin proves who it is when it reads the second-generation feed.

Backstage, "Service to Service Auth": a backend plugin calls another with a JWT (ES256, type `vnd.backstage.plugin`,
`sub` the calling plugin, `aud` the called one). Each calling plugin publishes its own public keys, below
`/api/<plugin>/.backstage/auth/v1/jwks.json`.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from common.clocks import wall_time
from common.http.problems import HttpProblem
from services.location.jwks import ALGORITHM, REFETCH_PAUSE, KeySet

if TYPE_CHECKING:
    from jwt import PyJWK

log = structlog.get_logger("location.tokens")

JWT_TYPE: Final = "vnd.backstage.plugin"
CLOCK_SKEW: Final = 60
"""Seconds by which our clock and Backstage's clock may differ."""
_REMEMBERED: Final = 256
_MAX_TOKEN: Final = 8192


class ServiceTokens:
    """Verifies tokens with the public keys of the plugins that may read the feed."""

    def __init__(self, *, keys: Sequence[KeySet], audience: str, clock: Callable[[], float] = wall_time) -> None:
        self._key_sets = keys
        self._audience = audience
        self._clock = clock
        self._verified: dict[str, tuple[PyJWK, float]] = {}  # by token: the key that signed it, when it expires

    async def verify(self, _request: web.Request, token: str) -> bool:
        """Return whether `token` was issued by this Backstage for a call to us, and is valid now.

        Raises:
            HttpProblem: 503 if that is unknown, because some of the keys could never be read.
        """
        if self._is_remembered(token):
            return True
        if len(token) > _MAX_TOKEN:
            return False
        key_id = _key_id(token)
        key = await self._key(key_id) if key_id is not None else None
        expires = self._expiry(token, key) if key is not None else None
        if key is None or expires is None:
            return False
        self._remember(token, key, expires + CLOCK_SKEW)
        return True

    async def _key(self, key_id: str) -> "PyJWK | None":
        if (key := self._fresh_key(key_id)) is not None:
            return key
        await asyncio.gather(*(keys.refresh() for keys in self._key_sets))
        for keys in self._key_sets:
            if (key := keys.get(key_id)) is not None:
                return key
        if not all(keys.is_known for keys in self._key_sets):
            raise HttpProblem(
                503,
                "the token cannot be verified, because Backstage's keys could not be read: see the log of location",
                headers={"Retry-After": str(int(REFETCH_PAUSE))},
            )
        return None

    def _fresh_key(self, key_id: str) -> "PyJWK | None":
        found = (keys.get(key_id) for keys in self._key_sets if keys.is_fresh)
        return next((key for key in found if key is not None), None)

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
            log.info("service_token_refused", reason=type(error).__name__)
            return None
        return float(claims["exp"])

    def _is_remembered(self, token: str) -> bool:
        """Return whether the token was verified before, has not expired, and its key is still published."""
        key, until = self._verified.get(token, (None, 0.0))
        return key is not None and until > self._clock() and self._fresh_key(key.key_id or "") is key

    def _remember(self, token: str, key: "PyJWK", until: float) -> None:
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = (key, until)


def _key_id(token: str) -> str | None:
    import jwt

    try:
        header = jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        return None
    key_id = header.get("kid")
    fits = header.get("alg") == ALGORITHM and header.get("typ") == JWT_TYPE and isinstance(key_id, str)
    return key_id if fits else None
