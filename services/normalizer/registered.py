"""The versions of all registries, with those that look missing and are still kept, and which one a deployment serves.

Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Final

from common.removals import NOT_LISTED
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.hidden import Why
from services.normalizer.ledger import Ledger
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.linking import Link, RegistryIndex, link, linkable
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry, registry_source
from services.normalizer.normalize.result import IGNORE, ClusterViews

ARCHIVED: Final = "archived"
"""The reason to remove a version that was archived in its registry."""


class Registered:
    """All registries and their versions, by reference."""

    def __init__(self, ledger: Ledger, views: ClusterViews) -> None:
        self._ledger = ledger
        self._views = views
        self._registries: dict[str, Registry] = {}
        self._versions: defaultdict[str, dict[Ref, RegisteredVersion]] = defaultdict(dict)
        self._missed: dict[Ref, tuple[RegisteredVersion, float]] = {}
        self._indexes: dict[str, RegistryIndex] = {}
        self._relinked = False

    def put_registry(self, registry: Registry) -> bool:
        """Take the fact about a registry; return whether documents of its versions may change."""
        former = self._registries.get(registry.id)
        self._registries[registry.id] = registry
        if former is None or (former.name, former.namespace) != (registry.name, registry.namespace):
            self._stale(registry.id)
        return former is None or former.listed != registry.listed

    def put(self, ref: Ref, fact: RegisteredVersion | Gone | Missing, *, now: float) -> None:
        """Take a fact about a version."""
        versions = self._versions[ref.place]
        former = versions.get(ref)
        match fact:
            case RegisteredVersion():
                versions[ref] = fact
                self._missed.pop(ref, None)
                if ref.place not in self._registries:
                    self.put_registry(Registry(ref.place))
            case Gone():
                versions.pop(ref, None)
                self._missed.pop(ref, None)
                self._ledger.end(str(ref), fact.reason)
            case Missing():
                versions.pop(ref, None)
                if former is not None and former.is_live and self._ledger.knows(str(ref)):
                    self._missed[ref] = former, now
        new = versions.get(ref)
        if (former and linkable(former)) != (new and linkable(new)):
            self._stale(ref.place)

    def _stale(self, registry: str) -> None:
        self._indexes.pop(registry, None)
        self._relinked = True

    def take_relinked(self) -> bool:
        """Return whether links of deployments may have changed since the last call."""
        relinked, self._relinked = self._relinked, False
        return relinked

    def drop(self, registry: str) -> set[str]:
        """Forget a registry that is gone, with all its entries; return the references of its versions."""
        del self._registries[registry]
        self._stale(registry)
        return set(map(str, self._versions.pop(registry, {})))

    def finished(self) -> list[str]:
        """Return the registries that are gone, with all their entries."""
        return [registry for registry in self._registries if self._ledger.is_over(registry_source(registry))]

    def registry_of(self, ref: str) -> Registry | None:
        """Return the registry of a version, None if it was not read yet."""
        return self._registries.get(Ref.parse(ref).place)

    def withdraw(self, written: str) -> None:
        """Forget a version that is missing from its registry."""
        if written.startswith("registry:") and "#" not in written:
            self._missed.pop(Ref.parse(written), None)

    def judge(self, written: str) -> RegisteredVersion | None:
        """Record in the ledger whether a version is live, missing or archived; return it if it is to be shown."""
        ref = Ref.parse(written)
        source = registry_source(ref.place)
        if (found := self._versions[ref.place].get(ref)) is not None:
            if found.is_live:
                self._ledger.see(written, source)
                return found
            self._ledger.end(written, ARCHIVED)
            return None
        missed, since = self._missed.get(ref, (None, 0.0))
        if missed is not None and self._ledger.doubt(written, source, NOT_LISTED, since=since):
            return missed
        self._missed.pop(ref, None)
        return None

    def hidden(self, written: str) -> Why | None:
        """Return why a version that its registry has is not shown."""
        ref = Ref.parse(written)
        found = self._versions[ref.place].get(ref)
        if found is None:
            return None
        for noun, of in (("registered model", found.model), ("version", found.version)):
            if of.is_ignored:
                return Why("ignored", f"its {noun} {of.name} is marked with {IGNORE}", "remove that property")
            if not of.is_live:
                return Why("archived", f"its {noun} {of.name} is {of.state}", "restore it in the registry")
        if found.artifacts is None:
            remedy = "see the registry among the sources: it says what cannot be read"
            return Why("not-read", "its registry was not read to the end yet", remedy)
        return None

    def versions(self) -> Iterator[RegisteredVersion]:
        """Yield all versions, live or not."""
        for versions in self._versions.values():
            yield from versions.values()

    def known(self, registry: str) -> set[Ref]:
        """Return the versions of a registry."""
        return set(self._versions[registry])

    def documented_by(self, cards: Collection[str]) -> set[str]:
        """Return the versions that have one of these cards of the model catalog, given by their keys."""
        return {
            str(version.ref) for version in self.versions() if version.card is not None and version.card.key in cards
        }

    def link(self, deployment: Deployment, cluster: str, former: Link) -> Link:
        """Return which version a deployment in a cluster serves; a link to a missing version is kept."""
        within = [self._index(each) for each in self._registries if self._views.may_describe(each, cluster)]
        new = link(deployment, within)
        keeps = new.version is None and former.version is not None and former.version in self._missed
        return former if keeps else new

    def _index(self, registry: str) -> RegistryIndex:
        index = self._indexes.get(registry)
        if index is None:
            index = self._indexes[registry] = RegistryIndex.build(
                self._registries[registry], self._versions[registry].values()
            )
        return index
