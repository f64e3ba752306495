"""The objects of all types under one growing revision, as etcd keeps them."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Any

from tests.fakes.kubernetes.history import Entry, Event, Key, Log
from tests.fakes.kubernetes.resources import ResourceType

FIRST_REVISION = 100


class Table:
    """The objects of one type, in the order lists have: by namespace, then name."""

    def __init__(self, history_limit: int) -> None:
        self.entries: dict[Key, Entry] = {}
        self.keys: list[Key] = []
        self.log = Log(history_limit)

    def record(self, event: Event) -> None:
        """Carry out a change and tell the watches."""
        key = event.entry.key
        if event.deleted:
            del self.entries[key]
            del self.keys[bisect_left(self.keys, key)]
        else:
            if key not in self.entries:
                insort(self.keys, key)
            self.entries[key] = event.entry
        self.log.append(event)

    def now(self, namespace: str = "") -> list[Entry]:
        """The objects of a namespace, or of all."""
        if not namespace:
            return [self.entries[key] for key in self.keys]
        start = bisect_left(self.keys, (namespace, ""))
        end = bisect_left(self.keys, (namespace + "\0", ""))
        return [self.entries[key] for key in self.keys[start:end]]

    def then(self, revision: int, namespace: str = "") -> list[Entry]:
        """The objects as they were at an uncompacted revision: today's, with the later events undone."""
        changed: dict[Key, Entry | None] = {}
        for event in reversed(self.log.since(revision)):
            changed[event.entry.key] = event.previous
        if not changed:
            return self.now(namespace)
        entries: Mapping[Key, Entry | None] = {**self.entries, **changed}
        past = [entry for entry in entries.values() if entry is not None and namespace in ("", entry.key[0])]
        return sorted(past, key=lambda entry: entry.key)


class Store:
    """All tables, and the revision they share."""

    def __init__(self, history_limit: int) -> None:
        self._history_limit = history_limit
        self._tables: dict[tuple[str, str], Table] = {}
        self.revision = FIRST_REVISION
        self.rehearsing = False
        """Whether what is put is answered and not stored (dryRun=All)."""

    def table(self, resource: ResourceType) -> Table:
        """The table of a type."""
        if resource.key not in self._tables:
            self._tables[resource.key] = Table(self._history_limit)
        return self._tables[resource.key]

    def find(self, resource: ResourceType, key: Key) -> Entry | None:
        """The present state of an object."""
        return self.table(resource).entries.get(key)

    def put(self, resource: ResourceType, body: Mapping[str, Any]) -> Entry:
        """Store a state of an object under the next revision; its metadata names it."""
        if self.rehearsing:
            return Entry({**body, "metadata": {"resourceVersion": str(self.revision), **body["metadata"]}})
        self.revision += 1
        metadata = dict(body["metadata"]) | {"resourceVersion": str(self.revision)}
        entry = Entry({**body, "metadata": metadata})
        table = self.table(resource)
        table.record(Event(entry, table.entries.get(entry.key)))
        return entry

    def remove(self, resource: ResourceType, key: Key) -> Entry:
        """Remove an object; returns its last state under the revision of the removal."""
        self.revision += 1
        table = self.table(resource)
        previous = table.entries[key]
        event = Event(previous.at(self.revision), previous, deleted=True)
        table.record(event)
        return event.entry

    def restore(self, backup: Iterable[tuple[ResourceType, Mapping[str, Any]]]) -> None:
        """Go back to the revision of a backup: its objects are as they were, others of their types are gone."""
        objects = list(backup)
        self.revision = max(int(body["metadata"]["resourceVersion"]) for _, body in objects)
        for key in {resource.key for resource, _ in objects}:
            table = self._tables[key] = Table(self._history_limit)
            table.log.compact(self.revision)
        for resource, body in objects:
            entry = Entry({name: value for name, value in body.items() if name not in ("apiVersion", "kind")})
            self.table(resource).record(Event(entry, None))
        for table in self._tables.values():
            table.log.compact(self.revision)

    def drop(self, resource: ResourceType) -> None:
        """Remove all objects of a type and end its watches; what happened before is forgotten."""
        table = self.table(resource)
        for entry in table.now():
            self.remove(resource, entry.key)
        table.log.close()
        del self._tables[resource.key]
        self.table(resource).log.compact(self.revision)

    def compact(self, resources: Iterable[ResourceType]) -> None:
        """Forget what happened: watches and continue tokens of older revisions are expired."""
        self.revision += 1  # so that even the newest list is older than the compaction
        for resource in resources:
            self.table(resource).log.compact(self.revision)
