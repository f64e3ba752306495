"""A copy of a collection, in the compact form that its user needs."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from common.faults import Fault
from common.kube.errors import GarbledAnswer

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Key = tuple[str, str]
"""Namespace (empty for objects outside of namespaces) and name."""


class Handler(Protocol[T_contra]):
    """Who is told of changes: synchronously, one call after the other, in the order in which things happened.

    What a handler raises ends the reflector: it is a mistake in the handler.
    """

    def on_change(self, key: Key, old: T_contra | None, new: T_contra | None, explicit: bool) -> None:
        """An object is new (`old` None), another (never equal to `old`), or gone (`new` None).

        `explicit`: an event said so; otherwise it was found by comparing lists. Both are None for an object that
        goes and could never be read. An object that can be read again is told of even when it equals `old`.
        """

    def on_invalid(self, key: Key, error: Exception) -> None:
        """An object exists and cannot be read; what was known of it is kept."""

    def on_synced(self) -> None:
        """A complete list was applied: what the store has now is all there is."""

    def on_fault(self, fault: Fault | None) -> None:
        """Following the collection began to fail, fails otherwise, or works again."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """An object as read: `value`, or the error that reading it ended in; neither when it is not to be kept."""

    key: Key
    value: T | None
    error: Exception | None = None


class Replica(Generic[T]):
    """Keeps the objects by key and tells the handler what changed.

    An object that `transform` makes None of is as good as not there: nothing of it is kept.
    """

    def __init__(self, *, transform: Callable[[dict[str, Any]], T | None], handler: Handler[T]) -> None:
        self._transform = transform
        self._handler = handler
        self._objects: dict[Key, T] = {}
        self._invalid: set[Key] = set()

    @property
    def objects(self) -> Mapping[Key, T]:
        """What is known now."""
        return self._objects

    @property
    def invalid(self) -> int:
        """How many objects exist and cannot be read."""
        return len(self._invalid)

    def read(self, obj: dict[str, Any]) -> Reading[T]:
        """Transform an object.

        Raises:
            GarbledAnswer: it has no name.
        """
        key = key_of(obj)
        try:
            return Reading(key, self._transform(obj))
        except Exception as error:  # whatever is wrong with one object, the others go on
            return Reading(key, None, error)

    def replace(self, readings: Iterable[Reading[T]]) -> None:
        """Take a complete list: what it does not name is gone."""
        listed = set()
        for reading in readings:
            listed.add(reading.key)
            self.put(reading, explicit=False)
        for key in (self._objects.keys() | self._invalid) - listed:
            self.remove(key, explicit=False)

    def put(self, reading: Reading[T], *, explicit: bool) -> None:
        """Take an object that is there."""
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
        """Drop an object that is gone; an unknown one is ignored."""
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
