"""The deployments that sources report: how each is shown, which version it serves, and what belongs to it.

A deployment that a listing lacks is kept here, as it was when it was last ready, until the ledger releases it. Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from common.problems import Problem
from common.removals import NOT_LISTED, NOT_READY
from services.normalizer.companions import Companions
from services.normalizer.earlier import Earlier
from services.normalizer.facts import MANIFESTS, Gone, Missing, Ref, Unusable
from services.normalizer.hidden import Why, unready
from services.normalizer.ledger import Ledger
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.document import ServerFacts, server_facts
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.linking import Link, choose_server
from services.normalizer.normalize.result import ClusterViews
from services.normalizer.registered import Registered
from services.normalizer.source import Fact

_STOPPED: Final = "stopped"
"""The reason of a removal: people have stopped the deployment."""


@dataclass(slots=True)
class DeploymentState:
    """A deployment, its link, and whether it is shown.

    `missed`: since when complete listings lack it. `ready`: its facts when it was last ready. `asked_for`: the labels
    for which a registry was last asked.
    """

    source: str
    facts: Deployment
    missed: float | None = None
    ready: Deployment | None = None
    link: Link = field(default_factory=Link)
    shown: bool = False
    asked_for: RegistryLabels | None = None

    @property
    def version(self) -> str:
        """The reference of the version that it serves, empty without one."""
        return str(self.link.version) if self.link.version else ""

    @property
    def shown_facts(self) -> Deployment | None:
        """What is shown of it: its facts when it was last ready."""
        return self.ready if self.shown else None

    @property
    def retained(self) -> bool:
        """Whether it is shown as it is stored, because it was not ready since the start."""
        return self.shown and self.ready is None


class Deployments:
    """All deployments by reference, which of them serve which version, and what belongs to them (`companions`)."""

    def __init__(self, ledger: Ledger, views: ClusterViews, registered: Registered, earlier: Earlier) -> None:
        self._ledger = ledger
        self._views = views
        self._registered = registered
        self._earlier = earlier
        self._entries: dict[str, DeploymentState] = {}
        self.companions = Companions()
        self._card_models: dict[str, CatalogModel] = {}
        self._claimants: defaultdict[str, set[str]] = defaultdict(set)
        self._second_servers: dict[str, Problem] = {}
        self._unknown: list[tuple[str, RegistryLabels]] = []

    @property
    def refs(self) -> AbstractSet[str]:
        """The references of all deployments."""
        return self._entries.keys()

    def get(self, ref: str) -> DeploymentState | None:
        """Return a deployment."""
        return self._entries.get(ref)

    def all(self) -> Iterator[tuple[str, Deployment]]:
        """Yield all deployments by reference."""
        return ((ref, entry.facts) for ref, entry in self._entries.items())

    def hidden(self, ref: str) -> Why | None:
        """Return why a deployment is not shown, None when it is."""
        entry = self._entries.get(ref)
        if entry is None or entry.shown:
            return None
        return unready(entry.facts, in_files=Ref.parse(ref).place == MANIFESTS)

    def claimants(self, version: str) -> Collection[str]:
        """Return the deployments that serve a version."""
        return self._claimants.get(version, ())

    def catalog_models(self) -> dict[str, frozenset[CatalogModel]]:
        """Return the catalog models whose cards deployments name, by the cluster whose catalogs to ask."""
        found: defaultdict[str, set[CatalogModel]] = defaultdict(set)
        for ref, model in self._card_models.items():
            found[self._views.home(Ref.parse(ref).place)].add(model)
        return {cluster: frozenset(models) for cluster, models in found.items()}

    def documented_by(self, cards: Collection[str]) -> set[str]:
        """Return the deployments that name one of these cards, given by their keys."""
        return {ref for ref, model in self._card_models.items() if model.key in cards}

    def close(self, source: str, *, now: float) -> set[str]:
        """Mark the deployments of a source that is no longer followed as missing; return them."""
        refs = {ref for ref, entry in self._entries.items() if entry.source == source}
        for ref in refs:
            self._entries[ref].missed = now
        return refs

    def has_cluster(self, cluster: str) -> bool:
        """Return whether there are deployments of a cluster."""
        return any(Ref.parse(ref).place == cluster for ref in self._entries)

    def known(self, source: str, cluster: str) -> set[Ref]:
        """Return the deployments of a source, and the objects of a cluster that belong to any."""
        deployments = {Ref.parse(ref) for ref, entry in self._entries.items() if entry.source == source}
        return deployments | {ref for ref in self.companions.of_cluster(cluster) if ref.kind != "connection"}

    def forget(self, cluster: str) -> None:
        """Forget a cluster that is no longer followed and has no deployment left."""
        for ref in self.companions.of_cluster(cluster):
            self.companions.put(ref, Gone())

    def problems(self, ref: str) -> tuple[Problem, ...]:
        """Return the problems of a deployment that are not about its document."""
        entry, second = self._entries.get(ref), self._second_servers.get(ref)
        return (*(entry.link.problems if entry else ()), *((second,) if second else ()))

    def take_unknown(self) -> list[tuple[str, RegistryLabels]]:
        """Return the labels since the last call that name an unknown version, with the cluster to look in."""
        unknown, self._unknown = self._unknown, []
        return [(self._views.home(cluster), labels) for cluster, labels in unknown]

    def put(self, source: str, ref: Ref, fact: Fact | Gone | Missing | Unusable, *, now: float) -> Collection[str]:
        """Take a report of a source about an object; return the references of other documents that may change."""
        if not ref.is_deployment:
            return self.companions.put(ref, fact)
        match fact:
            case Deployment():
                self._put_deployment(source, str(ref), fact)
            case Gone():
                self._ledger.end(str(ref), fact.reason)
                return self._drop(str(ref))
            case Missing() if (entry := self._entries.get(str(ref))) is not None:
                entry.missed = now
        return ()

    def _put_deployment(self, source: str, ref: str, facts: Deployment) -> None:
        if (model := facts.stated.catalog_model) is not None:
            self._card_models[ref] = model
        else:
            self._card_models.pop(ref, None)
        entry = self._entries.get(ref)
        self.companions.use(ref, entry.facts if entry is not None else None, facts)
        if entry is None:
            self._entries[ref] = DeploymentState(source, facts)
        else:
            entry.facts, entry.missed = facts, None

    def withdraw(self, ref: str) -> None:
        """Stop showing a deployment as it was when it was last ready."""
        if (entry := self._entries.get(ref)) is not None:
            entry.ready = None

    def reassess(self, ref: str, *, now: float) -> set[str]:
        """Decide again whether a deployment is shown, and what it serves; return the versions that may change."""
        entry = self._entries.get(ref)
        if entry is None:
            return set()
        former = entry.link
        touched = self._unlink(ref, entry)
        entry.link = self._registered.link(entry.facts, Ref.parse(ref).place, former)
        if entry.version:
            self._claimants[entry.version].add(ref)
            touched.add(entry.version)
        self._note_unknown(ref, entry)
        entry.shown = self._judge(ref, entry, now)
        if entry.missed is not None and not entry.shown:
            touched |= self._drop(ref)
        return touched

    def _note_unknown(self, ref: str, entry: DeploymentState) -> None:
        labels = entry.facts.registry
        if not entry.version and labels and labels.model and labels.version and labels != entry.asked_for:
            entry.asked_for = labels
            self._unknown.append((Ref.parse(ref).place, labels))

    def _judge(self, ref: str, entry: DeploymentState, now: float) -> bool:
        """Have the ledger record what was seen of a deployment; return whether it is shown."""
        source, readiness = entry.source, entry.facts.readiness
        if entry.missed is not None:
            return self._ledger.doubt(ref, source, NOT_LISTED, since=entry.missed)
        if entry.facts.planned or readiness.ready:
            entry.ready = entry.facts
            self._ledger.see(ref, source)
            return True
        if readiness.stopped:
            self._ledger.end(ref, _STOPPED)
            entry.ready = None
            return False
        self._earlier.attribute_server(ref, entry.version, now)
        return self._ledger.doubt(ref, source, NOT_READY, since=now)

    def _unlink(self, ref: str, entry: DeploymentState) -> set[str]:
        """Separate a deployment from the version that it serves; return the version."""
        version = entry.version
        if not version:
            return set()
        claimants = self._claimants[version]
        claimants.discard(ref)
        if not claimants:
            del self._claimants[version]
        self._second_servers.pop(ref, None)
        entry.link = Link()
        return {version}

    def _drop(self, ref: str) -> set[str]:
        """Forget a deployment; return the version that it served."""
        self._card_models.pop(ref, None)
        entry = self._entries.pop(ref, None)
        if entry is None:
            return set()
        self.companions.use(ref, entry.facts, None)
        return self._unlink(ref, entry)

    def clear_server(self, version: str) -> None:
        """Forget which deployment is the server of a version, until one is chosen again."""
        for claimant in self.claimants(version):
            self._second_servers.pop(claimant, None)

    def choose_server(self, version: str) -> str:
        """Return the deployment that a version shows as its server, empty without one; others get their own entries."""
        entries = {claimant: self._entries[claimant] for claimant in self.claimants(version)}
        server, problems = choose_server({ref: (each.facts, each.link) for ref, each in entries.items() if each.shown})
        self._second_servers |= problems
        return server

    def server(self, ref: str) -> ServerFacts | None:
        """Return a deployment as the server of a version."""
        entry = self._entries.get(ref)
        facts = entry.shown_facts if entry is not None else None
        return server_facts(facts, self.companions.of(ref, facts)) if facts is not None else None

    def shown_with_version(self, ref: str) -> str:
        """Return the version that shows a deployment as its server, empty when it has its own entry or is hidden."""
        entry = self._entries.get(ref)
        return entry.version if entry is not None and ref not in self._second_servers and entry.shown else ""
