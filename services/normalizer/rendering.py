"""Makes the documents of deployments and registered versions again, from all that is known of them. Pure.

A document belongs to a deployment, or to a registered version, which shows the deployment that serves it as its server.
A deployment that is shown with a version has no document of its own.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from typing import TypeVar

from common.problems import Problem
from services.normalizer.cards import Cards
from services.normalizer.deployments import Deployments, DeploymentState
from services.normalizer.documents import SLICE, Documents
from services.normalizer.earlier import Earlier
from services.normalizer.facts import SHARED, Ref
from services.normalizer.hidden import Why, faulty
from services.normalizer.ledger import Ledger
from services.normalizer.normalize.document import normalize_deployment, with_cluster
from services.normalizer.normalize.linking import names_version
from services.normalizer.normalize.registered_version import RegisteredVersion, readme_card, registry_source
from services.normalizer.normalize.registry import normalize_version
from services.normalizer.normalize.result import ClusterViews, Normalized
from services.normalizer.normalize.stated import card_problems
from services.normalizer.registered import Registered

T = TypeVar("T")


class Renderer:
    """Renders documents, and keeps the state of that.

    `documents` are those that should be served. `served_by` has the server of each version. `unusable` are the problems
    of objects that exist and cannot be read. `retained` are references whose stored document is kept as it is for now.
    `problems` are by reference.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        deployments: Deployments,
        registered: Registered,
        views: ClusterViews,
        cards: Cards,
        earlier: Earlier,
        dirty: set[str],
        readable_names: bool,
    ) -> None:
        """References to render again are added to `dirty`."""
        self._ledger = ledger
        self._deployments = deployments
        self._registered = registered
        self._views = views
        self._cards = cards
        self._earlier = earlier
        self._dirty = dirty
        self._faults: dict[str, Problem] = {}
        self._failures: list[tuple[str, Exception]] = []
        self._rendered: set[str] = set()
        self._made: dict[str, Normalized | None] = {}  # without names yet; None where there is no document
        self._waiting: set[str] = set()  # deployments that a registry may describe which was not read yet
        self._awaiting_registries: frozenset[str] = frozenset()  # the clusters of such registries
        self._undecided: set[str] = set()  # versions that may yet take over an entry
        self.served_by: dict[str, str] = {}
        self.documents = Documents(self.served_by, dirty, readable=readable_names)
        self.unusable: dict[str, Problem] = {}
        self.retained: set[str] = set()
        self.problems: dict[str, tuple[Problem, ...]] = {}

    def render(self, refs: Iterable[str], *, now: float) -> Iterator[None]:
        """Make the documents of `refs`, and of those tied to them, again; in slices, between which others may run."""
        yield from self.make(refs, now=now)
        yield from self._publish()

    def make(self, refs: Iterable[str], *, now: float) -> Iterator[None]:
        """Do this without giving names, which depend on all documents: the next `render` does that for all."""
        refs = set(refs)
        if not refs:
            return
        versions = {ref for ref in refs if ref.startswith("registry:") and "#" not in ref}
        deployments = {ref for ref in refs if ref.startswith(("isvc:", "llmisvc:", "openai:"))}
        for number, ref in enumerate(tuple(deployments), 1):
            versions |= self._guarded(ref, partial(self._deployments.reassess, ref, now=now)) or set()
            if number % SLICE == 0:
                yield
        for number, ref in enumerate(sorted(versions), 1):
            deployments |= set(self._deployments.claimants(ref))
            self._made[ref] = self._guarded(ref, partial(self._render_version, ref))
            if number % SLICE == 0:
                yield
        for number, ref in enumerate(sorted(deployments), 1):
            self._made[ref] = self._guarded(ref, partial(self._render_deployment, ref))
            if number % SLICE == 0:
                yield

    def take_failures(self) -> list[tuple[str, Exception]]:
        """Return the objects that could not be rendered since the last call, with the errors, for the log."""
        failures, self._failures = self._failures, []
        return failures

    def take_rendered(self) -> set[str]:
        """Return the references that were rendered since the last call, with or without a document."""
        rendered, self._rendered = self._rendered, set()
        return rendered

    def see_version(self, ref: str) -> None:
        """Record that a version is shown, or has left: deployments that waited for it may be shown now."""
        if self._earlier.unseen.discard(ref):
            self._dirty.update(self._waiting)

    def await_registries(self, clusters: frozenset[str]) -> None:
        """Set the clusters with a registry that has not been tried yet."""
        if clusters != self._awaiting_registries:
            self._awaiting_registries = clusters
            self._dirty.update(self._waiting)
        self._dirty.update(self._undecided)

    def why_hidden(self, ref: str, stored: Callable[[], Collection[str]]) -> Why | None:
        """Return why an object is not in the feed; None when it is, or when it does not exist.

        `stored` returns the references of what storage has.
        """
        if ref in self.documents or self._deployments.shown_with_version(ref):
            return None
        if ref in self.retained and ref in stored():
            return None
        if (fault := self._faults.get(ref)) is not None:
            return faulty("not-rendered", fault)
        if ref in self._waiting:
            remedy = "see the registries among the sources: one of them was not read since the start"
            return Why("waiting-for-registry", "a registry that may describe it was not read yet", remedy)
        if (problem := self.unusable.get(ref)) is not None:
            return faulty("unusable", problem)
        return self._registered.hidden(ref) if ref.startswith("registry:") else self._deployments.hidden(ref)

    def note(self, ref: str, problems: tuple[Problem, ...]) -> None:
        """Set the problems of an object."""
        if problems:
            self.problems[ref] = problems
        else:
            self.problems.pop(ref, None)

    def _guarded(self, ref: str, work: Callable[[], T]) -> T | None:
        """Return the result of `work` on a document; if it fails, the document stays as it is and others go on."""
        try:
            done = work()
        except Exception as error:
            self._failures.append((Ref.parse(ref).label, error))
            self._faults[ref] = internal_error(Ref.parse(ref), "it cannot be rendered", error)
            self.retained.add(ref)
            return None
        self._faults.pop(ref, None)
        return done

    def _render_version(self, ref: str) -> Normalized | None:
        """Return the document of a registered version, and choose the deployment that it shows as its server."""
        self.retained.discard(ref)
        self._deployments.clear_server(ref)
        registry = self._registered.registry_of(ref)
        found = self._registered.judge(ref) if registry is not None else None
        if registry is None or found is None:
            if ref in self.unusable:
                self.retained.add(ref)
            if self._ledger.departed(ref):
                self.see_version(ref)
            return None
        # A version that was not read completely yet must not replace what an earlier run knew of it.
        incomplete = found.artifacts is None or (not registry.listed and ref in self._earlier)
        if incomplete or not self._take_over(ref, found):
            self.retained.add(ref)
            return None
        self.see_version(ref)
        server = self._deployments.choose_server(ref)
        chosen = self._deployments.get(server)
        if self._awaits_server(ref, chosen):
            self.retained.add(ref)
            return None
        self._earlier.stop_awaiting(ref)
        if server:
            self.served_by[ref] = server
        else:
            self.served_by.pop(ref, None)
        stated = chosen.shown_facts.stated if chosen and chosen.shown_facts else None
        view = self._views.of(Ref.parse(server or ref), registry_source(registry.id))
        document = normalize_version(
            found,
            registry=registry,
            server=self._deployments.server(server),
            registry_isvc_name=chosen.link.record if chosen else "",
            card=self._cards.choose(
                found.card or (stated.catalog_model if stated else None),
                stored=self._earlier.get(ref),
                readme=readme_card(registry.id, found.model),
            ),
            defaults=view.defaults,
        )
        return with_cluster(view, document)

    def _take_over(self, ref: str, found: RegisteredVersion) -> bool:
        """Give a new version the entry that it had under another name of its registry, if there is one.

        Returns False while it is not known whether that registry is really gone.
        """
        self._undecided.discard(ref)
        if ref in self._earlier or ref in self.documents:
            return True
        former = self._earlier.take_over(ref, found.origin)
        if former is None:
            self._undecided.add(ref)
        elif former:
            self.documents.inherit(former, ref)
            self.see_version(former)
        return former is not None

    def _awaits_server(self, ref: str, chosen: DeploymentState | None) -> bool:
        """Return whether a version stays as it is stored, because its stored server was not seen yet."""
        if chosen is not None:
            return chosen.retained
        return self._earlier.awaits_server(ref, known=self._deployments.refs)

    def _render_deployment(self, ref: str) -> Normalized | None:
        """Return the document of a deployment that no version shows."""
        self.retained.discard(ref)
        self._waiting.discard(ref)
        entry = self._deployments.get(ref)
        if entry is None:
            if ref in self.unusable:
                self.retained.add(ref)
            return None
        if not entry.version and self._waits_for_registry(ref, entry):
            self._waiting.add(ref)
            self.retained.add(ref)
            return None
        if entry.retained:
            self.retained.add(ref)
        facts = entry.shown_facts
        if facts is None or self._deployments.shown_with_version(ref):
            return None
        view = self._views.of(Ref.parse(ref), entry.source)
        document = normalize_deployment(
            facts,
            cluster=Ref.parse(ref).place,
            source=entry.source,
            own=self._deployments.companions.of(ref, facts),
            defaults=view.defaults,
            card=self._cards.choose(facts.stated.catalog_model, stored=self._earlier.get(ref)),
        )
        return with_cluster(view, document)

    def _waits_for_registry(self, ref: str, entry: DeploymentState) -> bool:
        """Return whether a registry that was not read yet may describe a deployment, which must not be shown twice."""
        awaited = not self._awaiting_registries.isdisjoint((self._views.home(Ref.parse(ref).place), SHARED))
        return (awaited and names_version(entry.facts)) or self._earlier.unseen.may_be_served_by(ref, entry.facts)

    def _publish(self) -> Iterator[None]:
        rendered, self._made = self._made, {}
        if not rendered:
            return
        self._rendered |= rendered.keys()
        for ref, document in rendered.items():
            if document is None:
                self.documents.withdraw(ref)
                self.note(ref, self._problems_of(ref))
        documents = [document for document in rendered.values() if document is not None]
        for document in documents:
            self.documents.move_server(document.ref, self._ledger.departed)
        yield from self.documents.publish(documents, self._guarded)
        for document in documents:
            self.note(document.ref, (*self.documents.problems(document), *self._problems_of(document.ref)))
        self.take_over_unnamed()

    def take_over_unnamed(self) -> None:
        """Have the entries that the original wrote under the keys of our documents count as ours from now on."""
        for key in self._ledger.unnamed() & self.documents.wanted.keys():
            self._ledger.forget(key)

    def _problems_of(self, ref: str) -> tuple[Problem, ...]:
        """Return the problems of an object that are not about its document."""
        others = (self.unusable.get(ref), self._faults.get(ref))
        problems = (*self._deployments.problems(ref), *(each for each in others if each is not None))
        entry = self._deployments.get(ref)
        if entry is None:
            return problems
        stated = entry.facts.stated
        lacking = self._cards.lacks(stated.catalog_model)
        return (*problems, *card_problems(stated, subject=entry.facts.subject, lacking=lacking))


def internal_error(ref: Ref, fault: str, error: Exception) -> Problem:
    """Return the problem of an object that a mistake in our code keeps from being processed."""
    return Problem(
        "internal_error",
        "error",
        ref.label,
        f"{fault}: {type(error).__name__}: {error}"[:300],
        "its entry is kept as it was; please report this with the traceback in the log",
    )
