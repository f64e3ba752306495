"""What should be served, kept up to date from what the sources tell: the level that everything is compared with.

Facts come in (`put_…`), each marks the documents that may change; `render` makes those again and nothing else. Pure:
no I/O, the clock is given. A document belongs to an InferenceService, or to a registered version, which shows the
InferenceService that serves it as its server; an isvc so shown has no document of its own. What a source no longer
shows stays here, as it was, until the ledger lets it go.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import Final, TypeVar

from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.cards import Card, Cards
from services.normalizer.deployments import Deployments, Entry
from services.normalizer.documents import SLICE, Documents
from services.normalizer.earlier import Adoption, Unshown
from services.normalizer.facts import LOCAL, MANIFESTS, Gone, Missing, Ref, Unusable, cluster_of, cluster_of_id
from services.normalizer.hidden import Why, faulty
from services.normalizer.ledger import Ledger, Patience
from services.normalizer.normalize.cards import CatalogModel, readme_card
from services.normalizer.normalize.deployment import Deployment, Fact
from services.normalizer.normalize.document import within
from services.normalizer.normalize.kserve import normalize_deployment
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.linking import names_version
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry, registry_source
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.registry_objects import version_origin
from services.normalizer.normalize.result import Defaults, Normalized, Place
from services.normalizer.normalize.stated import card_problems
from services.normalizer.places import SHARED, Places
from services.normalizer.registered import Registered
from services.normalizer.sourcebook import SourceBook, SourceKind, cluster_source

T = TypeVar("T")

RENAMED: Final = "renamed"
"""Its new form is stored under another key."""
SHOWN_WITH_VERSION: Final = "shown-with-version"
"""The registered version that the InferenceService serves shows it as its server."""


class Desired:
    """What should be served (`wanted`, by key), and what was noticed on the way (`problems`, by ref or source).

    `retained`: references whose stored document stays as it is for now.
    """

    def __init__(self, *, defaults: Defaults, ledger: Ledger | None = None) -> None:
        self._ledger = ledger or Ledger(Patience(), SourceBook(first_sync_grace=0))
        self._deployments = Deployments(self._ledger)
        self._places = Places(defaults)
        self._registered = Registered(self._ledger, self._places)
        self._cards = Cards()
        self._served_by: dict[str, str] = {}
        self._documents = Documents(self._served_by, readable=defaults.readable_names)
        self._stored_by_ref: dict[str, Stored] = {}
        self._adoption = Adoption({})
        self._heirs: set[str] = set()
        self._unshown = Unshown({}, self._places)
        self._waiting: set[str] = set()
        self._unconfirmed_servers: dict[str, str] = {}
        self._faults: dict[str, Problem] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._dirty: set[str] = set()
        self._rendered: set[str] = set()
        self._left: set[str] = set()
        self._awaiting_registries: frozenset[str] = frozenset()
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
        self._unshown = Unshown(self._stored_by_ref, self._places)
        self._adoption = Adoption(self._stored_by_ref)
        self.adopt(stored, now=now)
        for ref, entry in self._stored_by_ref.items():
            if ref.startswith("registry:") and entry.server_name:
                server = entry.server_ref or f"{ref}#server"
                self._unconfirmed_servers[ref] = server
                self._expect(server, now)

    def _expect(self, server: str, now: float) -> None:
        """Have the ledger expect a server that was stored with its version."""
        kind = _server_kind(server)
        self._ledger.expect(server, kind, source=_server_source(server, kind), now=now)

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
        if version := self._deployments.shown_with_version(ref):
            return SHOWN_WITH_VERSION if self._documents.is_stored(version, stored) else ""
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
        if ref.kind == "registry":
            self._put_registered(ref, fact, now)
            return
        self._dirty |= self._deployments.put(source, ref, fact, now=now)
        if isinstance(fact, Gone):  # a version may have been waiting for it since the start
            self._dirty |= {version for version, server in self._unconfirmed_servers.items() if server == str(ref)}

    def _put_registered(self, ref: Ref, fact: Fact | Gone | Missing | Unusable, now: float) -> None:
        """Take what a registry says of itself, or of a version."""
        if isinstance(fact, Registry):
            if self._registered.put_registry(fact):
                self._dirty |= self._registered.refs(fact.id)
                self._dirty.update(self._unshown.of(fact.id))
            self._note(str(ref), fact.problems)
        elif isinstance(fact, RegisteredVersion | Gone | Missing | Unusable):
            self._registered.put(ref, fact, now=now)
            self._dirty.add(str(ref))

    def put_place(self, cluster: str, place: Place) -> None:
        """Take how the entries of a cluster are shown."""
        self._left.discard(cluster)
        if self._places.put(cluster, place):
            self._dirty |= {ref for ref in self._deployments.refs if Ref.parse(ref).place == cluster}
            self._dirty |= {str(each.ref) for each in self._registered.versions() if cluster_of(each.ref) == cluster}

    def close(self, source: str, *, now: float) -> None:
        """Take that a source is followed no longer: nothing shows its deployments."""
        self._dirty |= self._deployments.close(source, now=now)

    def leave(self, cluster: str) -> None:
        """Take that a cluster is followed no longer: what is known of it goes with the last of its entries."""
        self._left.add(cluster)
        self._cards.release(cluster)

    def known(self, source: str, kind: SourceKind) -> set[Ref]:
        """Return what a source has told that was not taken back."""
        if kind == "registry":
            return self._registered.known(source.partition(":")[2])
        return self._deployments.known(source, cluster_of_id(source) if kind == "kserve" else "")

    def put_cards(self, cards: Mapping[str, str | None], *, cluster: str = LOCAL) -> None:
        """Take cards of a cluster's model catalogs by key; None says that there is none, what is not named stays."""
        self._cards.put(cards, cluster=cluster)
        self._dirty |= self._deployments.documented_by(cards) | self._registered.documented_by(cards)

    def forget_cards(self, keys: Collection[str], *, cluster: str = LOCAL) -> None:
        """Drop cards that nothing in a cluster refers to any more; one that a document still shows stays with it."""
        self._cards.forget(keys, cluster=cluster)

    @property
    def catalog_models(self) -> Mapping[str, frozenset[CatalogModel]]:
        """The models of the model catalog whose cards deployments name without any registry, by cluster."""
        return self._deployments.catalog_models(self._places)

    @property
    def cards(self) -> Mapping[str, Card]:
        """The cards that documents refer to and whose text is known, by key."""
        return self._cards.shown(upsert.card_key for upsert in self.wanted.values())

    def await_registries(self, awaiting: frozenset[str]) -> None:
        """Take which clusters have a registry that was never tried and may soon tell more."""
        if awaiting != self._awaiting_registries:
            self._awaiting_registries = awaiting
            self._dirty |= self._waiting
        self._dirty |= self._heirs

    # --- what the ledger says

    def release(self, refs: Iterable[str]) -> None:
        """Let go what the ledger let go."""
        for ref in refs:
            self._dirty |= {ref, *self._deployments.claimants(ref)}
            self._deployments.withdraw(ref)
            self._registered.withdraw(ref)
            if self._unshown.discard(ref):
                self._dirty |= self._waiting
        if refs:
            self._dirty |= self._unconfirmed_servers.keys()
        for registry in self._registered.over():
            self._dirty |= self._registered.drop(registry) | set(self._unshown.of(registry))
            self._note(str(Ref.registry(registry)), ())
        for cluster in [each for each in self._left if not self._deployments.has_cluster(each)]:
            self._dirty |= self._deployments.forget(cluster)
            self._left.remove(cluster)

    # --- what follows from it

    def take_dirty(self) -> set[str]:
        """Return the references whose documents may have to change, and start collecting again."""
        if self._registered.take_relinked():
            self._dirty |= self._deployments.refs
        dirty, self._dirty = self._dirty, set()
        return dirty

    def take_unknown(self) -> list[tuple[str, RegistryLabels]]:
        """Return the labels that named a version unknown here since the last call, with the cluster to look in."""
        return [(self._places.home(cluster), labels) for cluster, labels in self._deployments.take_unknown()]

    def take_failures(self) -> list[tuple[str, Exception]]:
        """Return what went wrong in rendering which object since the last call; for the log."""
        failures, self._failures = self._failures, []
        return failures

    def take_rendered(self) -> set[str]:
        """Return the references of what was rendered, or was not to be, since the last call."""
        rendered, self._rendered = self._rendered, set()
        return rendered

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

    def why_hidden(self, ref: str, stored: Collection[str]) -> Why | None:
        """Return why nothing of an object is in the feed; None when something is, or there is no such object.

        `stored` are the references of what storage has.
        """
        if ref in self._documents or self._deployments.shown_with_version(ref):
            return None
        if ref in self.retained and ref in stored:
            return None
        if (fault := self._faults.get(ref)) is not None:
            return faulty("not-rendered", fault)
        if ref in self._waiting:
            remedy = "see the registries among the sources: one of them was not read since the start"
            return Why("waiting-for-registry", "a registry that may describe it was not read yet", remedy)
        return self._registered.hidden(ref) if ref.startswith("registry:") else self._deployments.hidden(ref)

    def render(self, refs: Iterable[str], *, now: float) -> None:
        """Make the documents of `refs`, and of those tied to them, again."""
        for _ in self.rendering(refs, now=now):
            pass

    def rendering(self, refs: Iterable[str], *, now: float) -> Iterator[None]:
        """Render as `render` does, in slices: pauses are possible between them."""
        refs = set(refs)
        versions = {ref for ref in refs if ref.startswith("registry:") and "#" not in ref}
        isvcs = {ref for ref in refs if ref.startswith(("isvc:", "llmisvc:", "openai:"))}
        unready = partial(self._attribute_server, now=now)
        for number, ref in enumerate(tuple(isvcs), 1):
            reassess = partial(self._deployments.reassess, ref, self._registered, unready, now=now)
            versions |= self._guarded(ref, reassess) or set()
            if number % SLICE == 0:
                yield
        rendered: dict[str, Normalized | None] = {}
        for number, ref in enumerate(sorted(versions), 1):
            isvcs |= set(self._deployments.claimants(ref))
            rendered[ref] = self._guarded(ref, partial(self._render_version, ref))
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
                "internal_error",
                "error",
                Ref.parse(ref).label,
                f"it cannot be rendered: {type(error).__name__}: {error}"[:300],
                "its entry is kept as it was; please report this with the traceback in the log",
            )
            self.retained.add(ref)
            return None
        self._faults.pop(ref, None)
        return done

    def _attribute_server(self, ref: str, version: str, now: float) -> None:
        """Take a deployment for the server that was stored with its version, where it is not said which that was."""
        unnamed = f"{version}#server"
        if self._unconfirmed_servers.get(version) == unnamed and self._ledger.knows(unnamed):
            self._ledger.forget(unnamed)
            self._expect(ref, now)
            self._unconfirmed_servers[version] = ref

    def _render_version(self, ref: str) -> Normalized | None:
        """Return the document of a registered version, and settle which isvc it shows as its server."""
        self.retained.discard(ref)
        self._deployments.clear_server(ref)
        registry = self._registered.registry_of(ref)
        found = self._registered.find(ref) if registry is not None else None
        if registry is None or found is None:
            if self._registered.is_unusable(ref):
                self.retained.add(ref)
            if self._ledger.departed(ref) and self._unshown.discard(ref):
                self._dirty |= self._waiting
            return None
        if found.artifacts is None or (not registry.listed and ref in self._stored_by_ref):
            # Not read to the end yet: what an earlier run knew is worth more than a part.
            self.retained.add(ref)
            return None
        if not self._inherit(ref, found):
            self.retained.add(ref)
            return None
        if self._unshown.discard(ref):
            self._dirty |= self._waiting
        server = self._deployments.choose_server(ref)
        chosen = self._deployments.get(server)
        if self._awaits_server(ref, chosen):
            self.retained.add(ref)
            return None
        if server:
            self._served_by[ref] = server
        else:
            self._served_by.pop(ref, None)
        stated = chosen.verdict.facts.stated if chosen and chosen.verdict.facts else None
        place = self._places.of(Ref.parse(server or ref), registry_source(registry.id))
        return within(
            place,
            normalize_version(
                found,
                registry=registry,
                server=self._deployments.server(server),
                registry_isvc_name=chosen.link.record if chosen else "",
                card=self._cards.choose(
                    found.card or (stated.catalog_model if stated else None),
                    stored=self._stored_by_ref.get(ref),
                    readme=readme_card(registry.id, found.model),
                ),
                defaults=place.defaults,
            ),
        )

    def _inherit(self, ref: str, found: RegisteredVersion) -> bool:
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

    def _awaits_server(self, ref: str, chosen: Entry | None) -> bool:
        """Return whether a version stays as it is stored, because the server stored with it was not seen yet."""
        if chosen is not None and chosen.verdict.retained:
            return True
        server = self._unconfirmed_servers.get(ref)
        if server is None:
            return False
        if chosen is None and server not in self._deployments.refs and self._ledger.knows(server):
            return True
        del self._unconfirmed_servers[ref]
        if "#" in server:
            self._ledger.forget(server)
        return False

    def _render_isvc(self, ref: str) -> Normalized | None:
        """Return the document of an isvc that no version shows."""
        self.retained.discard(ref)
        self._waiting.discard(ref)
        entry = self._deployments.get(ref)
        if entry is None:
            if self._deployments.is_unusable(ref):
                self.retained.add(ref)
            return None
        if not entry.version and self._waits_for_registry(ref, entry):
            self._waiting.add(ref)
            self.retained.add(ref)
            return None
        facts = entry.verdict.facts
        if entry.verdict.retained:
            self.retained.add(ref)
        if facts is None or self._deployments.shown_with_version(ref):
            return None
        place = self._places.of(Ref.parse(ref), entry.source)
        own = self._deployments.belongings(ref, facts)
        return within(
            place,
            normalize_deployment(
                facts,
                cluster=Ref.parse(ref).place,
                source=entry.source,
                services=own.services,
                service_accounts=own.service_accounts,
                defaults=place.defaults,
                serve=not entry.planned,
                runtime=own.runtime,
                connection=own.connection,
                card=self._cards.choose(facts.stated.catalog_model, stored=self._stored_by_ref.get(ref)),
            ),
        )

    def _waits_for_registry(self, ref: str, entry: Entry) -> bool:
        """Return whether a registry that was not read yet may well describe this isvc: it must not be shown twice."""
        awaited = not self._awaiting_registries.isdisjoint((self._places.home(Ref.parse(ref).place), SHARED))
        return (awaited and names_version(entry.facts)) or self._unshown.may_be_served_by(ref, entry.facts)

    def _publish(self, rendered: Mapping[str, Normalized | None]) -> Iterator[None]:
        self._rendered |= rendered.keys()
        for ref, normalized in rendered.items():
            if normalized is None:
                self._documents.withdraw(ref)
                self._note(ref, self._other_problems(ref))
        documents = [normalized for normalized in rendered.values() if normalized is not None]
        yield from self._documents.publish(documents, self._guarded)
        self._dirty |= self._documents.retitled
        self._documents.retitled.clear()
        for document in documents:
            self._note(document.ref, (*self._documents.problems(document), *self._other_problems(document.ref)))
        for key in self._ledger.unnamed() & self.wanted.keys():
            self._ledger.forget(key)  # the original's entry under this key is ours from now on

    def _other_problems(self, ref: str) -> tuple[Problem, ...]:
        """Return the problems of an object that are not about its document."""
        fault, entry = self._faults.get(ref), self._deployments.get(ref)
        return (
            *self._deployments.problems(ref),
            *(self._registered.problems(ref) if ref.startswith("registry:") else ()),
            *((fault,) if fault else ()),
            *(self._card_problems(entry.facts) if entry else ()),
        )

    def _card_problems(self, facts: Deployment) -> tuple[Problem, ...]:
        lacking = self._cards.lacks(facts.stated.catalog_model)
        return card_problems(facts.stated, subject=facts.subject, lacking=lacking)

    def _note(self, ref: str, problems: tuple[Problem, ...]) -> None:
        if problems:
            self.problems[ref] = problems
        else:
            self.problems.pop(ref, None)


def _server_source(ref: str, kind: SourceKind) -> str:
    """Return the source of a deployment in another cluster, empty for the own one: it may have been the original's."""
    cluster = LOCAL if "#" in ref else Ref.parse(ref).place
    return "" if cluster in (LOCAL, MANIFESTS) else cluster_source(kind, cluster)


def _server_kind(ref: str) -> SourceKind:
    """Return what has the deployment of this reference."""
    return "llm" if ref.startswith("llmisvc:") else "kserve"
