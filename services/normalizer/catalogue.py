"""What should be served, kept up to date from what the sources tell: the level that everything is compared with.

Facts come in (`put_…`), each marks the documents that may change; `render` makes those anew and nothing else. Pure:
no I/O, the clock is given. A document belongs to an InferenceService, or to a registered version, which shows the
InferenceService that serves it as its server; an isvc so shown has no document of its own.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from common import backstage
from common.identity import Allocator, Claim, Identity
from common.problems import Problem
from common.wire import Stored, Upsert
from services.normalizer.cards import Cards
from services.normalizer.contents import Card, IsvcSource, RegistryContent, registry_source
from services.normalizer.normalize.deployment import Deployment, ServiceAccountFacts, ServiceFacts, subject
from services.normalizer.normalize.kserve import normalize_deployment
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.linking import Link, RegistryIndex, link, names_version
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.result import Defaults, Normalized, described, version_ref
from services.normalizer.normalize.server import ServerFacts, server_facts
from services.normalizer.normalize.serving import ServerClaim, choose_server
from services.normalizer.owned import OwnedByIsvc
from services.normalizer.presence import Judgement, Presence


@dataclass(slots=True)
class _IsvcEntry:
    """An isvc with what was concluded of it last."""

    source: IsvcSource
    facts: Deployment
    bare: bool
    link: Link = field(default_factory=Link)
    judgement: Judgement = field(default_factory=Judgement)
    asked_for: RegistryLabels | None = None


class Catalogue:
    """The documents that should be served (`wanted`, by key), and what was noticed on the way (`problems`, by ref
    of a document, or by source).

    `certain`: references whose document ended because their source said so, not because a listing lacked them.
    `retained`: references whose stored document stays as it is for now.
    """

    def __init__(self, *, defaults: Defaults, not_ready_grace: float) -> None:
        self._defaults = defaults
        self._presence = Presence(grace=not_ready_grace)
        self._allocator = Allocator()
        self._isvcs: dict[str, _IsvcEntry] = {}
        self._services: OwnedByIsvc[ServiceFacts] = OwnedByIsvc()
        self._accounts: OwnedByIsvc[ServiceAccountFacts] = OwnedByIsvc()
        self._registries: dict[str, RegistryContent] = {}
        self._indexes: dict[str, RegistryIndex] = {}
        self._cards = Cards()
        self._claimants: defaultdict[str, set[str]] = defaultdict(set)
        self._beside: dict[str, Problem] = {}
        self._stored_by_ref: Mapping[str, Stored] = {}
        self._keys: dict[str, str] = {}
        self._dirty: set[str] = set()
        self._unusable: dict[str, Problem] = {}
        self._unknown: list[RegistryLabels] = []
        self.unread_registries: frozenset[str] = frozenset()
        self.awaiting_registries = False
        self.wanted: dict[str, Upsert] = {}
        self.problems: dict[str, tuple[Problem, ...]] = {}
        self.certain: set[str] = set()
        self.retained: set[str] = set()

    def seed(self, stored: Mapping[str, Stored]) -> None:
        """Take over, once and before anything is rendered, what an earlier run has stored, by key."""
        self._stored_by_ref = {entry.ref: entry for entry in stored.values() if entry.ref}
        self._allocator.seed(
            {
                entry.ref: Identity(
                    key=key, uri=entry.uri, model_name=entry.model_name, server_name=entry.server_name or None
                )
                for key, entry in stored.items()
                if entry.ref and entry.model_name
            }
        )

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        prefix = version_ref(registry, "", "").rstrip(":") + ":"
        return {ref.rpartition(":")[2] for ref in self._stored_by_ref if ref.startswith(prefix)}

    # --- what the sources tell

    def put_isvc(
        self, source: IsvcSource, key: tuple[str, str], facts: Deployment | None, *, explicit: bool, bare: bool = False
    ) -> None:
        """Take an isvc, or its absence; `explicit` absence was told by an event. `bare`: a manifest without status."""
        ref = source.ref(*key)
        self._unusable.pop(ref, None)
        former = self._isvcs.get(ref)
        if facts is None:
            if explicit:
                self.certain.add(ref)
            if former is not None:
                self._unlink(ref, former)
                del self._isvcs[ref]
                self._presence.forget(ref)
        elif former is None:
            self._isvcs[ref] = _IsvcEntry(source, facts, bare)
        else:
            former.facts, former.bare = facts, bare
        self._dirty.add(ref)

    def put_unusable(self, ref: str, problem: Problem) -> None:
        """Take note of an isvc that exists and cannot be read: what is stored of it stays."""
        self._unusable[ref] = problem
        self._dirty.add(ref)

    def put_service(self, source: IsvcSource, key: tuple[str, str], facts: ServiceFacts | None) -> None:
        """Take a Service, or its absence."""
        self._dirty |= self._services.put(source, key, facts)

    def put_service_account(self, source: IsvcSource, key: tuple[str, str], facts: ServiceAccountFacts | None) -> None:
        """Take a ServiceAccount, or its absence."""
        self._dirty |= self._accounts.put(source, key, facts)

    def put_registry(self, registry: str, content: RegistryContent | None, *, touched: Iterable[str] = ()) -> None:
        """Take what a registry holds now, None when it is gone; `touched` are the ids of versions that changed."""
        former = self._registries.pop(registry, None)
        if content is not None:
            self._registries[registry] = content
        everything = content is None or former is None or former.settled != content.settled
        for holds in filter(None, (former, content)):
            self._dirty.update(holds.version_refs(holds.snapshot.versions if everything else touched))
        index = content.index() if content is not None else None
        if index != self._indexes.pop(registry, None):
            self._dirty |= self._isvcs.keys()
        if index is not None:
            self._indexes[registry] = index
        self._note(registry_source(registry), content.problems if content is not None else ())

    def put_cards(self, cards: Mapping[str, str | None]) -> None:
        """Take cards of the model catalog by key; None says that there is none, what is not named stays."""
        self._cards.put(cards)

    @property
    def cards(self) -> Mapping[str, Card]:
        """The cards that documents refer to and whose text is known, by key."""
        return self._cards.shown(upsert.card_key for upsert in self.wanted.values())

    def registries_changed(self, *, unread: Iterable[str], awaiting: bool) -> None:
        """Take which registries (source ids) were never read since the start, and whether any may be soon."""
        if (frozenset(unread), awaiting) != (self.unread_registries, self.awaiting_registries):
            self.unread_registries, self.awaiting_registries = frozenset(unread), awaiting
            self._dirty |= {ref for ref, entry in self._isvcs.items() if entry.link.version is None}

    # --- what follows from it

    def take_dirty(self) -> set[str]:
        """Return the references whose documents may have to change, and start collecting anew."""
        dirty, self._dirty = self._dirty, set()
        return dirty

    def take_unknown(self) -> list[RegistryLabels]:
        """Return the labels that named a version unknown here since the last call."""
        unknown, self._unknown = self._unknown, []
        return unknown

    def render(self, refs: Iterable[str], *, now: float) -> dict[str, float]:
        """Make the documents of `refs`, and of those tied to them, anew.

        Returns when which reference must be rendered again, in the clock's seconds.
        """
        isvcs = {ref for ref in refs if ref.startswith("isvc:")}
        versions = set(refs) - isvcs
        checks: dict[str, float] = {}
        for ref in isvcs:
            versions |= self._conclude(ref, now, checks)
        rendered: dict[str, Normalized | None] = {}
        for ref in sorted(versions):
            isvcs |= self._claimants.get(ref, set())
            rendered[ref] = self._render_version(ref)
        for ref in sorted(isvcs):
            rendered[ref] = self._render_isvc(ref)
        self._publish(rendered)
        return checks

    def _conclude(self, ref: str, now: float, checks: dict[str, float]) -> set[str]:
        """Decide anew whether an isvc is shown and which version it serves; return the versions touched."""
        entry = self._isvcs.get(ref)
        if entry is None:
            return set()
        touched = {entry.link.version.ref} if entry.link.version else set()
        self._unlink(ref, entry)
        entry.link = link(entry.facts, tuple(self._indexes.values()))
        if entry.link.version:
            self._claimants[entry.link.version.ref].add(ref)
            touched.add(entry.link.version.ref)
        self._note_unknown(entry)
        entry.judgement = self._judge(ref, entry, now)
        if entry.judgement.until is not None:
            checks[ref] = entry.judgement.until
        return touched

    def _note_unknown(self, entry: _IsvcEntry) -> None:
        labels = entry.facts.registry
        if entry.link.version is None and labels and labels.model and labels.version and labels != entry.asked_for:
            entry.asked_for = labels
            self._unknown.append(labels)

    def _judge(self, ref: str, entry: _IsvcEntry, now: float) -> Judgement:
        if entry.bare:
            return Judgement(entry.facts)
        version = self._stored_by_ref.get(entry.link.version.ref) if entry.link.version else None
        shown_before = ref in self._stored_by_ref or bool(version and version.server_name)
        return self._presence.judge(ref, entry.facts, now=now, shown_before=shown_before)

    def _unlink(self, ref: str, entry: _IsvcEntry) -> None:
        version = entry.link.version
        if version is None:
            return
        claimants = self._claimants[version.ref]
        claimants.discard(ref)
        if not claimants:
            del self._claimants[version.ref]
        self._dirty.add(version.ref)
        self._beside.pop(ref, None)
        entry.link = Link()

    def _render_version(self, ref: str) -> Normalized | None:
        """Return the document of a registered version, and settle which isvc it shows as its server."""
        self.retained.discard(ref)
        claimants = self._claimants.get(ref, set())
        for claimant in claimants:
            self._beside.pop(claimant, None)
        content, model_id, version_id = self._locate(ref)
        found = content.find(model_id, version_id) if content else None
        if content is None or found is None:
            return None
        model, version = found
        artifacts = content.snapshot.artifacts.get(version.id)
        if artifacts is None or (not content.settled and ref in self._stored_by_ref):
            # Not read to the end yet: what an earlier run knew is worth more than a part.
            self.retained.add(ref)
            return None
        entries = {claimant: self._isvcs[claimant] for claimant in claimants}
        choice = choose_server(
            ServerClaim(
                ref=claimant,
                subject=subject(entry.facts.namespace, entry.facts.name),
                created=entry.facts.created,
                ready=entry.facts.readiness.ready,
                certain=entry.link.certain,
            )
            for claimant, entry in entries.items()
            if entry.judgement.facts or entry.judgement.retained
        )
        self._beside.update(zip(choice.others, choice.problems, strict=True))
        chosen = entries[choice.server] if choice.server else None
        if chosen is not None and chosen.judgement.retained:
            self.retained.add(ref)
            return None
        return normalize_version(
            model,
            version,
            artifacts,
            registry=content.ref,
            source=content.source,
            server=self._server(choice.server, chosen) if choice.server and chosen else None,
            registry_isvc_name=chosen.link.record if chosen else "",
            card=self._cards.choose(content.ref, model, artifacts, stored=self._stored_by_ref.get(ref)),
            defaults=self._defaults,
        )

    def _locate(self, ref: str) -> tuple[RegistryContent | None, str, str]:
        """Return the registry that a version's reference names, with the ids of model and version."""
        registry, model_id, version_id = ref.removeprefix("registry:").rsplit(":", 2)
        return self._registries.get(registry), model_id, version_id

    def _server(self, ref: str, entry: _IsvcEntry) -> ServerFacts | None:
        facts = entry.judgement.facts
        if facts is None:
            return None
        return server_facts(facts, services=self._services.of(ref), service_accounts=self._accounts.of(ref))

    def _render_isvc(self, ref: str) -> Normalized | None:
        """Return the document of an isvc that no version shows."""
        self.retained.discard(ref)
        entry = self._isvcs.get(ref)
        if entry is None:
            if ref in self._unusable:
                self.retained.add(ref)
            return None
        self.certain.discard(ref)
        linked = entry.link.version is not None and ref not in self._beside
        facts = entry.judgement.facts
        if entry.judgement.retained or (entry.link.version is None and self._waits_for_registry(entry)):
            self.retained.add(ref)
            return None
        if linked or facts is None:
            self.certain.add(ref)
            return None
        return normalize_deployment(
            facts,
            cluster=entry.source.cluster,
            source=entry.source.id,
            services=self._services.of(ref),
            service_accounts=self._accounts.of(ref),
            defaults=self._defaults,
            serve=not entry.bare,
        )

    def _waits_for_registry(self, entry: _IsvcEntry) -> bool:
        """Tell whether a registry that was not read yet may well describe this isvc: it must not be shown twice."""
        if not self.unread_registries:
            return False
        labels = entry.facts.registry
        named = names_version(entry.facts)
        if named and self.awaiting_registries:
            return True
        name = backstage.sanitize(entry.facts.name)
        return any(
            stored.source in self.unread_registries
            and stored.server_name
            and ((labels is not None and ref.endswith(f":{labels.version}")) or stored.server_name.startswith(name))
            for ref, stored in self._stored_by_ref.items()
        )

    def _publish(self, rendered: Mapping[str, Normalized | None]) -> None:
        for ref, normalized in rendered.items():
            if normalized is None:
                self._withdraw(ref)
        documents = [normalized for normalized in rendered.values() if normalized is not None]
        identities = self._allocator.assign(map(_claim, documents))
        for normalized in documents:
            former = self._keys.pop(normalized.ref, None)
            if former is not None:
                del self.wanted[former]
        for normalized in documents:
            identity = identities[normalized.ref]
            self._keys[normalized.ref] = identity.key
            self.wanted[identity.key] = _upsert(normalized, identity)
            renamed = _renamed(normalized, identity)
            self._note(normalized.ref, (*normalized.problems, *renamed, *self._other_problems(normalized.ref)))
            self.certain.discard(normalized.ref)

    def _withdraw(self, ref: str) -> None:
        key = self._keys.pop(ref, None)
        if key is not None:
            del self.wanted[key]
        if ref not in self.retained:
            self._allocator.release(ref)
        self._note(ref, self._other_problems(ref))

    def _other_problems(self, ref: str) -> tuple[Problem, ...]:
        """Return the problems of an isvc that are not about its document."""
        entry = self._isvcs.get(ref)
        others = (self._beside.get(ref), self._unusable.get(ref))
        return (*(entry.link.problems if entry else ()), *(problem for problem in others if problem is not None))

    def _note(self, ref: str, problems: tuple[Problem, ...]) -> None:
        if problems:
            self.problems[ref] = problems
        else:
            self.problems.pop(ref, None)


def _claim(normalized: Normalized) -> Claim:
    document = normalized.document
    return Claim(
        ref=normalized.ref,
        segments=normalized.segments,
        model_name=document.models[0].name,
        server_name=document.model_server.name if document.model_server else None,
        created=normalized.created,
    )


def _renamed(normalized: Normalized, identity: Identity) -> tuple[Problem, ...]:
    """Return the problem of a document whose name is another's."""
    wanted = normalized.document.models[0].name
    if identity.model_name == wanted:
        return ()
    return (
        Problem(
            "info",
            described(normalized.ref),
            f"another model is called {wanted} already: this one is shown as {identity.model_name}",
            "give one of the two another name to have it shown under its plain one",
        ),
    )


def _upsert(normalized: Normalized, identity: Identity) -> Upsert:
    return Upsert(
        key=identity.key,
        body=normalized.document.named(identity.model_name, identity.server_name).encode(),
        reconciler=normalized.reconciler,
        uri=identity.uri,
        source=normalized.source,
        ref=normalized.ref,
        updated=normalized.updated,
        model_name=identity.model_name,
        server_name=identity.server_name or "",
        card_key=normalized.card_key,
        details=normalized.details.encode(),
    )
