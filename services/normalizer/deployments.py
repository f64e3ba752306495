"""The deployments that sources report: how each is shown, which version it serves, and what belongs to it.

A deployment that is missing from a listing is kept here, as it was when it was last ready, until the ledger releases
it. Pure.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from common.problems import Problem
from services.normalizer.companions import Belongings, Companions
from services.normalizer.facts import MANIFESTS, Gone, Missing, Ref, Unusable
from services.normalizer.hidden import Why, faulty, unready
from services.normalizer.ledger import NOT_LISTED, NOT_READY, Ledger
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.deployment import Deployment, Fact, Planned
from services.normalizer.normalize.document import ServerFacts, server_facts
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.linking import Link, ServerClaim, choose_server
from services.normalizer.places import Places
from services.normalizer.registered import Registered

STOPPED: Final = "stopped"
"""The proof that somebody wanted a deployment to go."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a deployment is shown: by these facts, not at all (None), or `retained`, as it is stored."""

    facts: Deployment | None = None
    retained: bool = False

    @property
    def shown(self) -> bool:
        """Whether there is something to show."""
        return self.retained or self.facts is not None


@dataclass(slots=True)
class Entry:
    """A deployment with what was concluded of it last.

    `missed`: since when complete looks lack it. `ready`: its facts when it was ready last.
    """

    source: str
    facts: Deployment
    bare: bool
    missed: float | None = None
    ready: Deployment | None = None
    link: Link = field(default_factory=Link)
    verdict: Verdict = field(default_factory=Verdict)
    asked_for: RegistryLabels | None = None

    @property
    def version(self) -> str:
        """The reference of the version that it serves, empty without one."""
        return self.link.version.ref if self.link.version else ""


class Deployments:
    """All deployments by reference, and who serves which version."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._entries: dict[str, Entry] = {}
        self._companions = Companions()
        self._carded: dict[str, CatalogModel] = {}
        self._claimants: defaultdict[str, set[str]] = defaultdict(set)
        self._beside: dict[str, Problem] = {}
        self._unusable: dict[str, Problem] = {}
        self._unknown: list[tuple[str, RegistryLabels]] = []

    @property
    def refs(self) -> AbstractSet[str]:
        """The references of all."""
        return self._entries.keys()

    def get(self, ref: str) -> Entry | None:
        """Return a deployment."""
        return self._entries.get(ref)

    def is_unusable(self, ref: str) -> bool:
        """Return whether a deployment exists and cannot be read."""
        return ref in self._unusable

    def hidden(self, ref: str) -> Why | None:
        """Return what is in the way of showing a deployment, as far as that is said by the object itself."""
        if (problem := self._unusable.get(ref)) is not None:
            return faulty("unusable", problem)
        entry = self._entries.get(ref)
        if entry is None or entry.verdict.shown:
            return None
        return unready(entry.facts, in_files=Ref.parse(ref).place == MANIFESTS)

    def claimants(self, version: str) -> Collection[str]:
        """Return the deployments that serve a version."""
        return self._claimants.get(version, ())

    def belongings(self, ref: str, facts: Deployment) -> Belongings:
        """Return the Services, ServiceAccounts, runtime and connection of a deployment."""
        return self._companions.of(ref, facts)

    def catalog_models(self, places: Places) -> dict[str, frozenset[CatalogModel]]:
        """Return the models of the model catalog whose cards deployments name, by the cluster whose catalogs to ask."""
        found: defaultdict[str, set[CatalogModel]] = defaultdict(set)
        for ref, model in self._carded.items():
            found[places.home(Ref.parse(ref).place)].add(model)
        return {cluster: frozenset(models) for cluster, models in found.items()}

    def documented_by(self, cards: Collection[str]) -> set[str]:
        """Return the deployments that name one of these cards, given by their keys."""
        return {ref for ref, model in self._carded.items() if model.key in cards}

    def close(self, source: str, *, now: float) -> set[str]:
        """Take that a source is followed no longer: nothing shows its deployments; return them."""
        refs = {ref for ref, entry in self._entries.items() if entry.source == source}
        for ref in refs:
            self._entries[ref].missed = now
        return refs

    def has(self, cluster: str) -> bool:
        """Return whether there are deployments of a cluster."""
        return any(Ref.parse(ref).place == cluster for ref in self._entries)

    def known(self, source: str, cluster: str) -> set[Ref]:
        """Return the deployments of a source, and what it told of a cluster beside them."""
        deployments = {Ref.parse(ref) for ref, entry in self._entries.items() if entry.source == source}
        return deployments | {ref for ref in self._companions.of_cluster(cluster) if ref.kind != "connection"}

    def forget(self, cluster: str) -> set[str]:
        """Forget all that is known of a cluster that is followed no longer and has no deployment left.

        Returns the deployments that could not be read.
        """
        for ref in self._companions.of_cluster(cluster):
            self._companions.put(ref, Gone())
        unusable = {ref for ref in self._unusable if Ref.parse(ref).place == cluster}
        for unread in unusable:
            del self._unusable[unread]
        return unusable

    def problems(self, ref: str) -> tuple[Problem, ...]:
        """Return the problems of a deployment that are not about its document."""
        entry = self._entries.get(ref)
        others = (self._beside.get(ref), self._unusable.get(ref))
        return (*(entry.link.problems if entry else ()), *(problem for problem in others if problem is not None))

    def take_unknown(self) -> list[tuple[str, RegistryLabels]]:
        """Return the labels that named a version unknown here since the last call, with the deployment's cluster."""
        unknown, self._unknown = self._unknown, []
        return unknown

    def put(self, source: str, ref: Ref, fact: Fact | Gone | Missing | Unusable, *, now: float) -> set[str]:
        """Take what a source says of an object; return what may be shown otherwise."""
        if not ref.is_deployment:
            return self._companions.put(ref, fact)
        match fact:
            case Planned():
                self._put_deployment(source, str(ref), fact.deployment, bare=True)
            case Deployment():
                self._put_deployment(source, str(ref), fact, bare=False)
            case Unusable():
                self._unusable[str(ref)] = fact.problem
                if self._ledger.knows(str(ref)):  # its stored entry is kept
                    self._ledger.see(str(ref), source)
            case Gone():
                self._ledger.end(str(ref), fact.reason)
                return {str(ref), *self._drop(str(ref))}
            case _:
                self._unusable.pop(str(ref), None)
                if (entry := self._entries.get(str(ref))) is not None:
                    entry.missed = now
        return {str(ref)}

    def _put_deployment(self, source: str, ref: str, facts: Deployment, *, bare: bool) -> None:
        self._unusable.pop(ref, None)
        if (model := facts.stated.catalog_model) is not None:
            self._carded[ref] = model
        else:
            self._carded.pop(ref, None)
        entry = self._entries.get(ref)
        self._companions.use(ref, entry.facts if entry is not None else None, facts)
        if entry is None:
            self._entries[ref] = Entry(source, facts, bare)
        else:
            entry.facts, entry.bare, entry.missed = facts, bare, None

    def withdraw(self, ref: str) -> None:
        """Show a deployment no longer as it was ready last."""
        if (entry := self._entries.get(ref)) is not None:
            entry.ready = None

    def conclude(
        self, ref: str, registered: Registered, unready: Callable[[str, str], None], *, now: float
    ) -> set[str]:
        """Decide again whether a deployment is shown and which version it serves; return the versions touched.

        `unready` is told the reference and the version of one that is not ready, before the ledger is asked.
        """
        entry = self._entries.get(ref)
        if entry is None:
            return set()
        former = entry.link
        touched = self._unlink(ref, entry)
        entry.link = registered.link(entry.facts, Ref.parse(ref).place, former)
        if entry.version:
            self._claimants[entry.version].add(ref)
            touched.add(entry.version)
        self._note_unknown(ref, entry)
        entry.verdict = self._judge(ref, entry, unready, now)
        if entry.missed is not None and not entry.verdict.shown:
            touched |= self._drop(ref)
        return touched

    def _note_unknown(self, ref: str, entry: Entry) -> None:
        labels = entry.facts.registry
        if not entry.version and labels and labels.model and labels.version and labels != entry.asked_for:
            entry.asked_for = labels
            self._unknown.append((Ref.parse(ref).place, labels))

    def _judge(self, ref: str, entry: Entry, unready: Callable[[str, str], None], now: float) -> Verdict:
        source, readiness = entry.source, entry.facts.readiness
        if entry.missed is not None:
            if not self._ledger.doubt(ref, source, NOT_LISTED, since=entry.missed):
                return Verdict()
        elif entry.bare or readiness.ready:
            entry.ready = entry.facts
            self._ledger.see(ref, source)
        elif readiness.stopped:
            self._ledger.end(ref, STOPPED)
            entry.ready = None
            return Verdict()
        else:
            unready(ref, entry.version)
            if not self._ledger.doubt(ref, source, NOT_READY, since=now):
                return Verdict()
        return Verdict(entry.ready, retained=entry.ready is None)

    def _unlink(self, ref: str, entry: Entry) -> set[str]:
        """Part a deployment from the version that it serves; return the version."""
        version = entry.version
        if not version:
            return set()
        claimants = self._claimants[version]
        claimants.discard(ref)
        if not claimants:
            del self._claimants[version]
        self._beside.pop(ref, None)
        entry.link = Link()
        return {version}

    def _drop(self, ref: str) -> set[str]:
        """Forget a deployment; return the version that it served."""
        self._unusable.pop(ref, None)
        self._carded.pop(ref, None)
        entry = self._entries.pop(ref, None)
        if entry is None:
            return set()
        self._companions.use(ref, entry.facts, None)
        return self._unlink(ref, entry)

    def part(self, version: str) -> None:
        """Show nobody beside the server of a version, until one is chosen again."""
        for claimant in self.claimants(version):
            self._beside.pop(claimant, None)

    def choose_server(self, version: str) -> str:
        """Return the deployment that a version shows as its server, empty without one; the others stand alone."""
        entries = {claimant: self._entries[claimant] for claimant in self.claimants(version)}
        choice = choose_server(
            ServerClaim(
                ref=claimant,
                subject=entry.facts.subject,
                created=entry.facts.created,
                ready=entry.facts.readiness.ready,
                certain=entry.link.certain,
            )
            for claimant, entry in entries.items()
            if entry.verdict.shown
        )
        self._beside.update(zip(choice.others, choice.problems, strict=True))
        return choice.server or ""

    def server(self, ref: str) -> ServerFacts | None:
        """Return a deployment as the server of a version."""
        entry = self._entries.get(ref)
        if entry is None or entry.verdict.facts is None:
            return None
        own = self._companions.of(ref, entry.verdict.facts)
        return server_facts(
            entry.verdict.facts,
            services=own.services,
            service_accounts=own.service_accounts,
            runtime=own.runtime,
            connection=own.connection,
        )

    def shown_with_version(self, ref: str) -> str:
        """Return the version that shows a deployment as its server, empty when it stands alone or is not shown."""
        entry = self._entries.get(ref)
        return entry.version if entry is not None and ref not in self._beside and entry.verdict.shown else ""
