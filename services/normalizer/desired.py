"""What should be served, kept up to date from what the sources tell: the level that everything is compared with.

Facts come in (`put_…`), each marks the documents that may change; `render` makes those again and nothing else. Pure:
no I/O, the clock is given. A document belongs to an InferenceService, or to a registered version, which shows the
InferenceService that serves it as its server; an isvc so shown has no document of its own. What a source no longer
shows stays here, as it was, until the ledger lets it go.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.cards import Card, Cards
from services.normalizer.companions import Companions
from services.normalizer.connected import Connected
from services.normalizer.documents import SLICE, Documents
from services.normalizer.earlier import Adoption, Unshown
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.ledger import NOT_LISTED, NOT_READY, Ledger, Patience
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Deployment, Fact, Planned, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.kserve import normalize_deployment
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.linking import Link, RegistryIndex, link, names_version
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, RegisteredModel, version_origin
from services.normalizer.normalize.result import Defaults, Normalized
from services.normalizer.normalize.runtimes import Runtime
from services.normalizer.normalize.server import ServerFacts, server_facts
from services.normalizer.normalize.serving import ServerClaim, choose_server
from services.normalizer.sourcebook import SourceBook, SourceKind
from services.normalizer.sources.kubeflow.records import RegistryContent, registry_source

T = TypeVar("T")

STOPPED: Final = "stopped"
ARCHIVED: Final = "archived"
RENAMED: Final = "renamed"
"""Its new form is stored under another key."""
SHOWN_WITH_VERSION: Final = "shown-with-version"
"""The registered version that the InferenceService serves shows it as its server."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How an isvc is shown: by these facts, not at all (None), or `retained`, as it is stored."""

    facts: Deployment | None = None
    retained: bool = False

    @property
    def shown(self) -> bool:
        """Whether there is something to show."""
        return self.retained or self.facts is not None


@dataclass(slots=True)
class _IsvcEntry:
    """An isvc with what was concluded of it last.

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


@dataclass(frozen=True, slots=True)
class _Version:
    """A live version of a live model; `missed`: since when looks at its registry lack it."""

    model: RegisteredModel
    version: ModelVersion
    artifacts: tuple[ModelArtifact, ...] | None
    missed: float | None = None


class Desired:
    """What should be served (`wanted`, by key), and what was noticed on the way (`problems`, by ref or source).

    `retained`: references whose stored document stays as it is for now.
    """

    def __init__(self, *, defaults: Defaults, ledger: Ledger | None = None) -> None:
        self._defaults = defaults
        self._ledger = ledger or Ledger(Patience(), SourceBook(first_sync_grace=0))
        self._isvcs: dict[str, _IsvcEntry] = {}
        self._services: Companions[ServiceFacts] = Companions()
        self._accounts: Companions[ServiceAccountFacts] = Companions()
        self._connected = Connected()
        self._runtimes: dict[Ref, Runtime] = {}
        self._registries: dict[str, RegistryContent] = {}
        self._missed: dict[str, _Version] = {}
        self._indexes: dict[str, RegistryIndex] = {}
        self._cards = Cards()
        self._claimants: defaultdict[str, set[str]] = defaultdict(set)
        self._served_by: dict[str, str] = {}
        self._documents = Documents(self._served_by)
        self._beside: dict[str, Problem] = {}
        self._stored_by_ref: dict[str, Stored] = {}
        self._adoption = Adoption({})
        self._heirs: set[str] = set()
        self._unshown = Unshown({})
        self._waiting: set[str] = set()
        self._unconfirmed_servers: dict[str, str] = {}
        self._faults: dict[str, Problem] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._dirty: set[str] = set()
        self._unusable: dict[str, Problem] = {}
        self._unknown: list[RegistryLabels] = []
        self._awaiting_registries = False
        self.problems: dict[str, tuple[Problem, ...]] = {}
        self.retained: set[str] = set()

    @property
    def wanted(self) -> Mapping[str, Upsert]:
        """The documents that should be served, by key."""
        return self._documents.wanted

    # --- what storage has

    def seed(self, stored: Mapping[str, Stored], *, now: float = 0) -> None:
        """Take over, once and before anything is rendered, what an earlier run has stored, by key."""
        self._stored_by_ref = {entry.ref: entry for entry in stored.values() if entry.ref}
        self._unshown = Unshown(self._stored_by_ref)
        self._adoption = Adoption(self._stored_by_ref)
        self.adopt(stored, now=now)
        for ref, entry in self._stored_by_ref.items():
            if ref.startswith("registry:") and entry.server_name:
                server = entry.server_ref or f"{ref}#server"
                self._unconfirmed_servers[ref] = server
                self._ledger.expect(server, _server_kind(server), now=now)

    def adopt(self, stored: Mapping[str, Stored], *, now: float, damaged: bool = False) -> None:
        """Take a listing of storage: names that others gave out, and what others removed of what was leaving here."""
        self._dirty |= self._documents.adopt(stored, self._adoption.owner)
        self.release(self._ledger.adopt(stored, now=now, damaged=damaged))

    def free_names(self, stored: Mapping[str, Stored]) -> None:
        """Let others have the names of what is neither wanted nor stored any more."""
        self._documents.free_names(stored)

    def departures(self, stored: Mapping[str, Stored], *, busy: Collection[str] = ()) -> dict[str, str]:
        """Return why which of the stored entries are to be removed, by key; what is `busy` may not be stored yet."""
        absent = stored.keys() - self.wanted.keys()
        if not absent:  # nearly always
            return {}
        safe = {key: entry.digest for key, entry in stored.items() if key not in busy}
        reasons = ((key, self._departure(stored[key].ref or key, safe)) for key in sorted(absent))
        return {key: reason for key, reason in reasons if reason}

    def _departure(self, ref: str, stored: Mapping[str, str]) -> str:
        """Return why an entry that is not wanted leaves, empty while it stays; `stored` are digests by key."""
        if ref in self._documents:
            return RENAMED if self._documents.is_stored(ref, stored) else ""
        if ref in self.retained:
            return ""
        isvc = self._isvcs.get(ref)
        if isvc is not None and self._shown_with_version(ref, isvc) and isvc.link.version:
            return SHOWN_WITH_VERSION if self._documents.is_stored(isvc.link.version.ref, stored) else ""
        successor = self._served_by.get(ref, "")  # what it showed as its server is shown by itself from now on
        if successor in self._documents and not self._documents.is_stored(successor, stored):
            return ""
        return self._ledger.departed(ref)

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        refs = (Ref.parse(ref) for ref in self._stored_by_ref if ref.startswith("registry:"))
        return {ref.ids[1] for ref in refs if ref.place == registry}

    # --- what the sources tell

    def put(self, source: str, ref: Ref, fact: Fact | Gone | Missing | Unusable, *, now: float = 0) -> None:
        """Take what a source says of an object."""
        match fact:
            case Deployment():
                self._put_deployment(source, str(ref), fact, bare=False)
            case Planned():
                self._put_deployment(source, str(ref), fact.deployment, bare=True)
            case ServiceFacts():
                self._dirty |= self._services.put(ref, fact)
            case ServiceAccountFacts():
                self._dirty |= self._accounts.put(ref, fact)
            case Connection():
                self._dirty |= self._connected.put(ref, fact)
            case Runtime():
                self._put_runtime(ref, fact)
            case Unusable():
                self._put_unusable(source, str(ref), fact.problem)
            case _:
                self._lose(ref, fact, now)

    def _put_deployment(self, source: str, ref: str, facts: Deployment, *, bare: bool) -> None:
        self._unusable.pop(ref, None)
        self._connected.use(ref, Ref.parse(ref).place, facts)
        entry = self._isvcs.get(ref)
        if entry is None:
            self._isvcs[ref] = _IsvcEntry(source, facts, bare)
        else:
            entry.facts, entry.bare, entry.missed = facts, bare, None
        self._dirty.add(ref)

    def _put_runtime(self, ref: Ref, runtime: Runtime | None) -> None:
        """Take a ServingRuntime, or one of the cluster (its namespace is empty), or its absence."""
        if self._runtimes.get(ref) == runtime:
            return
        if runtime is None:
            del self._runtimes[ref]
        else:
            self._runtimes[ref] = runtime
        self._dirty |= {user for user, entry in self._isvcs.items() if entry.facts.served.runtime == ref.ids[1]}

    def _runtime(self, ref: str, facts: Deployment) -> Runtime | None:
        """Return what is known of a deployment's runtime: one of its namespace goes before one of the cluster."""
        if not self._runtimes:
            return None
        cluster, name = Ref.parse(ref).place, facts.served.runtime
        own = self._runtimes.get(Ref("runtime", cluster, (facts.namespace, name)))
        return own or self._runtimes.get(Ref("runtime", cluster, ("", name)))

    def _put_unusable(self, source: str, ref: str, problem: Problem) -> None:
        """Take note of a deployment that exists and cannot be read: what is stored of it stays."""
        self._unusable[ref] = problem
        if self._ledger.knows(ref):
            self._ledger.see(ref, source)
        self._dirty.add(ref)

    def _lose(self, ref: Ref, how: Gone | Missing, now: float) -> None:
        if not ref.is_deployment:
            self._dirty |= self._services.put(ref, None) | self._accounts.put(ref, None)
            self._dirty |= self._connected.put(ref, None)
            self._put_runtime(ref, None)
            return
        self._unusable.pop(str(ref), None)
        if isinstance(how, Gone):
            self._drop_isvc(str(ref))
            self._ledger.end(str(ref), how.reason)
        elif (entry := self._isvcs.get(str(ref))) is not None:
            entry.missed = now
        self._dirty.add(str(ref))

    def put_registry(
        self, registry: str, content: RegistryContent | None, *, touched: Iterable[str] = (), now: float = 0
    ) -> None:
        """Take what a registry holds now, None when it is gone; `touched` are the ids of versions that changed."""
        index = content.index() if content is not None else None  # before anything is changed: it may fail
        former = self._registries.pop(registry, None)
        if former is not None and content is not None:
            self._keep_missed(former, content, now)
        if content is not None:
            self._registries[registry] = content
        everything = content is None or former is None or former.settled != content.settled
        for holds in filter(None, (former, content)):
            self._dirty.update(holds.version_refs(holds.snapshot.versions if everything else touched))
        if everything:
            self._dirty.update(self._unshown.of(registry))
        if index != self._indexes.pop(registry, None):
            self._dirty |= self._isvcs.keys()
        if index is not None:
            self._indexes[registry] = index
        self._note(registry_source(registry), content.problems if content is not None else ())

    def _keep_missed(self, former: RegistryContent, content: RegistryContent, now: float) -> None:
        """Keep the versions that are no longer in a registry until the ledger lets them go."""
        before, after = former.snapshot, content.snapshot
        models = before.models.keys() - after.models.keys()
        versions = before.versions.keys() - after.versions.keys()
        if models:
            versions |= {id_ for id_, version in before.versions.items() if version.registered_model_id in models}
        for id_ in versions:
            self._keep_version(former, id_, now)

    def _keep_version(self, former: RegistryContent, version_id: str, now: float) -> None:
        found = former.find(former.snapshot.versions[version_id].registered_model_id, version_id)
        for ref in former.version_refs([version_id]):
            if found is not None and self._ledger.knows(ref):
                self._missed[ref] = _Version(*found, former.snapshot.artifacts.get(version_id), missed=now)
            self._dirty.add(ref)

    def put_cards(self, cards: Mapping[str, str | None]) -> None:
        """Take cards of the model catalog by key; None says that there is none, what is not named stays."""
        self._cards.put(cards)

    @property
    def cards(self) -> Mapping[str, Card]:
        """The cards that documents refer to and whose text is known, by key."""
        return self._cards.shown(upsert.card_key for upsert in self.wanted.values())

    def await_registries(self, awaiting: bool) -> None:
        """Take whether a registry that was never tried may soon tell more."""
        if awaiting != self._awaiting_registries:
            self._awaiting_registries = awaiting
            self._dirty |= self._waiting
        self._dirty |= self._heirs

    # --- what the ledger says

    def release(self, refs: Iterable[str]) -> None:
        """Let go what the ledger let go."""
        for ref in refs:
            self._dirty |= {ref, *self._claimants.get(ref, ())}
            if (entry := self._isvcs.get(ref)) is not None:
                entry.ready = None
            self._missed.pop(ref, None)
            if self._unshown.discard(ref):
                self._dirty |= self._waiting
        if refs:
            self._dirty |= self._unconfirmed_servers.keys()
        for registry in list(self._registries):
            if self._ledger.is_over(registry_source(registry)):
                self.put_registry(registry, None)

    # --- what follows from it

    def take_dirty(self) -> set[str]:
        """Return the references whose documents may have to change, and start collecting again."""
        dirty, self._dirty = self._dirty, set()
        return dirty

    def take_unknown(self) -> list[RegistryLabels]:
        """Return the labels that named a version unknown here since the last call."""
        unknown, self._unknown = self._unknown, []
        return unknown

    def take_failures(self) -> list[tuple[str, Exception]]:
        """Return what went wrong in rendering which object since the last call; for the log."""
        failures, self._failures = self._failures, []
        return failures

    def render(self, refs: Iterable[str], *, now: float) -> None:
        """Make the documents of `refs`, and of those tied to them, again."""
        for _ in self.rendering(refs, now=now):
            pass

    def rendering(self, refs: Iterable[str], *, now: float) -> Iterator[None]:
        """Render as `render` does, in slices: pauses are possible between them."""
        refs = set(refs)
        versions = {ref for ref in refs if ref.startswith("registry:") and "#" not in ref}
        isvcs = {ref for ref in refs if ref.startswith(("isvc:", "llmisvc:"))}
        for number, ref in enumerate(tuple(isvcs), 1):
            versions |= self._guarded(ref, partial(self._conclude, ref, now)) or set()
            if number % SLICE == 0:
                yield
        rendered: dict[str, Normalized | None] = {}
        for number, ref in enumerate(sorted(versions), 1):
            isvcs |= self._claimants.get(ref, set())
            rendered[ref] = self._guarded(ref, partial(self._render_version, ref, now))
            if number % SLICE == 0:
                yield
        for number, ref in enumerate(sorted(isvcs), 1):
            rendered[ref] = self._guarded(ref, partial(self._render_isvc, ref))
            if number % SLICE == 0:
                yield
        yield from self._publish(rendered)

    def _guarded(self, ref: str, work: Callable[[], T]) -> T | None:
        """Return what `work` on a document does; whatever happens to one, the others go on and it stays as it is."""
        try:
            done = work()
        except Exception as error:
            self._failures.append((Ref.parse(ref).label, error))
            self._faults[ref] = Problem(
                "error",
                Ref.parse(ref).label,
                f"it cannot be rendered: {type(error).__name__}: {error}"[:300],
                "what was shown of it stays; please report this with the traceback in the log",
            )
            self.retained.add(ref)
            return None
        self._faults.pop(ref, None)
        return done

    def _conclude(self, ref: str, now: float) -> set[str]:
        """Decide again whether an isvc is shown and which version it serves; return the versions touched."""
        entry = self._isvcs.get(ref)
        if entry is None:
            return set()
        former = entry.link
        touched = self._unlink(ref, entry)
        entry.link = link(entry.facts, tuple(self._indexes.values()))
        if entry.link.version is None and former.version is not None and former.version.ref in self._missed:
            entry.link = former
        if entry.link.version:
            self._claimants[entry.link.version.ref].add(ref)
            touched.add(entry.link.version.ref)
        self._note_unknown(entry)
        entry.verdict = self._judge(ref, entry, now)
        if entry.missed is not None and not entry.verdict.shown:
            touched |= self._drop_isvc(ref)
        return touched

    def _note_unknown(self, entry: _IsvcEntry) -> None:
        labels = entry.facts.registry
        if entry.link.version is None and labels and labels.model and labels.version and labels != entry.asked_for:
            entry.asked_for = labels
            self._unknown.append(labels)

    def _judge(self, ref: str, entry: _IsvcEntry, now: float) -> Verdict:
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
            self._attribute_server(ref, entry, now)
            if not self._ledger.doubt(ref, source, NOT_READY, since=now):
                return Verdict()
        return Verdict(entry.ready, retained=entry.ready is None)

    def _attribute_server(self, ref: str, entry: _IsvcEntry, now: float) -> None:
        """Take an isvc for the server that an earlier run has stored with the version, where it did not say which."""
        version = entry.link.version.ref if entry.link.version else ""
        unnamed = f"{version}#server"
        if self._unconfirmed_servers.get(version) == unnamed and self._ledger.knows(unnamed):
            self._ledger.forget(unnamed)
            self._ledger.expect(ref, _server_kind(ref), now=now)
            self._unconfirmed_servers[version] = ref

    def _unlink(self, ref: str, entry: _IsvcEntry) -> set[str]:
        """Part an isvc from the version that it serves; return the version."""
        version = entry.link.version
        if version is None:
            return set()
        claimants = self._claimants[version.ref]
        claimants.discard(ref)
        if not claimants:
            del self._claimants[version.ref]
        self._beside.pop(ref, None)
        entry.link = Link()
        return {version.ref}

    def _drop_isvc(self, ref: str) -> set[str]:
        """Forget an isvc; return the version that it served."""
        entry = self._isvcs.pop(ref, None)
        self._waiting.discard(ref)
        self._connected.use(ref, "", None)
        touched = self._unlink(ref, entry) if entry is not None else set()
        self._dirty |= touched
        return touched

    def _render_version(self, ref: str, now: float) -> Normalized | None:
        """Return the document of a registered version, and settle which isvc it shows as its server."""
        self.retained.discard(ref)
        claimants = self._claimants.get(ref, set())
        for claimant in claimants:
            self._beside.pop(claimant, None)
        content = self._registries.get(Ref.parse(ref).place)
        found = self._find(ref, content) if content is not None else None
        if content is None or found is None:
            return None
        if found.artifacts is None or (not content.settled and ref in self._stored_by_ref):
            # Not read to the end yet: what an earlier run knew is worth more than a part.
            self.retained.add(ref)
            return None
        if not self._inherit(ref, found):
            self.retained.add(ref)
            return None
        if self._unshown.discard(ref):
            self._dirty |= self._waiting
        server = self._choose_server(ref, claimants)
        chosen = self._isvcs[server] if server else None
        if self._awaits_server(ref, chosen):
            self.retained.add(ref)
            return None
        if server:
            self._served_by[ref] = server
        else:
            self._served_by.pop(ref, None)
        return normalize_version(
            found.model,
            found.version,
            found.artifacts,
            registry=content.ref,
            source=content.source,
            server=self._server(server, chosen) if server and chosen else None,
            registry_isvc_name=chosen.link.record if chosen else "",
            card=self._cards.choose(content.ref, found.model, found.artifacts, stored=self._stored_by_ref.get(ref)),
            defaults=self._defaults,
        )

    def _inherit(self, ref: str, found: _Version) -> bool:
        """Let a version that is new have the entry that it had under another name of its registry, if there is one.

        Returns False while it is not known whether that registry is really gone.
        """
        self._heirs.discard(ref)
        if ref in self._stored_by_ref or ref in self._documents:
            return True
        origin = version_origin(found.model, found.version)
        former = self._adoption.candidate(ref, origin)
        free = self._ledger.may_inherit(self._stored_by_ref[former].source) if former else False
        if free is None:
            self._heirs.add(ref)
        if not free:
            return free is False
        self._adoption.take(ref, origin)
        self._stored_by_ref[ref] = self._stored_by_ref[former]
        self._documents.inherit(former, ref)
        if former in self._unconfirmed_servers:
            self._unconfirmed_servers[ref] = self._unconfirmed_servers.pop(former)
        if self._unshown.discard(former):
            self._dirty |= self._waiting
        return True

    def _find(self, ref: str, content: RegistryContent) -> _Version | None:
        """Return a version that is live, or that its registry lacks and that has not left yet."""
        model_id, version_id = Ref.parse(ref).ids
        model, version = content.snapshot.models.get(model_id), content.snapshot.versions.get(version_id)
        if model is not None and version is not None and version.registered_model_id == model_id:
            self._missed.pop(ref, None)
            if model.is_live and version.is_live:
                self._ledger.see(ref, content.source)
                return _Version(model, version, content.snapshot.artifacts.get(version_id))
            self._ledger.end(ref, ARCHIVED)
            if self._unshown.discard(ref):
                self._dirty |= self._waiting
            return None
        missed = self._missed.get(ref)
        if missed is not None and self._ledger.doubt(ref, content.source, NOT_LISTED, since=missed.missed or 0):
            return missed
        self._missed.pop(ref, None)
        return None

    def _choose_server(self, ref: str, claimants: Iterable[str]) -> str:
        """Return the isvc that a version shows as its server, empty when there is none; the others stand alone."""
        entries = {claimant: self._isvcs[claimant] for claimant in claimants}
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

    def _awaits_server(self, ref: str, chosen: _IsvcEntry | None) -> bool:
        """Return whether a version stays as it is stored, because the server stored with it was not seen yet."""
        if chosen is not None and chosen.verdict.retained:
            return True
        server = self._unconfirmed_servers.get(ref)
        if server is None:
            return False
        if chosen is None and server not in self._isvcs and self._ledger.knows(server):
            return True
        del self._unconfirmed_servers[ref]
        if "#" in server:
            self._ledger.forget(server)
        return False

    def _server(self, ref: str, entry: _IsvcEntry) -> ServerFacts | None:
        facts = entry.verdict.facts
        if facts is None:
            return None
        return server_facts(
            facts,
            services=self._services.of(ref),
            service_accounts=self._accounts.of(ref),
            runtime=self._runtime(ref, facts),
            connection=self._connected.of(ref),
        )

    def _render_isvc(self, ref: str) -> Normalized | None:
        """Return the document of an isvc that no version shows."""
        self.retained.discard(ref)
        self._waiting.discard(ref)
        entry = self._isvcs.get(ref)
        if entry is None:
            if ref in self._unusable:
                self.retained.add(ref)
            return None
        if entry.link.version is None and self._waits_for_registry(ref, entry):
            self._waiting.add(ref)
            self.retained.add(ref)
            return None
        facts = entry.verdict.facts
        if entry.verdict.retained:
            self.retained.add(ref)
        if facts is None or self._shown_with_version(ref, entry):
            return None
        return normalize_deployment(
            facts,
            cluster=Ref.parse(ref).place,
            source=entry.source,
            services=self._services.of(ref),
            service_accounts=self._accounts.of(ref),
            defaults=self._defaults,
            serve=not entry.bare,
            runtime=self._runtime(ref, facts),
            connection=self._connected.of(ref),
        )

    def _shown_with_version(self, ref: str, entry: _IsvcEntry) -> bool:
        return entry.link.version is not None and ref not in self._beside and entry.verdict.shown

    def _waits_for_registry(self, ref: str, entry: _IsvcEntry) -> bool:
        """Return whether a registry that was not read yet may well describe this isvc: it must not be shown twice."""
        return (self._awaiting_registries and names_version(entry.facts)) or self._unshown.may_be_served_by(
            ref, entry.facts
        )

    def _publish(self, rendered: Mapping[str, Normalized | None]) -> Iterator[None]:
        for ref, normalized in rendered.items():
            if normalized is None:
                self._documents.withdraw(ref)
                self._note(ref, self._other_problems(ref))
        documents = [normalized for normalized in rendered.values() if normalized is not None]
        yield from self._documents.publish(documents, self._guarded)
        for document in documents:
            self._note(document.ref, (*self._documents.problems(document), *self._other_problems(document.ref)))
        for key in self._ledger.unnamed() & self.wanted.keys():
            self._ledger.forget(key)  # the original's entry under this key is ours from now on

    def _other_problems(self, ref: str) -> tuple[Problem, ...]:
        """Return the problems of an object that are not about its document."""
        entry = self._isvcs.get(ref)
        others = (self._beside.get(ref), self._unusable.get(ref), self._faults.get(ref))
        return (*(entry.link.problems if entry else ()), *(problem for problem in others if problem is not None))

    def _note(self, ref: str, problems: tuple[Problem, ...]) -> None:
        if problems:
            self.problems[ref] = problems
        else:
            self.problems.pop(ref, None)


def _server_kind(ref: str) -> SourceKind:
    """Return what has the deployment of this reference."""
    return "llm" if ref.startswith("llmisvc:") else "kserve"
