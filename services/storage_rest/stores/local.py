"""The stores that need no cluster: one file on the local disk, or memory only."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from common import feed, wire
from common.backoff import Backoff
from common.texts import unicode
from common.wire import Changes, SnapshotReader, Upsert, WireError
from services.storage_rest.stores.base import CacheView, LoadedCache, Refusal, StoreUnavailable

log = structlog.get_logger("storage")

NAME = "cache.ndjson"
SOURCES = "sources"
"""File with the sources that the cache was filled from, one in each line."""
LOCK = "lock"
WAIT = 8.0
"""Seconds that a caller waits for its changes to be written."""
RETRY = 2.0
"""Most seconds between attempts to write after an error."""
_AS_GIVEN: Final = {"encoding": "utf-8", "errors": "surrogateescape"}  # names of files may be any bytes


class DirectoryRefused(OSError):
    """The state directory belongs to another process or other sources; the text says what to do."""


@contextmanager
def claimed(directory: Path, sources: Collection[str] = ()) -> Iterator[None]:
    """Lock a state directory during the block, for a cache that is filled from `sources`.

    Sources may be added to those of former runs. Leaving one out is refused, because its models would be removed.

    Raises:
        DirectoryRefused: another process uses it, or it was filled from other sources.
        OSError: it cannot be made or written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryRefused(
                f"the state directory {directory} is used by another process: stop that process, "
                "or choose another directory with --state"
            ) from None
        path = directory / SOURCES
        known = path.read_text(**_AS_GIVEN).splitlines() if path.exists() else []
        missing = [source for source in known if source not in sources]
        if missing and sources:
            raise DirectoryRefused(
                f"the state directory {directory} was filled from {unicode(', '.join(missing))} too: add that, "
                "choose another directory with --state, or delete the directory"
            )
        if sources:
            path.write_text("".join(f"{source}\n" for source in sorted(sources)), **_AS_GIVEN)
        yield  # closing the file releases the lock


class FileStore:
    """Keeps everything in one file, in the format of `GET /snapshot`, which is replaced as a whole.

    If the process ends, either the former or the new file is left. Changes that arrive while the file is written are
    written together in the next one. Each entry is encoded once, when it changes.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / NAME
        self._entries: dict[str, bytes] = {}
        self._cards: dict[str, bytes] = {}
        self._head = Changes(revision="", complete=False)
        self._written = 0
        self._wanted = 0
        self._unsaved: dict[str, int] = {}
        self._backoff = Backoff(RETRY / 8, RETRY, least=0.5)
        self._changed = asyncio.Event()
        self._saved = asyncio.Condition()
        self._view: CacheView | None = None
        self.fault = ""
        self.shards = ()

    async def run(self, view: CacheView) -> None:
        """Read the file, then write it after changes."""
        loaded = await asyncio.to_thread(self._read)
        self._view = view
        view.load(loaded)
        self._take(Changes(revision="", complete=view.complete, upserts=loaded.upserts, cards=loaded.cards))
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._save()

    def check(self, upsert: Upsert) -> Refusal | None:
        """Accept an entry of any size."""
        return None

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Accept a card of any size."""
        return None

    def write(self, changes: Changes) -> None:
        """Schedule the file to be written."""
        self._take(changes)
        self._wanted += 1
        self._unsaved.update((upsert.key, self._wanted) for upsert in changes.upserts)
        self._changed.set()

    def lacks(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose entries are not in the file yet."""
        return self._unsaved.keys() & set(keys)

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Wait until the file contains everything that was passed to `write` so far."""
        wanted = self._wanted
        try:
            async with asyncio.timeout(WAIT), self._saved:
                await self._saved.wait_for(lambda: self._written >= wanted)
        except TimeoutError:
            raise StoreUnavailable(
                self.fault or f"the disk has not written the cache within {WAIT:g} seconds"
            ) from None
        return ()

    def _take(self, changes: Changes) -> None:
        self._entries.update((upsert.key, wire.entry_line(upsert)) for upsert in changes.upserts)
        self._cards.update((key, wire.card_line(key, text)) for key, text in changes.cards.items())
        for key in changes.removals:
            self._entries.pop(key, None)
        for key in changes.card_removals:
            self._cards.pop(key, None)
        self._head = Changes(revision="", complete=changes.complete, damage=changes.damage)

    async def _save(self) -> None:
        wanted = self._wanted
        lines = [wire.head_line(self._head), *self._entries.values(), *self._cards.values(), wire.END_LINE]
        try:
            await asyncio.to_thread(self._replace, lines)
        except OSError as error:
            self._failed(error)
            await asyncio.sleep(self._backoff.next())
            self._changed.set()
            return
        self.fault = ""
        self._backoff.reset()
        self._unsaved = {key: count for key, count in self._unsaved.items() if count > wanted}
        async with self._saved:
            self._written = wanted
            self._saved.notify_all()
        self._report()

    def _failed(self, error: OSError) -> None:
        if not self.fault:
            log.error("cache_not_written", path=str(self._path), error=str(error))
        self.fault = f"{self._path} cannot be written: {error.strerror}; free space, or choose another STATE_DIR"
        self._report()

    def _report(self) -> None:
        if self._view is not None:
            self._view.progressed()

    def _replace(self, lines: list[bytes]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        directory = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(directory)  # otherwise a power failure may lose the new name
        finally:
            os.close(directory)

    def _read(self) -> LoadedCache:
        """Read what can be read; of a damaged file, a part of the cache."""
        reader, upserts, fault = SnapshotReader(), [], ""
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    try:
                        if (upsert := reader.feed(line)) is not None:
                            upserts.append(_usable(upsert))
                    except ValueError as error:
                        fault = fault or f"line {number} of {self._path} cannot be read: {error}"
            rest = reader.finish()
        except FileNotFoundError:
            return LoadedCache()
        except (WireError, OSError) as error:
            fault = fault or f"{self._path}: {error}"
            return LoadedCache(upserts=tuple(upserts), damage=fault)
        finally:
            if fault:
                aside = self._path.with_suffix(".unreadable")
                log.error("cache_file_damaged", error=fault, kept_as=str(aside))
                with suppress(OSError):
                    shutil.copyfile(self._path, aside)
        return LoadedCache(
            upserts=tuple(upserts), cards=rest.cards, complete=rest.complete and not fault, damage=rest.damage or fault
        )


class MemoryStore:
    """Stores nothing, so that the cache ends with the process: for tests and for trying things out."""

    fault = ""
    shards = ()

    def lacks(self, keys: Collection[str]) -> AbstractSet[str]:
        """Return an empty set."""
        return frozenset()

    async def run(self, view: CacheView) -> None:
        """Load an empty cache."""
        view.load(LoadedCache())

    def check(self, upsert: Upsert) -> Refusal | None:
        """Accept an entry of any size."""
        return None

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Accept a card of any size."""
        return None

    def write(self, changes: Changes) -> None:
        """Do nothing."""

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Return at once."""
        return ()


def _usable(upsert: Upsert) -> Upsert:
    """Return an entry with its document corrected.

    Raises:
        feed.Refused: it cannot be served.
    """
    feed.path_of(upsert.key, upsert.uri)
    return replace(upsert, body=feed.fix_document(upsert.body))
