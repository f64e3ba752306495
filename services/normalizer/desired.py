"""What should be served, kept up to date from what the sources report: the state that storage is compared with.

Facts come in (`put_…`), and each marks the documents that may change; `render` makes those again and nothing else. What
a source no longer shows is kept here as it was until the ledger releases it. Pure: no I/O, the clock is given.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.cards import Cards
from services.normalizer.deployments import Deployments
from services.normalizer.earlier import Earlier
from services.normalizer.facts import LOCAL, Gone, Missing, Ref, Unusable, cluster_of, cluster_of_id
from services.normalizer.ledger import Ledger, Patience
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry, registry_source
from services.normalizer.normalize.result import ClusterView, ClusterViews, Defaults
from services.normalizer.registered import Registered
from services.normalizer.rendering import Renderer
from services.normalizer.source import Fact
from services.normalizer.sourcebook import SourceBook, SourceKind

RENAMED: Final = "renamed"
"""The reason of a removal: the entry is stored under another key."""
SHOWN_WITH_VERSION: Final = "shown-with-version"
"""The reason of a removal: the registered version that the deployment serves shows it as its server."""


class Desired:
    """The documents that should be served (`wanted`, by key), and the problems of objects (`problems`, by reference).

    Its parts hold what sources and earlier runs have said (`deployments`, `registered`, `cards`, `earlier`), and what
    was made of that (`renderer`, `documents`).
    """

    def __init__(self, *, defaults: Defaults, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(Patience(), SourceBook(first_sync_grace=0))
        self._views = ClusterViews(defaults)
        self._dirty: set[str] = set()
        self._removed_clusters: set[str] = set()
        self.cards = Cards()
        self.earlier = Earlier(self._ledger, self._views)
        self.registered = Registered(self._ledger, self._views)
        self.deployments = Deployments(self._ledger, self._views, self.registered, self.earlier)
        self.renderer = Renderer(
            ledger=self._ledger,
            deployments=self.deployments,
            registered=self.registered,
            views=self._views,
            cards=self.cards,
            earlier=self.earlier,
            dirty=self._dirty,
            readable_names=defaults.readable_names,
        )
        self.documents = self.renderer.documents
        self.wanted: Mapping[str, Upsert] = self.documents.wanted
        self.problems: Mapping[str, tuple[Problem, ...]] = self.renderer.problems

    # --- what storage has

    def seed(self, stored: Mapping[str, Stored], *, now: float = 0) -> None:
        """Load what an earlier run has stored, by key; once, before anything is rendered."""
        self.earlier.load(stored)
        self.adopt(stored, now=now)
        self.earlier.expect_servers(now)

    def adopt(self, stored: Mapping[str, Stored], *, now: float, damaged: bool = False) -> None:
        """Take over from a listing of storage the names that others gave, and what others removed that was in doubt."""
        self._dirty.update(self.documents.adopt(stored, self.earlier.successor))
        released = self._ledger.adopt(stored, now=now, damaged=damaged)
        self.renderer.take_over_unnamed()
        self.release(released)

    def departures(
        self, keys: Iterable[str], *, stored: Mapping[str, Stored], busy: Collection[str] = ()
    ) -> dict[str, str]:
        """Return those of the stored entries to remove, by key, each with its reason.

        `keys` are those that differ from what is wanted; entries that are `busy` do not count as stored.
        """
        absent = [key for key in keys if key in stored and key not in self.wanted]
        if not absent:  # nearly always
            return {}
        safe = {key: entry.digest for key, entry in stored.items() if key not in busy}
        reasons = ((key, self._departure(stored[key].ref or key, safe)) for key in sorted(absent))
        return {key: reason for key, reason in reasons if reason}

    def _departure(self, ref: str, stored: Mapping[str, str]) -> str:
        """Return why an entry that is not wanted leaves, empty when it stays; `stored` are digests by key."""
        if ref in self.documents:
            return RENAMED if self.documents.is_stored(ref, stored) else ""
        if ref in self.renderer.retained:
            return ""
        if version := self.deployments.shown_with_version(ref):
            return SHOWN_WITH_VERSION if self.documents.is_stored(version, stored) else ""
        successor = self.renderer.served_by.get(ref, "")  # its server, which has its own entry from now on
        if successor in self.documents and not self.documents.is_stored(successor, stored):
            return ""
        return self._ledger.departed(ref)

    # --- what the sources report

    def put(self, source: str, ref: Ref, fact: Fact | Gone | Missing | Unusable, *, now: float = 0) -> None:
        """Take a report of a source about an object."""
        if ref.has_entries:
            self.renderer.unusable.pop(str(ref), None)
        match fact:
            case Registry():
                if self.registered.put_registry(fact):
                    self._dirty.update(map(str, self.registered.known(fact.id)), self.earlier.unseen.of(fact.id))
                self.renderer.note(str(ref), fact.problems)
                return
            case Unusable() if ref.has_entries:
                self.renderer.unusable[str(ref)] = fact.problem
                if self._ledger.knows(str(ref)):  # its stored entry is kept
                    self._ledger.see(str(ref), source)
            case RegisteredVersion() | Gone() | Missing() if ref.kind == "registry":
                self.registered.put(ref, fact, now=now)
            case _:
                self._dirty.update(self.deployments.put(source, ref, fact, now=now))
        if ref.has_entries:
            self._dirty.add(str(ref))
        if isinstance(fact, Gone):
            self._dirty.update(self.earlier.versions_awaiting(str(ref)))

    def put_cluster(self, cluster: str, view: ClusterView) -> None:
        """Set how the entries of a cluster are shown."""
        self._removed_clusters.discard(cluster)
        if self._views.put(cluster, view):
            self._dirty.update(ref for ref in self.deployments.refs if Ref.parse(ref).place == cluster)
            self._dirty.update(str(each.ref) for each in self.registered.versions() if cluster_of(each.ref) == cluster)

    def close(self, source: str, *, now: float) -> None:
        """Mark the deployments of a source that is no longer followed as missing."""
        self._dirty.update(self.deployments.close(source, now=now))

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster that is no longer followed, as soon as the last of its entries has left."""
        self._removed_clusters.add(cluster)
        self.cards.release(cluster)

    def known(self, source: str, kind: SourceKind) -> set[Ref]:
        """Return the objects of a source that it has reported and that still exist."""
        if kind == "registry":
            return self.registered.known(source.partition(":")[2])
        return self.deployments.known(source, cluster_of_id(source) if kind == "kserve" else "")

    def put_cards(self, cards: Mapping[str, str | None], *, cluster: str = LOCAL) -> None:
        """Set cards of a cluster's model catalogs by key, None where there is none; others are not changed."""
        self.cards.put(cards, cluster=cluster)
        self._dirty.update(self.deployments.documented_by(cards), self.registered.documented_by(cards))

    def forget_unused_cards(self) -> None:
        """Forget the texts of cards that no document refers to any more."""
        self.cards.keep_chosen(upsert.card_key for upsert in self.wanted.values())

    # --- what the ledger decides

    def release(self, refs: Iterable[str]) -> None:
        """Stop keeping what the ledger has released."""
        for ref in refs:
            self._dirty.update((ref, *self.deployments.claimants(ref)))
            self.deployments.withdraw(ref)
            self.registered.withdraw(ref)
            self.renderer.see_version(ref)
        if refs:
            self._dirty.update(self.earlier.versions_awaiting())
        for registry in self.registered.finished():
            self._dirty.update(self.registered.drop(registry), self.earlier.unseen.of(registry))
            self.renderer.note(str(Ref.registry(registry)), ())
            self._forget_unusable(registry, deployments=False)
        for cluster in [each for each in self._removed_clusters if not self.deployments.has_cluster(each)]:
            self.deployments.forget(cluster)
            self._forget_unusable(cluster, deployments=True)
            self._removed_clusters.remove(cluster)

    def _forget_unusable(self, place: str, *, deployments: bool) -> None:
        """Forget the deployments of a cluster, or the versions of a registry, that could not be read."""
        for ref, parsed in [(ref, Ref.parse(ref)) for ref in self.renderer.unusable]:
            if parsed.place == place and parsed.is_deployment == deployments:
                del self.renderer.unusable[ref]
                self._dirty.add(ref)

    # --- what follows

    def take_dirty(self) -> set[str]:
        """Return the references whose documents may have to change, and start collecting again."""
        if self.registered.take_relinked():
            self._dirty.update(self.deployments.refs)
        dirty = self._dirty.copy()
        self._dirty.clear()
        return dirty

    def render(self, *, now: float) -> None:
        """Make all documents again that may have to change."""
        for _ in self.renderer.render(self.take_dirty(), now=now):
            pass

    def make(self, *, now: float) -> None:
        """Do this for what has changed so far, without giving names, which depend on all documents."""
        for _ in self.renderer.make(self.take_dirty(), now=now):
            pass

    def source_of(self, ref: str) -> str:
        """Return the source of an object, empty when it is not known."""
        if ref.startswith("registry:"):
            return registry_source(Ref.parse(ref).place)
        entry = self.deployments.get(ref)
        return entry.source if entry is not None else ""
