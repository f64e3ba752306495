"""What should be served, kept up to date from what the sources report: the state that storage is compared with.

Facts come in (`put_…`), and each marks the documents that may change; `render` makes those again and nothing else. What
a source no longer shows is kept here as it was until the ledger releases it. Pure: no I/O, the clock is given.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.cards import Card, Cards
from services.normalizer.deployments import Deployments
from services.normalizer.earlier import Earlier
from services.normalizer.facts import LOCAL, Gone, Missing, Ref, Unusable, cluster_of, cluster_of_id
from services.normalizer.hidden import Why
from services.normalizer.ledger import Ledger, Patience
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.deployment import Deployment, Fact
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry, registry_source
from services.normalizer.normalize.result import ClusterView, ClusterViews, Defaults
from services.normalizer.registered import Registered
from services.normalizer.rendering import Renderer
from services.normalizer.sourcebook import SourceBook, SourceKind

RENAMED: Final = "renamed"
"""The reason of a removal: the entry is stored under another key."""
SHOWN_WITH_VERSION: Final = "shown-with-version"
"""The reason of a removal: the registered version that the deployment serves shows it as its server."""


class Desired:
    """The documents that should be served (`wanted`, by key), and the problems that were found (`problems`)."""

    def __init__(self, *, defaults: Defaults, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(Patience(), SourceBook(first_sync_grace=0))
        self._deployments = Deployments(self._ledger)
        self._views = ClusterViews(defaults)
        self._registered = Registered(self._ledger, self._views)
        self._cards = Cards()
        self._earlier = Earlier(self._ledger, self._views)
        self._renderer = Renderer(
            ledger=self._ledger,
            deployments=self._deployments,
            registered=self._registered,
            views=self._views,
            cards=self._cards,
            earlier=self._earlier,
            readable_names=defaults.readable_names,
        )
        self._dirty: set[str] = set()
        self._removed_clusters: set[str] = set()

    @property
    def wanted(self) -> Mapping[str, Upsert]:
        """The documents that should be served, by key."""
        return self._renderer.documents.wanted

    @property
    def problems(self) -> dict[str, tuple[Problem, ...]]:
        """The problems of objects and registries, by reference."""
        return self._renderer.problems

    # --- what storage has

    def seed(self, stored: Mapping[str, Stored], *, now: float = 0) -> None:
        """Load what an earlier run has stored, by key; once, before anything is rendered."""
        self._earlier.load(stored)
        self.adopt(stored, now=now)
        self._earlier.expect_servers(now)

    def adopt(self, stored: Mapping[str, Stored], *, now: float, damaged: bool = False) -> None:
        """Take over from a listing of storage the names that others gave, and what others removed that was in doubt."""
        self._dirty |= self._renderer.documents.adopt(stored, self._earlier.successor)
        released = self._ledger.adopt(stored, now=now, damaged=damaged)
        self._renderer.take_over_unnamed()
        self.release(released)

    def free_names(self, stored: Mapping[str, Stored]) -> None:
        """Release the names of documents that are neither wanted nor stored any more."""
        self._renderer.documents.free_names(stored)

    def departures(self, stored: Mapping[str, Stored], *, busy: Collection[str] = ()) -> dict[str, str]:
        """Return the stored entries to remove, by key, each with its reason; entries that are `busy` do not count."""
        absent = stored.keys() - self.wanted.keys()
        if not absent:  # nearly always
            return {}
        safe = {key: entry.digest for key, entry in stored.items() if key not in busy}
        reasons = ((key, self._departure(stored[key].ref or key, safe)) for key in sorted(absent))
        return {key: reason for key, reason in reasons if reason}

    def _departure(self, ref: str, stored: Mapping[str, str]) -> str:
        """Return why an entry that is not wanted leaves, empty when it stays; `stored` are digests by key."""
        documents = self._renderer.documents
        if ref in documents:
            return RENAMED if documents.is_stored(ref, stored) else ""
        if ref in self._renderer.retained:
            return ""
        if version := self._deployments.shown_with_version(ref):
            return SHOWN_WITH_VERSION if documents.is_stored(version, stored) else ""
        successor = self._renderer.served_by.get(ref, "")  # its server, which has its own entry from now on
        if successor in documents and not documents.is_stored(successor, stored):
            return ""
        return self._ledger.departed(ref)

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        return self._earlier.version_ids(registry)

    # --- what the sources report

    def put(self, source: str, ref: Ref, fact: Fact | Gone | Missing | Unusable, *, now: float = 0) -> None:
        """Take a report of a source about an object."""
        if ref.kind == "registry":
            self._put_registered(ref, fact, now)
            return
        self._dirty |= self._deployments.put(source, ref, fact, now=now)
        if isinstance(fact, Gone):
            self._dirty |= self._earlier.versions_awaiting(str(ref))

    def _put_registered(self, ref: Ref, fact: Fact | Gone | Missing | Unusable, now: float) -> None:
        """Take a report about a registry, or about a version."""
        if isinstance(fact, Registry):
            if self._registered.put_registry(fact):
                self._dirty |= self._registered.refs(fact.id)
                self._dirty.update(self._earlier.unseen.of(fact.id))
            self._renderer.note(str(ref), fact.problems)
        elif isinstance(fact, RegisteredVersion | Gone | Missing | Unusable):
            self._registered.put(ref, fact, now=now)
            self._dirty.add(str(ref))

    def put_cluster(self, cluster: str, view: ClusterView) -> None:
        """Set how the entries of a cluster are shown."""
        self._removed_clusters.discard(cluster)
        if self._views.put(cluster, view):
            self._dirty |= {ref for ref in self._deployments.refs if Ref.parse(ref).place == cluster}
            self._dirty |= {str(each.ref) for each in self._registered.versions() if cluster_of(each.ref) == cluster}

    def close(self, source: str, *, now: float) -> None:
        """Mark the deployments of a source that is no longer followed as missing."""
        self._dirty |= self._deployments.close(source, now=now)

    def remove_cluster(self, cluster: str) -> None:
        """Forget a cluster that is no longer followed, as soon as the last of its entries has left."""
        self._removed_clusters.add(cluster)
        self._cards.release(cluster)

    def known(self, source: str, kind: SourceKind) -> set[Ref]:
        """Return the objects of a source that it has reported and that still exist."""
        if kind == "registry":
            return self._registered.known(source.partition(":")[2])
        return self._deployments.known(source, cluster_of_id(source) if kind == "kserve" else "")

    def put_cards(self, cards: Mapping[str, str | None], *, cluster: str = LOCAL) -> None:
        """Set cards of a cluster's model catalogs by key, None where there is none; others are not changed."""
        self._cards.put(cards, cluster=cluster)
        self._dirty |= self._deployments.documented_by(cards) | self._registered.documented_by(cards)

    def forget_cards(self, keys: Collection[str], *, cluster: str = LOCAL) -> None:
        """Drop cards that nothing in a cluster refers to any more, except those that documents still show."""
        self._cards.forget(keys, cluster=cluster)

    @property
    def catalog_models(self) -> Mapping[str, frozenset[CatalogModel]]:
        """The catalog models whose cards deployments name themselves, by cluster."""
        return self._deployments.catalog_models(self._views)

    @property
    def cards(self) -> Mapping[str, Card]:
        """The cards that documents refer to and whose text is known, by key; see `forget_unused_cards`."""
        return self._cards.chosen

    def forget_unused_cards(self) -> None:
        """Forget the texts of cards that no document refers to any more."""
        self._cards.keep_chosen(upsert.card_key for upsert in self.wanted.values())

    def await_registries(self, clusters: frozenset[str]) -> None:
        """Set the clusters with a registry that has not been tried yet."""
        if clusters != self._renderer.awaiting_registries:
            self._renderer.awaiting_registries = clusters
            self._dirty |= self._renderer.waiting
        self._dirty |= self._renderer.undecided

    # --- what the ledger decides

    def release(self, refs: Iterable[str]) -> None:
        """Stop keeping what the ledger has released."""
        for ref in refs:
            self._dirty |= {ref, *self._deployments.claimants(ref)}
            self._deployments.withdraw(ref)
            self._registered.withdraw(ref)
            self._renderer.see_version(ref)
        if refs:
            self._dirty |= self._earlier.versions_awaiting()
        for registry in self._registered.finished():
            self._dirty |= self._registered.drop(registry) | set(self._earlier.unseen.of(registry))
            self._renderer.note(str(Ref.registry(registry)), ())
        for cluster in [each for each in self._removed_clusters if not self._deployments.has_cluster(each)]:
            self._dirty |= self._deployments.forget(cluster)
            self._removed_clusters.remove(cluster)

    # --- what follows

    def take_dirty(self) -> set[str]:
        """Return the references whose documents may have to change, and start collecting again."""
        if self._registered.take_relinked():
            self._dirty |= self._deployments.refs
        dirty = self._dirty | self._renderer.dirty
        self._dirty, self._renderer.dirty = set(), set()
        return dirty

    def render(self, refs: Iterable[str], *, now: float) -> None:
        """Make the documents of `refs`, and of those tied to them, again."""
        for _ in self.render_in_slices(refs, now=now):
            pass

    def render_in_slices(self, refs: Iterable[str], *, now: float) -> Iterator[None]:
        """Render as `render` does, in slices, between which others may run."""
        return self._renderer.render(refs, now=now)

    def take_unknown(self) -> list[tuple[str, RegistryLabels]]:
        """Return the labels since the last call that name an unknown version, with the cluster to look in."""
        return [(self._views.home(cluster), labels) for cluster, labels in self._deployments.take_unknown()]

    def take_failures(self) -> list[tuple[str, Exception]]:
        """Return the objects that could not be rendered since the last call, with the errors, for the log."""
        return self._renderer.take_failures()

    def take_rendered(self) -> set[str]:
        """Return the references that were rendered since the last call, with or without a document."""
        return self._renderer.take_rendered()

    def deployments(self) -> Iterator[tuple[str, Deployment]]:
        """Yield all deployments by reference."""
        for ref in self._deployments.refs:
            if (entry := self._deployments.get(ref)) is not None:
                yield ref, entry.facts

    def versions(self) -> Iterator[RegisteredVersion]:
        """Yield all versions of all registries, live or not."""
        return self._registered.versions()

    def shown_with_version(self, ref: str) -> str:
        """Return the version that shows a deployment as its server, empty without one."""
        return self._deployments.shown_with_version(ref)

    def source_of(self, ref: str) -> str:
        """Return the source of an object, empty when it is not known."""
        if ref.startswith("registry:"):
            return registry_source(Ref.parse(ref).place)
        entry = self._deployments.get(ref)
        return entry.source if entry is not None else ""

    def why_hidden(self, ref: str, stored: Callable[[], Collection[str]]) -> Why | None:
        """Return why an object is not in the feed; None when it is, or when it does not exist.

        `stored` returns the references of what storage has.
        """
        return self._renderer.why_hidden(ref, stored)
