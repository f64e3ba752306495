"""Making the feed known to a Backstage that has no plugin for it: PUSH_TO_RHDH.

Registers location's `/catalog-info.yaml` as a Location through the catalog's API (Backstage, "Software Catalog API":
`POST /api/catalog/locations`); from then on Backstage reads it by itself. Doing it again does no harm: it answers 409.
"""

import asyncio

import structlog

from common.backoff import Backoff
from common.http.client import HttpClient, RemoteError, StatusError

log = structlog.get_logger("registration")

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
_CONFLICT = 409
_WAITS_FOR_PEOPLE = frozenset({400, 401, 403, 404})


async def register(backstage: HttpClient, target: str) -> None:
    """Register `target`, trying until it is known there; each kind of failure is told once."""
    backoff, told = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5), ""
    while True:
        pause = backoff.next()
        try:
            await backstage.request("POST", "/api/catalog/locations", json={"type": "url", "target": target})
        except StatusError as error:
            if error.status == _CONFLICT:
                return
            if error.status in _WAITS_FOR_PEOPLE:
                pause = LONGEST_PAUSE
            fault, remedy = str(error), "RHDH_TOKEN must be a token that may create locations in the catalog"
        except RemoteError as error:
            fault, remedy = str(error), "BKSTG_URL must be the address of the Backstage backend"
        else:
            log.info("feed_registered", target=target)
            return
        if fault != told:
            log.warning("feed_not_registered", error=fault, remedy=remedy)
            told = fault
        await asyncio.sleep(pause)
