"""The local copy of a followed collection, in the compact form that its user needs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from common.faults import Fault
from common.kube.errors import GarbledAnswer

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""


class Handler(Protocol[T_contra]):
    """The callbacks for changes: called synchronously, in the order of the changes.

    An exception from a handler ends the reflector, because it is an error in the handler.
    """

    def on_change(self, key: Key, old: T_contra | None, new: T_contra | None, explicit: bool) -> None:
        """An object was added (`old` None), changed (`new` differs from `old`), or deleted (`new` None).

        `explicit`: an event reported it; otherwise it was found by comparing lists. Both are None for a deleted object
        that could never be read. An object that can be read again is reported even if it equals `old`.
        """

    def on_invalid(self, key: Key, error: Exception) -> None:
        """An object exists but cannot be read; its former state is kept."""

    def on_synced(self) -> None:
        """A complete list was applied: the store is complete now."""

    def on_fault(self, fault: Fault | None) -> None:
        """Following fails, fails for another reason, or (None) works again."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The result of reading an object: its `value` or an `error`; neither if the object is not needed."""

    key: Key
    value: T | None
    error: Exception | None = None


class Replica(Generic[T]):
    """Keeps the objects by key and calls the handler for changes.

    An object for which `transform` returns None counts as absent.
    """

    def __init__(self, *, transform: Callable[[dict[str, Any]], T | None], handler: Handler[T]) -> None:
        self._transform = transform
        self._handler = handler
        self._objects: dict[Key, T] = {}
        self._invalid: set[Key] = set()

    @property
    def objects(self) -> Mapping[Key, T]:
        """The known objects."""
        return self._objects

    @property
    def invalid(self) -> int:
        """How many objects exist but cannot be read."""
        return len(self._invalid)

    def read(self, obj: dict[str, Any]) -> Reading[T]:
        """Transform an object.

        Raises:
            GarbledAnswer: it has no name.
        """
        key = key_of(obj)
        try:
            return Reading(key, self._transform(obj))
        except Exception as error:  # an invalid object must not affect the others
            return Reading(key, None, error)

    def replace(self, readings: Iterable[Reading[T]]) -> None:
        """Apply a complete list: objects that it lacks are deleted."""
        listed = set()
        for reading in readings:
            listed.add(reading.key)
            self.put(reading, explicit=False)
        for key in (self._objects.keys() | self._invalid) - listed:
            self.remove(key, explicit=False)

    def put(self, reading: Reading[T], *, explicit: bool) -> None:
        """Add or update an object."""
        key, new = reading.key, reading.value
        if reading.error is not None:
            self._invalid.add(key)
            self._handler.on_invalid(key, reading.error)
            return
        if new is None:
            self.remove(key, explicit=explicit)
            return
        old = self._objects.get(key)
        self._objects[key] = new
        if new != old or key in self._invalid:
            self._invalid.discard(key)
            self._handler.on_change(key, old, new, explicit)

    def remove(self, key: Key, *, explicit: bool) -> None:
        """Remove a deleted object; an unknown one is ignored."""
        if key in self._objects or key in self._invalid:
            old = self._objects.pop(key, None)
            self._invalid.discard(key)
            self._handler.on_change(key, old, None, explicit)


def key_of(obj: Any) -> Key:
    """Return the key of an object.

    Raises:
        GarbledAnswer: it has no name.
    """
    metadata = obj.get("metadata") if isinstance(obj, dict) else None
    if isinstance(metadata, dict):
        namespace, name = metadata.get("namespace", ""), metadata.get("name")
        if isinstance(namespace, str) and isinstance(name, str):
            return namespace, name
    raise GarbledAnswer("the API server sent an object without a name")
