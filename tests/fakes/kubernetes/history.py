"""What happened to the objects of one type: entries, events, and the log that watches read.

Entries and events never change once made, so each is encoded once, however many watches send it.
"""

import asyncio
import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import cached_property
from operator import attrgetter
from typing import Any

from tests.fakes.kubernetes.resources import ResourceType
from tests.fakes.kubernetes.selectors import Selector

Key = tuple[str, str]  # (namespace, name)
Encode = Callable[["Entry"], bytes]


def dump(value: Any) -> bytes:
    """JSON as it goes over the wire."""
    # "\udcff" goes out as the byte 0xff, which is no UTF-8, as if something on the way had damaged the answer.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


class Entry:
    """One state of one object. `body` has no apiVersion and kind: these depend on the version asked for."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        metadata = body["metadata"]
        self.body = body
        self.key: Key = (metadata.get("namespace", ""), metadata["name"])
        self.labels: Mapping[str, str] = metadata.get("labels") or {}
        self.revision = int(metadata["resourceVersion"])

    def selected_by(self, selector: Selector) -> bool:
        """Whether the object in this state has the labels and fields."""
        return selector.matches(self.labels, self._field)

    def _field(self, path: str) -> str:
        found: Any = self.body
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found if isinstance(found, str) else ""

    def at(self, revision: int) -> "Entry":
        """The same state under another resourceVersion, as the object of a DELETED event has it."""
        metadata = dict(self.body["metadata"]) | {"resourceVersion": str(revision)}
        return Entry({**self.body, "metadata": metadata})

    @cached_property
    def bare(self) -> bytes:
        """The object without apiVersion and kind, as the lists of built-in types hold it."""
        return dump(self.body)

    @cached_property
    def partial(self) -> bytes:
        """The object as PartialObjectMetadata."""
        kind = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
        return dump({**kind, "metadata": self.body["metadata"]})


def full(resource: ResourceType, version: str) -> Encode:
    """The encoder of whole objects in one version of the API."""
    head = dump({"kind": resource.kind, "apiVersion": resource.api_version(version)})[:-1] + b","
    return lambda entry: head + entry.bare[1:]


def partial(entry: Entry) -> bytes:
    """The encoder of metadata only."""
    return entry.partial


class Event:
    """A change of one object: created (no `previous`), modified, or deleted."""

    def __init__(self, entry: Entry, previous: Entry | None, *, deleted: bool = False) -> None:
        self.entry = entry
        self.previous = previous
        self.deleted = deleted
        self.revision = entry.revision
        self._lines: dict[tuple[str, str], bytes] = {}

    @cached_property
    def _departed(self) -> Entry:
        """What a watch sees whose selector the object no longer matches: the state it matched in."""
        assert self.previous is not None
        return self.previous.at(self.revision)

    def seen_by(self, selector: Selector) -> tuple[str, Entry] | None:
        """Type and object of the watch event, None when the watch does not see the change."""
        before = self.previous is not None and self.previous.selected_by(selector)
        if self.deleted:
            return ("DELETED", self.entry) if before else None
        if self.entry.selected_by(selector):
            return ("MODIFIED" if before else "ADDED"), self.entry
        return ("DELETED", self._departed) if before else None

    def line(self, selector: Selector, view: str, encode: Encode) -> bytes:
        """The line a watch sends, empty when it does not see the change; `view` names the encoding."""
        seen = self.seen_by(selector)
        if seen is None:
            return b""
        kind, entry = seen
        if (kind, view) not in self._lines:
            self._lines[kind, view] = watch_line(kind, encode(entry))
        return self._lines[kind, view]


def watch_line(kind: str, body: bytes) -> bytes:
    """One line of a watch's answer."""
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), body)


class Log:
    """The events of one type since the last compaction, oldest first, and those who wait for more."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._events: list[Event] = []
        self._waiters: dict[asyncio.Event, None] = {}  # in the order in which they came
        self.compacted = 0  # requests for events up to this revision are refused
        self.dropped = 0  # the last event that is really forgotten
        self.closed = False

    def append(self, event: Event) -> None:
        """Record a change and wake the watches."""
        self._events.append(event)
        if len(self._events) > 2 * self._limit:
            self.compact(self._events[-self._limit - 1].revision)
        self.wake()

    def since(self, revision: int) -> list[Event]:
        """The events after a revision, all of them still known."""
        return self._events[bisect_right(self._events, revision, key=attrgetter("revision")) :]

    def compact(self, revision: int) -> None:
        """Forget the events up to a revision."""
        kept = self.since(revision)
        if len(kept) < len(self._events):
            self.dropped = self._events[-len(kept) - 1].revision
        self._events = kept
        self.compacted = max(self.compacted, revision)

    def close(self) -> None:
        """End the watches: the type is served no longer."""
        self.closed = True
        self.wake()

    def wake(self) -> None:
        """Let every waiting watch look again."""
        for waiter in self._waiters:
            waiter.set()

    def subscribe(self) -> asyncio.Event:
        """An event that is set whenever there may be something new."""
        waiter = asyncio.Event()
        self._waiters[waiter] = None
        return waiter

    def unsubscribe(self, waiter: asyncio.Event) -> None:
        """Forget a waiter."""
        self._waiters.pop(waiter, None)
