"""Watches one kind of object in all watched namespaces."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from common.faults import Fault
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.kube.reflector import Reflector, ReflectorOptions
from common.kube.replica import Key
from common.kube.reporting import STARTING
from common.kube.resources import Resource
from common.problems import Problem
from services.normalizer.facts import Ref, Unusable
from services.normalizer.normalize.deployment import ServiceAccountFacts, ServiceFacts

T = TypeVar("T")
OwnedT = TypeVar("OwnedT", ServiceFacts, ServiceAccountFacts)


def owned(read: Callable[[Mapping[str, Any]], OwnedT]) -> Callable[[Mapping[str, Any]], OwnedT | None]:
    """Return `read`, but keep only objects that a deployment owns: a cluster has many more."""

    def read_owned(obj: Mapping[str, Any]) -> OwnedT | None:
        facts = read(obj)
        return facts if facts.owners else None

    return read_owned


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What is followed of a cluster: `cluster` is its name in references, `namespaces` are all when empty."""

    cluster: str
    client: KubeClient
    metrics: KubeMetrics
    namespaces: tuple[str, ...] = ()
    options: ReflectorOptions = field(default_factory=ReflectorOptions)

    @property
    def places(self) -> Sequence[str | None]:
        """The namespaces; None stands for all."""
        return self.namespaces or (None,)


class Collection(Generic[T]):
    """One kind of object in all watched namespaces: joins the states of the reflectors, one for each namespace."""

    def __init__(
        self,
        *,
        changed: Callable[[Key, T | None, bool], None],
        listed: Callable[[], None],
        state: Callable[[Fault | None], None],
        invalid: Callable[[Key, Exception], None] = lambda key, error: None,
    ) -> None:
        """`changed` is called as `Handler.on_change`, `listed` each time that all namespaces have been listed.

        `state` is told the fault of any of the namespaces.
        """
        self.changed = changed
        self.invalid = invalid
        self._listed = listed
        self._state = state
        self._counts: list[int] = []
        self._faults: list[Fault | None] = []

    def reflectors(
        self,
        scope: Scope,
        resource: Resource,
        transform: Callable[[Mapping[str, Any]], T | None],
        *,
        places: Sequence[str | None] = (),
    ) -> list[Reflector[T]]:
        """Return a reflector for each of the namespaces, by default those of the scope."""
        namespaces = places or scope.places
        self._counts, self._faults = [0] * len(namespaces), [STARTING] * len(namespaces)
        return [
            Reflector(
                client=scope.client,
                resource=resource,
                namespace=namespace,
                transform=transform,
                handler=_Part(self, number),
                metrics=scope.metrics,
                name=resource.plural if namespace is None else f"{resource.plural}.{namespace}",
                options=scope.options,
            )
            for number, namespace in enumerate(namespaces)
        ]

    def synced(self, number: int) -> None:
        """One namespace was listed; the collection is listed when all namespaces are."""
        before = min(self._counts)
        self._counts[number] += 1
        if min(self._counts) > before:
            self._listed()

    def state(self, number: int, fault: Fault | None) -> None:
        """One namespace cannot be followed, or can again; the collection has the fault of any of its namespaces."""
        self._faults[number] = fault
        told = next((each for each in self._faults if each not in (None, STARTING)), None)
        if told is not None or STARTING not in self._faults:
            self._state(told)


class _Part(Generic[T]):
    """The handler of one namespace's reflector."""

    def __init__(self, collection: Collection[T], number: int) -> None:
        self._collection = collection
        self._number = number

    def on_change(self, key: Key, old: T | None, new: T | None, explicit: bool) -> None:
        self._collection.changed(key, new, explicit)

    def on_invalid(self, key: Key, error: Exception) -> None:
        self._collection.invalid(key, error)

    def on_synced(self) -> None:
        self._collection.synced(self._number)

    def on_fault(self, fault: Fault | None) -> None:
        self._collection.state(self._number, fault)


def unreadable(ref: Ref, error: Exception) -> Unusable:
    """Return the fact about a deployment that cannot be read."""
    remedy = "compare it with the API of its kind in KServe (serving.kserve.io)"
    return Unusable(Problem("object_unreadable", "error", ref.label, f"it cannot be read: {error}", remedy))
