"""What earlier runs have stored: versions not seen since, and entries that a renamed registry takes over. Pure."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from common import backstage
from common.wire import Stored
from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.places import Places


class Unshown:
    """Stored versions that no registry has shown since the start; finds deployments that may serve one of them."""

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
        """Remove a version that is shown or has left; return whether it was one of these."""
        new = ref in self._refs
        self._refs.discard(ref)
        return new

    def of(self, registry: str) -> Iterator[str]:
        """Yield the references of a registry's versions."""
        return (ref for ref in self._refs if Ref.parse(ref).place == registry)

    def may_be_served_by(self, ref: str, facts: Deployment) -> bool:
        """Return whether a deployment may serve one of them."""
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
        """Return whether one of these versions was not seen yet and may be served in a cluster."""
        unshown = (ref for ref in refs if ref in self._refs)
        return any(self._places.may_describe(Ref.parse(ref).place, cluster) for ref in unshown)


class Adoption:
    """The stored entries that a registry may take over because it is the same one under another name.

    A registry is known by its Service, its name or its URL. When people change how they write it, its models must keep
    their keys and names in Backstage. `successors` maps references that were taken over to those that replace them.
    """

    def __init__(self, stored: Mapping[str, Stored]) -> None:
        """Use the entries of an earlier run, given by reference."""
        entries = {ref: entry for ref, entry in stored.items() if entry.origin}
        counts = Counter(entry.origin for entry in entries.values())
        self._former = {entry.origin: ref for ref, entry in entries.items() if counts[entry.origin] == 1}
        self.successors: dict[str, str] = {}

    def candidate(self, ref: str, origin: str) -> str:
        """Return the reference of another entry with the same ids, names and times of creation; empty without one."""
        former = self._former.get(origin, "") if origin else ""
        return former if former != ref else ""

    def take(self, ref: str, origin: str) -> None:
        """Give `ref` the entry of its candidate."""
        self.successors[self._former.pop(origin)] = ref

    def owner(self, ref: str) -> str:
        """Return the reference that has the entry of a reference now."""
        return self.successors.get(ref, ref)
