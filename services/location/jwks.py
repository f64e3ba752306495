"""Reads the public keys that a Backstage plugin publishes as a JWKS (RFC 7517) and keeps them up to date."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from common import strict_json
from common.clocks import loop_time
from common.http.client import HttpClient
from common.http.errors import RemoteError

if TYPE_CHECKING:
    from jwt import PyJWK

log = structlog.get_logger("location.jwks")

ALGORITHM: Final = "ES256"
KEYS_LIFETIME: Final = 3600.0
"""Seconds after which the keys are fetched again, so that a withdrawn key stops working."""
REFETCH_PAUSE: Final = 10.0
"""Least number of seconds between two fetches, however many tokens name unknown keys."""


class KeySet:
    """The keys of one JWKS; `client` has its URL as base URL."""

    def __init__(self, *, client: HttpClient, clock: Callable[[], float] = loop_time) -> None:
        self._client = client
        self._clock = clock
        self._keys: dict[str, PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._fetching = asyncio.Lock()

    @property
    def is_known(self) -> bool:
        """Whether any keys have been read."""
        return bool(self._keys)

    @property
    def is_fresh(self) -> bool:
        """Whether the keys were read less than `KEYS_LIFETIME` seconds ago."""
        return self._clock() - self._fetched_at < KEYS_LIFETIME

    def get(self, key_id: str) -> "PyJWK | None":
        """Return the key with this id among those read last."""
        return self._keys.get(key_id)

    async def refresh(self) -> None:
        """Read the keys again, unless that was tried a moment ago; on failure the former keys stay."""
        async with self._fetching:  # callers that waited here use what the first one fetched
            if self._clock() - self._tried_at >= REFETCH_PAUSE:
                await self._fetch()

    async def _fetch(self) -> None:
        self._tried_at = self._clock()
        try:
            answer = await self._client.request("GET", "", attempts=1)
            keys = _usable_keys(answer.body)
        except (RemoteError, strict_json.JsonError) as error:
            log.warning(
                "backstage_keys_unreadable",
                url=self._client.base_url,
                error=str(error),
                remedy="check that BACKSTAGE_JWKS_URL can be reached from this pod and returns a JWKS",
                former_keys=len(self._keys),
            )
            return
        self._keys, self._fetched_at = keys, self._clock()


def _usable_keys(raw: bytes) -> "dict[str, PyJWK]":
    """Return the keys of a JWKS that can sign a service token, by id; other keys are ignored."""
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
            log.warning("backstage_key_unusable", key_id=fields["kid"][:80])
    return found
