"""A store in one file of the local disk: the laptop's."""

import asyncio
import contextlib
import os
from collections.abc import Collection
from pathlib import Path

import structlog

from common.wire import Changes, Upsert, WireError, parse_snapshot, snapshot_lines
from services.storage_rest.stores.base import Contents, Refusal, StoreUnavailable, View

log = structlog.get_logger("storage")

NAME = "cache.ndjson"
WAIT = 8.0
"""Seconds that a caller waits for the disk."""
RETRY = 2.0
"""Seconds between attempts to write to a disk that refuses."""


class FileStore:
    """Holds everything in one file, in the form of `GET /snapshot`, replaced as a whole.

    A process that dies leaves the former file or the new one. Changes that arrive while the file is written go
    together into the next.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._entries: dict[str, Upsert] = {}
        self._cards: dict[str, str] = {}
        self._complete = False
        self._written = 0
        self._wanted = 0
        self._changed = asyncio.Event()
        self._saved = asyncio.Condition()
        self._fault = "the cache's file is not read yet"

    async def run(self, view: View) -> None:
        """Read the file, then write it after changes."""
        contents = await asyncio.to_thread(self._read)
        self._entries = {upsert.key: upsert for upsert in contents.upserts}
        self._cards = dict(contents.cards)
        self._complete = contents.complete
        view.load(contents)
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._save()

    def check(self, upsert: Upsert) -> Refusal | None:
        """Take an entry of any size."""
        return None

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Take a card of any size."""
        return None

    def write(self, changes: Changes) -> None:
        """Have the file written again."""
        self._entries.update((upsert.key, upsert) for upsert in changes.upserts)
        self._cards.update(changes.cards)
        for key in changes.removals:
            self._entries.pop(key, None)
        for key in changes.card_removals:
            self._cards.pop(key, None)
        self._complete = changes.complete
        self._wanted += 1
        self._changed.set()

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Wait until the file holds what was written so far."""
        wanted = self._wanted
        try:
            async with asyncio.timeout(WAIT), self._saved:
                await self._saved.wait_for(lambda: self._written >= wanted)
        except TimeoutError:
            raise StoreUnavailable(self._fault) from None
        return ()

    async def _save(self) -> None:
        wanted = self._wanted
        lines = snapshot_lines(
            Changes(
                revision="",
                complete=self._complete,
                upserts=tuple(self._entries.values()),
                cards=dict(self._cards),
            )
        )
        try:
            await asyncio.to_thread(self._replace, b"".join(lines))
        except OSError as error:
            self._fault = f"{self._path} cannot be written: {error.strerror}; make room or choose another STATE_DIR"
            log.error("cache not written", path=str(self._path), error=str(error), retry_seconds=RETRY)
            await asyncio.sleep(RETRY)
            self._changed.set()
            return
        async with self._saved:
            self._written = wanted
            self._saved.notify_all()

    def _replace(self, content: bytes) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # or the new name may be lost with the power
        finally:
            os.close(directory)

    def _read(self) -> Contents:
        try:
            with self._path.open("rb") as file:
                changes = parse_snapshot(file)
        except FileNotFoundError:
            return Contents()
        except (WireError, OSError) as error:
            aside = self._path.with_suffix(".unreadable")
            log.error("cache unreadable, beginning anew", path=str(self._path), kept_as=str(aside), error=str(error))
            with contextlib.suppress(OSError):
                self._path.replace(aside)
            return Contents()
        return Contents(upserts=changes.upserts, cards=changes.cards, complete=changes.complete)
