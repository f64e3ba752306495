"""Objects of one kind as a registry gave them last."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Generic

from common.problems import Problem
from services.normalizer.normalize.registry_objects import Item, parse_item
from services.normalizer.sources.paging import ListAnswer, fingerprint, item_id


class Table(Generic[Item]):
    """The objects of one list, by id.

    What did not change is not parsed again and stays the same object. An object that became malformed stays as it was
    before, with a problem. Nothing leaves but by `remove`.
    """

    def __init__(self, kind: type[Item], path: str, *, registry: str) -> None:
        self.path = path
        self.objects: Mapping[str, Item] = MappingProxyType({})
        self._kind: type[Item] = kind
        self._registry = registry
        self._fingerprints: dict[str, bytes] = {}
        self._problems: dict[str, Problem] = {}
        self._nameless: tuple[Problem, ...] = ()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is malformed."""
        return (*self._problems.values(), *self._nameless)

    def apply(self, answer: ListAnswer) -> set[str]:
        """Take the items of a list and return the ids of the objects that are new or changed."""
        listed = {item_id(raw): raw for raw in answer.items}
        nameless = [parse_item(self._kind, raw, registry=self._registry) for raw in answer.items if not item_id(raw)]
        self._nameless = tuple(problem for problem in nameless if isinstance(problem, Problem))
        listed.pop("", None)
        if answer.error is None:
            self._forget_malformed(listed)
        return self.put(listed)

    def put(self, items: Mapping[str, Any]) -> set[str]:
        """Take single objects as they came and return the ids of those that are new or changed."""
        changed: dict[str, Item] = {}
        for each, raw in items.items():
            now = fingerprint(raw)
            if self._fingerprints.get(each) == now:
                continue
            self._fingerprints[each] = now
            parsed = parse_item(self._kind, raw, registry=self._registry)
            if isinstance(parsed, Problem):
                self._problems[each] = parsed
            else:
                self._problems.pop(each, None)
                changed[each] = parsed
        if changed:
            self.objects = MappingProxyType({**self.objects, **changed})
        return set(changed)

    def missing(self, answer: ListAnswer) -> set[str]:
        """Return the ids of the objects that a list does not hold."""
        return self.objects.keys() - {item_id(raw) for raw in answer.items}

    def remove(self, ids: Iterable[str]) -> set[str]:
        """Forget objects and return the ids of those that were there."""
        gone = self.objects.keys() & set(ids)
        for each in gone:
            self._fingerprints.pop(each, None)
            self._problems.pop(each, None)
        if gone:
            self.objects = MappingProxyType({each: item for each, item in self.objects.items() if each not in gone})
        return gone

    def _forget_malformed(self, listed: Mapping[str, Any]) -> None:
        for each in [each for each in self._problems if each not in listed and each not in self.objects]:
            del self._problems[each]
            self._fingerprints.pop(each, None)
