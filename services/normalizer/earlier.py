"""What earlier runs have stored: which of it nothing has shown yet, and what a source under another name may take over.

Pure.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from common import backstage
from common.wire import Stored
from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.places import Places


class Unshown:
    """Versions that are stored and that no registry has shown since the start, to find the isvc that serves one."""

    def __init__(self, stored: Mapping[str, Stored], places: Places) -> None:
        self._places = places
        self._refs = {ref for ref in stored if ref.startswith("registry:")}
        self._by_version: defaultdict[str, set[str]] = defaultdict(set)
        self._by_server: defaultdict[str, set[str]] = defaultdict(set)
        names = []
        for ref in self._refs:
            self._by_version[ref.rpartition(":")[2]].add(ref)
            if stored[ref].server_ref:
                self._by_server[stored[ref].server_ref].add(ref)
            elif stored[ref].server_name:
                names.append((stored[ref].server_name, ref))
        self._names = sorted(names)

    def discard(self, ref: str) -> bool:
        """Take note that a version is shown, or has left; return whether that is new."""
        new = ref in self._refs
        self._refs.discard(ref)
        return new

    def of(self, registry: str) -> Iterator[str]:
        """Yield the references of a registry's versions."""
        return (ref for ref in self._refs if Ref.parse(ref).place == registry)

    def may_be_served_by(self, ref: str, facts: Deployment) -> bool:
        """Return whether one of them may be what an isvc serves."""
        labels, cluster = facts.registry, Ref.parse(ref).place
        if labels is not None and self._any(self._by_version.get(labels.version, ()), cluster):
            return True
        if self._any(self._by_server.get(ref, ()), cluster):
            return True
        name = backstage.sanitize(facts.name)
        for position in range(bisect_left(self._names, (name, "")), len(self._names)):
            server, version = self._names[position]
            if not server.startswith(name):
                return False
            if self._any((version,), cluster):
                return True
        return False

    def _any(self, refs: Iterable[str], cluster: str) -> bool:
        """Return whether one of these versions is not shown yet and may be served in a cluster."""
        unshown = (ref for ref in refs if ref in self._refs)
        return any(self._places.may_describe(Ref.parse(ref).place, cluster) for ref in unshown)


class Adoption:
    """The stored entries that another registry may take over: by what a version is, whatever its registry is called.

    A registry is known by its Service, its name or its URL. Anyone who writes another of these means the same registry,
    and its models must keep their keys and names in Backstage.

    `successors` are the references of entries that were taken over, with those that have them now.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        """Take the entries of an earlier run by reference."""
        entries = {ref: entry for ref, entry in stored.items() if entry.origin}
        counts = Counter(entry.origin for entry in entries.values())
        self._former = {entry.origin: ref for ref, entry in entries.items() if counts[entry.origin] == 1}
        self.successors: dict[str, str] = {}

    def candidate(self, ref: str, origin: str) -> str:
        """Return the reference of another entry with the same ids, names and times of creation; empty without one."""
        former = self._former.get(origin, "") if origin else ""
        return former if former != ref else ""

    def take(self, ref: str, origin: str) -> None:
        """Let `ref` have the entry of its candidate."""
        self.successors[self._former.pop(origin)] = ref

    def owner(self, ref: str) -> str:
        """Return who has the entry of a reference now."""
        return self.successors.get(ref, ref)
