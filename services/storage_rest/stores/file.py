"""A store in one file of the local disk: the laptop's."""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import structlog

from common import feed, wire
from common.wire import Changes, SnapshotReader, Upsert, WireError
from services.storage_rest.stores.base import Contents, Refusal, StoreUnavailable, View

log = structlog.get_logger("storage")

NAME = "cache.ndjson"
SOURCES = "sources"
"""File that names what the cache was filled from, a line each."""
LOCK = "lock"
WAIT = 8.0
"""Seconds that a caller waits for the disk."""
RETRY = 2.0
"""Seconds between attempts to write to a disk that refuses."""


class DirectoryRefused(OSError):
    """The state directory is somebody else's; the text says whose and what to do."""


@contextmanager
def owned(directory: Path, sources: Collection[str] = ()) -> Iterator[None]:
    """Have a state directory to oneself for the time of the block, for a cache that is filled from `sources`.

    Sources may be added to those of former runs; one that is left out would let its models go.

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
                f"the state directory {directory} is used by another process: end that one, or give another --state"
            ) from None
        path = directory / SOURCES
        known = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        missing = [source for source in known if source not in sources]
        if missing and sources:
            raise DirectoryRefused(
                f"the state directory {directory} belongs to {', '.join(missing)}: run it with that too, "
                "give another --state, or delete the directory"
            )
        if sources:
            path.write_text("".join(f"{source}\n" for source in sorted(sources)), encoding="utf-8")
        yield  # the lock ends with the file


class FileStore:
    """Holds everything in one file, in the form of `GET /snapshot`, replaced as a whole.

    A process that dies leaves the former file or the new one. Changes that arrive while the file is written go
    together into the next. Each entry is encoded once, when it changes.
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
        self._changed = asyncio.Event()
        self._saved = asyncio.Condition()
        self._view: View | None = None
        self.fault = ""
        self.shards = ()

    async def run(self, view: View) -> None:
        """Read the file, then write it after changes."""
        contents = await asyncio.to_thread(self._read)
        self._view = view
        view.load(contents)
        self._take(Changes(revision="", complete=view.complete, upserts=contents.upserts, cards=contents.cards))
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
        self._take(changes)
        self._wanted += 1
        self._unsaved.update((upsert.key, self._wanted) for upsert in changes.upserts)
        self._changed.set()

    def lacks(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose entries are not in the file yet."""
        return self._unsaved.keys() & set(keys)

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Wait until the file holds what was written so far."""
        wanted = self._wanted
        try:
            async with asyncio.timeout(WAIT), self._saved:
                await self._saved.wait_for(lambda: self._written >= wanted)
        except TimeoutError:
            raise StoreUnavailable(self.fault or "the disk takes longer than usual") from None
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
            await asyncio.sleep(RETRY)
            self._changed.set()
            return
        self.fault = ""
        self._unsaved = {key: count for key, count in self._unsaved.items() if count > wanted}
        async with self._saved:
            self._written = wanted
            self._saved.notify_all()
        self._tell()

    def _failed(self, error: OSError) -> None:
        if not self.fault:
            log.error("cache_not_written", path=str(self._path), error=str(error), retry_seconds=RETRY)
        self.fault = f"{self._path} cannot be written: {error.strerror}; make room or choose another STATE_DIR"
        self._tell()

    def _tell(self) -> None:
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
            os.fsync(directory)  # or the new name may be lost with the power
        finally:
            os.close(directory)

    def _read(self) -> Contents:
        """Read what can be read; a file that is not whole is a part of what was there."""
        reader, upserts, fault = SnapshotReader(), [], ""
        try:
            with self._path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    try:
                        if (upsert := reader.feed(line)) is not None:
                            upserts.append(_usable(upsert))
                    except ValueError as error:
                        fault = fault or f"line {number} of {self._path} cannot be read: {error}"
            told = reader.finish()
        except FileNotFoundError:
            return Contents()
        except (WireError, OSError) as error:
            fault = fault or f"{self._path}: {error}"
            return Contents(upserts=tuple(upserts), damage=fault)
        finally:
            if fault:
                aside = self._path.with_suffix(".unreadable")
                log.error("cache_file_damaged", error=fault, kept_as=str(aside))
                with suppress(OSError):
                    shutil.copyfile(self._path, aside)
        return Contents(
            upserts=tuple(upserts), cards=told.cards, complete=told.complete and not fault, damage=told.damage or fault
        )


def _usable(upsert: Upsert) -> Upsert:
    """Return an entry that can be served.

    Raises:
        feed.Refused: it cannot.
    """
    feed.path_of(upsert.key, upsert.uri)
    return replace(upsert, body=feed.fix_document(upsert.body))
