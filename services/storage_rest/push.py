"""Tells a location that does not ask by itself, with the requests of the original."""

import asyncio
from dataclasses import replace
from typing import Protocol

import structlog

from common.backoff import Backoff
from common.complaints import Complaint
from common.http.client import HttpClient, RemoteError, StatusError
from common.wire import Changes, Upsert, encode_original_upsert
from services.storage_rest.telemetry import Telemetry

log = structlog.get_logger("push")

REVISION_HEADER = "X-Connector-Revision"
PARALLEL = 8
LONGEST_PAUSE = 30.0
"""Seconds between attempts to reach a location that is away."""
FIRST_PAUSE = 0.5


class Source(Protocol):
    """What the pusher sends, and whether it need."""

    @property
    def revision(self) -> str:
        """The revision of what is stored now."""

    @property
    def followed(self) -> bool:
        """Whether location asks by itself."""

    @property
    def keys(self) -> list[str]:
        """Every key stored."""

    def shown(self, key: str) -> Upsert | None:
        """Return the entry under a key as readers see it."""

    def card(self, key: str) -> str | None:
        """Return the text of a card."""


class Pusher:
    """Sends each key whose entry changed, once, as it is by then; tries again until location took it.

    While location follows by itself nothing is sent, and what was waiting is dropped.
    """

    def __init__(self, *, client: HttpClient, source: Source, telemetry: Telemetry, yaml: bool = False) -> None:
        """`yaml`: documents are sent in the second format."""
        self._yaml = yaml
        self._client = client
        self._source = source
        self._telemetry = telemetry
        self._waiting: dict[str, None] = {}  # keys, in the order in which they changed
        self._something = asyncio.Event()
        self._everything: asyncio.TimerHandle | None = None
        self._complaint = Complaint()

    def tell(self, changes: Changes) -> None:
        """Send these changes."""
        carded = set(changes.cards)
        if carded:
            for key in self._source.keys:
                entry = self._source.shown(key)
                if entry is not None and entry.card_key in carded:
                    self._add(key)
        for key in (*(upsert.key for upsert in changes.upserts), *changes.removals):
            self._add(key)

    def tell_all(self, *, after: float) -> None:
        """Send everything, some seconds after the last call."""
        if self._everything is not None:
            self._everything.cancel()
        self._everything = asyncio.get_running_loop().call_later(after, self._add_all)

    async def run(self) -> None:
        """Send until cancelled."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE, least=0.5)
        try:
            while True:
                await self._something.wait()
                if await self._send_some():
                    backoff.reset()
                else:
                    await asyncio.sleep(backoff.next())
        finally:
            if self._everything is not None:
                self._everything.cancel()

    def _add(self, key: str) -> None:
        self._waiting.pop(key, None)
        self._waiting[key] = None
        self._something.set()

    def _add_all(self) -> None:
        self._everything = None
        if not self._source.followed:
            for key in self._source.keys:
                self._add(key)

    async def _send_some(self) -> bool:
        """Send a few of the waiting keys and return whether location took them all."""
        if self._source.followed:
            self._waiting.clear()
        keys = list(self._waiting)[:PARALLEL]
        if not keys:
            self._something.clear()
        for key in keys:
            del self._waiting[key]
        return all(await asyncio.gather(*(self._send(key) for key in keys)))

    async def _send(self, key: str) -> bool:
        entry = self._source.shown(key)
        headers = {REVISION_HEADER: self._source.revision}
        try:
            if entry is None:
                await self._client.request("DELETE", "/remove", params={"key": key}, headers=headers, attempts=1)
            else:
                card = self._source.card(entry.card_key) if entry.card_key else None
                await self._client.request(
                    "POST",
                    "/upsert",
                    params={"key": key},
                    headers={**headers, "Content-Type": "application/json"},
                    data=encode_original_upsert(replace(entry, card=card), yaml=self._yaml),
                    attempts=1,
                )
        except RemoteError as error:
            return self._failed(key, error)
        self._telemetry.pushes.labels("success").inc()
        if self._complaint.worked():
            log.info("location_reachable_again")
        return True

    def _failed(self, key: str, error: RemoteError) -> bool:
        """Return whether the key is done with, because location will never take it."""
        self._telemetry.pushes.labels("error").inc()
        if isinstance(error, StatusError) and error.status in (400, 404, 413):
            log.warning("document_refused", key=key, error=str(error))
            return True
        if key not in self._waiting:
            self._waiting = {key: None, **self._waiting}
            self._something.set()
        if level := self._complaint.failed():
            tell = log.info if level == "info" else log.warning
            tell("location_unreachable", error=str(error), remedy="is it running? Is BRIDGE_URL right?")
        return False
