"""Services and ServiceAccounts by the InferenceServices that own them."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar

from services.normalizer.contents import IsvcSource
from services.normalizer.normalize.deployment import Owner


class Owned(Protocol):
    """An object that InferenceServices may own."""

    @property
    def owners(self) -> tuple[Owner, ...]:
        """The isvcs that own it."""


T = TypeVar("T", bound=Owned)


class OwnedByIsvc(Generic[T]):
    """Objects by the isvcs that own them."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str, str], T] = {}
        self._by_isvc: defaultdict[str, dict[tuple[str, str, str], T]] = defaultdict(dict)

    def put(self, source: IsvcSource, key: tuple[str, str], value: T | None) -> set[str]:
        """Take an object, or its absence, and return the references of the isvcs that own or owned it."""
        place = (source.cluster, *key)
        former = self._objects.pop(place, None)
        touched = set(self._owners(source, key, former))
        for ref in touched:
            self._by_isvc[ref].pop(place, None)
            if not self._by_isvc[ref]:
                del self._by_isvc[ref]
        if value is not None and value.owners:
            self._objects[place] = value
            for ref in self._owners(source, key, value):
                self._by_isvc[ref][place] = value
                touched.add(ref)
        return touched

    @staticmethod
    def _owners(source: IsvcSource, key: tuple[str, str], value: T | None) -> Iterator[str]:
        return (source.ref(key[0], owner.name) for owner in (value.owners if value is not None else ()))

    def of(self, ref: str) -> tuple[T, ...]:
        """Return the objects that an isvc owns."""
        return tuple(self._by_isvc.get(ref, {}).values())
