"""Registers the feed with a Backstage that has no plugin for it (PUSH_TO_RHDH).

It creates Locations through the catalog's API (Backstage, "Software Catalog API": `/api/catalog/locations`), which
Backstage then reads by itself: location's `/catalog-info.yaml` or, with CatalogInfoYamlFormat, one for each model. The
registered Locations are compared with the wanted ones repeatedly: if Backstage has lost its database they are
registered again, and those that are no longer wanted are unregistered.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import structlog

from common.backoff import Backoff
from common.catalog_info import FILE_NAME
from common.clocks import loop_time
from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError

log = structlog.get_logger("registration")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
LOOK = 5.0
"""Seconds between checks of which Locations are wanted."""
CHECK = 300.0
"""Seconds between checks of which Locations are registered."""
_LOCATIONS = "/api/catalog/locations"
_WAITS_FOR_PEOPLE = frozenset({400, 401, 403, 404})

WantedTargets = Callable[[], Collection[str] | None]
"""Returns the targets that should be registered; None while that is unknown."""


class Registration:
    """Registers and unregisters the Locations whose targets are below `base`; it ignores all others."""

    def __init__(self, backstage: HttpClient, *, base: str, wanted: WantedTargets) -> None:
        self._backstage = backstage
        self._base = f"{base.rstrip('/')}/"
        self._wanted = wanted
        self._logged = ""
        self._backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)

    async def run(self) -> None:
        """Register and unregister until cancelled; the same failure is logged once."""
        done: Collection[str] | None = None
        checked = 0.0
        while True:
            wanted = self._wanted()
            pause = None
            if wanted is not None and (wanted != done or loop_time() >= checked + CHECK):
                pause = await self._reconcile(wanted)
                if pause is None:
                    done, checked = wanted, loop_time()
            await asyncio.sleep(LOOK if pause is None else pause)

    async def unregister(self) -> None:
        """Unregister everything, retrying until that has succeeded."""
        while (pause := await self._reconcile(())) is not None:  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(pause)

    async def _reconcile(self, wanted: Collection[str]) -> float | None:
        """Make the registered Locations equal to the wanted ones.

        Returns None if that succeeded, else the seconds before the next attempt.
        """
        try:
            registered = await self._registered(needed=not wanted)
            for target in sorted(set(wanted) - registered.keys()):
                await self._register(target)
            # Last, because Backstage deletes the entities of a Location that is unregistered.
            for target in sorted(registered.keys() - set(wanted)):
                await self._unregister(target, registered[target])
        except RemoteError as error:
            self._failed(error)
            waits_for_people = isinstance(error, StatusError) and error.status in _WAITS_FOR_PEOPLE
            return LONGEST_PAUSE if waits_for_people else self._backoff.next()
        self._logged = ""
        self._backoff.reset()
        return None

    async def _registered(self, *, needed: bool) -> Mapping[str, str]:
        """Return the ids of our Locations by target; an empty mapping if they may not be read and are not `needed`.

        A token that may only create Locations is enough to register: Backstage answers 409 for those that exist.
        """
        try:
            answer = (await self._backstage.request("GET", _LOCATIONS)).json()
        except StatusError as error:
            if error.status != 403 or needed:
                raise
            return {}
        if not isinstance(answer, list):
            raise RemoteError(f"{self._backstage.base_url}{_LOCATIONS}: the answer is not a list of Locations")
        found = [item["data"] for item in answer if isinstance(item, dict) and isinstance(item.get("data"), dict)]
        return {str(each["target"]): str(each["id"]) for each in found if "id" in each and self._is_ours(each)}

    def _is_ours(self, location: Mapping[str, Any]) -> bool:
        target = str(location.get("target", ""))
        return location.get("type") == "url" and target.startswith(self._base) and target.endswith(f"/{FILE_NAME}")

    async def _register(self, target: str) -> None:
        try:
            await self._backstage.request("POST", _LOCATIONS, json={"type": "url", "target": target})
        except StatusError as error:
            if error.status != 409:  # it exists already, perhaps registered by another replica
                raise
        else:
            log.info("feed_registered", target=target)

    async def _unregister(self, target: str, id_: str) -> None:
        try:
            await self._backstage.request("DELETE", f"{_LOCATIONS}/{quote(id_, safe='')}")
        except StatusError as error:
            if error.status != 404:
                raise
        else:
            log.info("feed_taken_back", target=target)

    def _failed(self, error: RemoteError) -> None:
        """Log a failure, unless it is the same as before."""
        fault, remedy = str(error), "set BKSTG_URL to the address of the Backstage backend"
        if isinstance(error, StatusError):
            remedy = "set RHDH_TOKEN to a token that may read, create and delete locations in the catalog"
        if fault != self._logged:
            log.warning("feed_not_registered", error=fault, remedy=remedy)
            self._logged = fault
