"""Making the feed known to a Backstage that has no plugin for it: PUSH_TO_RHDH.

Registers Locations through the catalog's API (Backstage, "Software Catalog API": `/api/catalog/locations`), which
Backstage reads by itself from then on: location's `/catalog-info.yaml` or, in the second format, that of each model.
What is registered is compared with what is wanted again and again, so that a Backstage that has lost its database is
told again, and what is no longer wanted is taken back.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import structlog

from common.backoff import Backoff
from common.catalog_info import FILE_NAME
from common.http.client import HttpClient, RemoteError, StatusError

log = structlog.get_logger("registration")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LOOK = 5.0
"""Seconds between two looks at what is wanted."""
CHECK = 300.0
"""Seconds between two looks at what is registered."""
_LOCATIONS = "/api/catalog/locations"
_WAITS_FOR_PEOPLE = frozenset({400, 401, 403, 404})

Wanted = Callable[[], Collection[str] | None]
"""Gives the targets that should be registered; None while that is not known."""


class Registration:
    """Keeps the Locations below `base`, and no others, as they are wanted."""

    def __init__(self, backstage: HttpClient, *, base: str, wanted: Wanted) -> None:
        self._backstage = backstage
        self._base = f"{base.rstrip('/')}/"
        self._wanted = wanted
        self._told = ""

    async def run(self) -> None:
        """Register and take back until cancelled; each kind of failure is told once."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        done: Collection[str] | None = None
        clock = asyncio.get_running_loop().time
        checked = 0.0
        while True:
            wanted, pause = self._wanted(), LOOK
            if wanted is not None and (wanted != done or clock() >= checked + CHECK):
                if await self._reconciled(wanted):
                    done, checked = wanted, clock()
                    backoff.reset()
                else:
                    pause = backoff.next()
            await asyncio.sleep(pause)

    async def take_back(self) -> None:
        """Take everything back, trying until it is."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        while True:
            if await self._reconciled(()):
                return
            await asyncio.sleep(backoff.next())

    async def _reconciled(self, wanted: Collection[str]) -> bool:
        """Make what is registered equal to what is wanted; return whether it is."""
        try:
            registered = await self._registered(needed=not wanted)
            for target in sorted(set(wanted) - registered.keys()):
                await self._register(target)
            # Not before the others are there: what is taken back takes its entities with it.
            for target in sorted(registered.keys() - set(wanted)):
                await self._take_back(target, registered[target])
        except RemoteError as error:
            return await self._failed(error)
        self._told = ""
        return True

    async def _registered(self, *, needed: bool) -> Mapping[str, str]:
        """Return the ids of the Locations that are ours, by target; none that may not be read, unless it is `needed`.

        A token that may only create Locations is enough to register: Backstage says which are there already.
        """
        try:
            answer = (await self._backstage.request("GET", _LOCATIONS)).json()
        except StatusError as error:
            if error.status != 403 or needed:
                raise
            return {}
        found = [item["data"] for item in answer if isinstance(item, dict) and isinstance(item.get("data"), dict)]
        return {str(each["target"]): str(each["id"]) for each in found if self._is_ours(each)}

    def _is_ours(self, location: Mapping[str, Any]) -> bool:
        target = str(location.get("target", ""))
        return location.get("type") == "url" and target.startswith(self._base) and target.endswith(f"/{FILE_NAME}")

    async def _register(self, target: str) -> None:
        try:
            await self._backstage.request("POST", _LOCATIONS, json={"type": "url", "target": target})
        except StatusError as error:
            if error.status != 409:  # another replica was quicker
                raise
        else:
            log.info("feed_registered", target=target)

    async def _take_back(self, target: str, id_: str) -> None:
        try:
            await self._backstage.request("DELETE", f"{_LOCATIONS}/{quote(id_, safe='')}")
        except StatusError as error:
            if error.status != 404:
                raise
        else:
            log.info("feed_taken_back", target=target)

    async def _failed(self, error: RemoteError) -> bool:
        """Tell what went wrong; wait longer where somebody has to act. Returns False."""
        fault, remedy = str(error), "BKSTG_URL must be the address of the Backstage backend"
        if isinstance(error, StatusError):
            remedy = "RHDH_TOKEN must be a token that may read, create and delete locations in the catalog"
        if fault != self._told:
            log.warning("feed_not_registered", error=fault, remedy=remedy)
            self._told = fault
        if isinstance(error, StatusError) and error.status in _WAITS_FOR_PEOPLE:
            await asyncio.sleep(LONGEST_PAUSE)
        return False
