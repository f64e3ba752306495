"""Services and ServiceAccounts by the deployments that own them."""

from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import Generic, Protocol, TypeVar

from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Owner


class Owned(Protocol):
    """An object that deployments may own."""

    @property
    def owners(self) -> tuple[Owner, ...]:
        """The deployments that own it."""


T = TypeVar("T", bound=Owned)


class Companions(Generic[T]):
    """Objects by the deployments that own them."""

    def __init__(self) -> None:
        self._objects: dict[Ref, T] = {}
        self._by_deployment: defaultdict[str, dict[Ref, T]] = defaultdict(dict)

    def put(self, ref: Ref, value: T | None) -> set[str]:
        """Take an object, or its absence, and return the references of the deployments that own or owned it."""
        touched = set(_owners(ref, self._objects.pop(ref, None)))
        for owner in touched:
            self._by_deployment[owner].pop(ref, None)
            if not self._by_deployment[owner]:
                del self._by_deployment[owner]
        if value is not None and value.owners:
            self._objects[ref] = value
            for owner in _owners(ref, value):
                self._by_deployment[owner][ref] = value
                touched.add(owner)
        return touched

    @property
    def refs(self) -> AbstractSet[Ref]:
        """The references of all that somebody owns."""
        return self._objects.keys()

    def of(self, ref: str) -> tuple[T, ...]:
        """Return the objects that a deployment owns."""
        return tuple(self._by_deployment.get(ref, {}).values())


def _owners(ref: Ref, value: Owned | None) -> Iterator[str]:
    owners = value.owners if value is not None else ()
    return (str(Ref.deployment(owner.kind, ref.place, ref.ids[0], owner.name)) for owner in owners)
