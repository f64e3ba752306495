"""Where everything arrives that sources tell: facts for what is desired, how they fare for the book and `/readyz`.

Everything here is called by sources, synchronously and at any time; nothing here waits for storage.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

import structlog

from common.faults import Fault
from common.kube.state import State
from common.problems import Problem
from services.normalizer.context import SYNC, Context
from services.normalizer.facts import LOCAL, Gone, Missing, Ref, Unusable, cluster_of_id, in_cluster
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.result import Place
from services.normalizer.places import SHARED
from services.normalizer.source import Hearer, News, Sink, Source
from services.normalizer.sourcebook import OF_CLUSTERS, OPTIONAL, OPTIONAL_PARTS

log = structlog.get_logger("sink")

SLOW = 10.0
"""Seconds after which a source that has said nothing is no longer believed to answer soon."""


class Intake:
    """Gives each source its sink; `sources` are those that were opened, by id."""

    def __init__(self, context: Context) -> None:
        self._desired = context.desired
        self._book = context.book
        self._ledger = context.ledger
        self._queue = context.queue
        self._health = context.health
        self._telemetry = context.telemetry
        self._clock = context.clock
        self._news = asyncio.Event()
        self._begun = asyncio.Event()
        self._ask: dict[str, Callable[[RegistryLabels], None]] = {}
        self._ask_for_cards: dict[str, Callable[[frozenset[CatalogModel]], None]] = {}
        self._cards_named: Mapping[str, frozenset[CatalogModel]] = {}
        self._cluster_names: dict[str, str] = {}
        self._conditions: defaultdict[str, set[str]] = defaultdict(set)
        self._problems: Mapping[str, tuple[Problem, ...]] = {}
        self.sources: dict[str, Source] = {}

    # --- of sources of deployments

    def follow(self, source: Source) -> Callable[[], Coroutine[Any, Any, None]]:
        """Return what must run to follow a source."""
        return partial(source.run, self.open(source))

    def open(self, source: Source) -> Sink:
        """Return the sink of a source; from now on it is waited for."""
        self._book.declare(source.id, source.kind, namespaces=source.namespaces)
        self._tell(source.id, False, "it is being read for the first time", stale=True)
        self.sources[source.id] = source
        if isinstance(source, Hearer):
            source.hear(self._problems)
        self._looked()
        if source.kind != "registry":  # a first look at ten thousand models takes longer
            asyncio.get_running_loop().call_later(SLOW, self._slow, source)
        return _SinkOf(source, self, known=self._desired.known(source.id, source.kind))

    def _slow(self, source: Source) -> None:
        """Count a source that has not said anything by now as one that cannot be read, until it says something."""
        if self.sources.get(source.id) is source and self._book.is_untried(source.id):
            reason = f"no answer for {SLOW:g} s: it is slow, hangs, or is cut off; it is asked further"
            self._tell(source.id, False, reason, stale=True)
            self._book.failed(source.id, reason=reason)
            self._progress()

    def tell_problems(self, problems: Mapping[str, tuple[Problem, ...]]) -> None:
        """Have sources that can tell the owners of objects do so."""
        self._problems = problems
        for source in self.sources.values():
            if isinstance(source, Hearer):
                source.hear(problems)

    def changed(self, source: str, news: News) -> None:
        """A source has news of objects."""
        now = self._clock()
        for ref, fact in news.items():
            try:
                self._desired.put(source, ref, fact, now=now)
            except Exception as error:  # whatever is wrong with one object, the others go on
                log.exception("object_not_processed", object=ref.label)
                self._desired.put(source, ref, Unusable(_untaken(ref, error)), now=now)
        if self._book.last_look(source) is not None:
            self._telemetry.event_received(str(ref) for ref in news if ref.is_deployment)
        self._wake()

    def listed(self, source: str, *, lacking: Fault | None = None) -> None:
        """A look at a source was complete, but for what is `lacking` of single objects."""
        self._book.listed(source, now=self._clock())
        self._tell(source, lacking is None, str(lacking or ""), stale=lacking is not None)
        self._looked()

    def state(self, source: str, state: State, *, part: str = "", partly: bool = False) -> None:
        """A source, or what belongs to it, cannot be read or can again."""
        kind = self.sources[source].kind
        reason = "" if state.ok else str(state)
        optional = part in OPTIONAL_PARTS or kind in OPTIONAL
        unneeded = optional and state.kind in ("absent", "forbidden")
        ok, told = state.ok or unneeded, f"not followed, {reason}" if unneeded else reason
        # A server without an address is nothing to wait for, and nothing that anyone has to change.
        self._tell(source, ok or state.kind == "no-address", told, part=part, stale=None if part else not ok)
        if not part and state.ok:
            self._book.recovered(source)
        elif not part:
            nowhere = state.kind == "no-address" or (state.kind == "absent" and kind in OF_CLUSTERS)
            self._book.failed(source, waiting=not (nowhere or partly or unneeded), reason=reason)
        self._looked()

    def close(self, source: str, *, proven: bool = False) -> None:
        """There is no such source any more; its entries stay for a grace.

        `proven`: that is known, though it is not known of every other whether it is there.
        """
        self.sources.pop(source, None)
        self._book.withdraw(source, proven=proven)
        self._ledger.withdraw(source)
        self._looked()

    # --- of clusters

    def cluster_awaited(self, cluster: str, reason: str = "") -> None:
        """A cluster is configured and cannot be followed yet: it may be the one that any entry comes from."""
        source = _awaited(cluster)
        self._book.declare(source, "cluster")
        if reason:
            self._book.failed(source, reason=reason)
        self._health.set(source, False, reason or "not looked at yet")
        self._telemetry.source(source, stale=True)
        self._progress()

    def cluster_known(self, cluster: str) -> None:
        """What `cluster_awaited` said of a cluster no longer holds."""
        self._book.withdraw(_awaited(cluster))
        self._forget(_awaited(cluster))
        self._progress()

    def cluster_followed(self, cluster: str, place: Place) -> None:
        """A cluster is followed from now on; its registries are looked for."""
        self._cluster_names[cluster] = place.name
        self._desired.put_place(cluster, place)
        self._book.discovering(complete=False, cluster=cluster)
        self._wake()

    def cluster_stopped(self, cluster: str, sources: Collection[str]) -> None:
        """A cluster with these sources of deployments is not followed now; whether it will be again, is said next."""
        for source in (*sources, *self._book.registries_of(cluster)):
            self.sources.pop(source, None)
            self._book.withdraw(source)
            self._ledger.withdraw(source)
        for source in [
            each for each in self._conditions if cluster_of_id(each) == cluster and each not in self.sources
        ]:
            for condition in self._conditions.pop(source):
                self._forget(condition)
        self._ask.pop(cluster, None)
        self._ask_for_cards.pop(cluster, None)
        self._book.discovering(complete=False, cluster=cluster)
        self._looked()

    def sources_left(self, sources: Iterable[str]) -> None:
        """Nothing will follow these sources of deployments any more: their entries stay for SOURCE_GONE_GRACE."""
        for source in sources:
            self._desired.close(source, now=self._clock())
        self._wake()
        self._progress()

    def cluster_left(self, cluster: str) -> None:
        """A cluster is configured no longer."""
        self._book.leave(cluster)
        self._desired.remove_cluster(cluster)
        self._progress()

    # --- of registries

    def unread(self, registry: str, *, reason: str) -> None:
        """There is a registry that has entries and is not read, until somebody has it trusted."""
        self._book.declare(registry, "registry")
        self._book.failed(registry, waiting=False, reason=reason)
        self._looked()

    def cards_read(self, cards: Mapping[str, str | None], *, cluster: str = LOCAL) -> None:
        """Model cards of a cluster's catalogs were read; they are given by key, None where there is none."""
        self._desired.put_cards(cards, cluster=cluster)
        self._wake()

    def cards_forgotten(self, keys: Collection[str], *, cluster: str = LOCAL) -> None:
        """Nothing in a cluster refers to these model cards any more."""
        self._desired.forget_cards(keys, cluster=cluster)

    def discovering(
        self,
        *,
        complete: bool,
        waiting: bool = True,
        refused: bool = False,
        ok: bool | None = None,
        reason: str = "",
        cluster: str = LOCAL,
    ) -> None:
        """Registries of a cluster are looked for; `complete`: everywhere where they may be.

        `waiting`: what is not complete may soon be. `refused`: no more is missing than what may not be read. `ok`:
        nobody has to act, which completeness implies.
        """
        self._book.discovering(complete=complete, waiting=waiting, refused=refused, reason=reason, cluster=cluster)
        self._tell(in_cluster("discovery", cluster), complete if ok is None else ok, reason)
        self._looked()

    def remote_state(self, source: str, *, ok: bool, reason: str, stale: bool | None = None) -> None:
        """A registry or a model catalog cannot be read, or can again; `ok`: nobody has to act.

        `stale`: what it has may be another by now, which counts as not `ok` unless said otherwise.
        """
        self._tell(source, ok, reason, stale=not ok if stale is None else stale)

    def remote_untrusted(self, source: str, *, reason: str, remedy: str) -> None:
        """There is a registry or a model catalog that is not read."""
        self._book.ignore(source, reason=reason, remedy=remedy)
        self._tell(source, True, f"untrusted: {reason}; {remedy}", stale=False)

    def remote_gone(self, source: str) -> None:
        """A registry or a model catalog is no longer there, or no longer one that is not read."""
        self._book.ignore_no_longer(source)
        self._forget(self.condition(source))

    def setting_state(self, variable: str, *, ok: bool, reason: str) -> None:
        """What a variable says fits the world, or not."""
        self._health.set(variable, ok, reason)

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        return self._desired.known_versions(registry)

    def ask_for_unknown_versions(self, ask: Callable[[RegistryLabels], None], *, cluster: str = LOCAL) -> None:
        """Call `ask` for each deployment of a cluster that names a version which no registry is known to have."""
        self._ask[cluster] = ask

    def ask_for_cards(self, ask: Callable[[frozenset[CatalogModel]], None], *, cluster: str = LOCAL) -> None:
        """Call `ask` with all models of a cluster's catalogs whose cards deployments name, whenever these change."""
        self._ask_for_cards[cluster] = ask
        if named := self._cards_named.get(cluster):
            ask(named)

    # --- of the controller

    def begin(self) -> None:
        """What an earlier run has stored is known."""
        self._begun.set()

    async def begun(self) -> None:
        """Wait until what an earlier run has stored is known."""
        await self._begun.wait()

    async def settled(self) -> None:
        """Wait until every source has been tried once."""
        while not self._book.all_tried:
            self._news.clear()
            await self._news.wait()

    def ask(self, cluster: str, labels: RegistryLabels) -> None:
        """Have a version looked up that no registry of a cluster is known to have."""
        for place in (cluster, SHARED):
            if (ask := self._ask.get(place)) is not None:
                ask(labels)

    def name_cards(self, models: Mapping[str, frozenset[CatalogModel]]) -> None:
        """Take which models of the catalogs of which cluster deployments name now, so that their cards are read."""
        former, self._cards_named = self._cards_named, models
        for cluster, ask in self._ask_for_cards.items():
            if (named := models.get(cluster, frozenset())) != former.get(cluster, frozenset()):
                ask(named)

    def _tell(self, source: str, ok: bool, reason: str = "", *, part: str = "", stale: bool | None = None) -> None:
        """Set the condition of a source, or of a part of it, and the metric of that name: None where it has none."""
        condition = self.condition(source) + (f"/{part}" if part else "")
        self._conditions[source].add(condition)
        self._health.set(condition, ok, reason)
        if stale is not None:
            self._telemetry.source(condition, stale=stale)

    def _forget(self, condition: str) -> None:
        self._health.remove(condition)
        self._telemetry.source_gone(condition)

    def condition(self, source: str) -> str:
        """Return the name of a source's condition, which says the name of its cluster."""
        cluster = cluster_of_id(source)
        name = self._cluster_names.get(cluster, "")
        return in_cluster(source.removesuffix(in_cluster("", cluster)), name) if name and cluster != LOCAL else source

    def _looked(self) -> None:
        self._desired.await_registries(self._book.awaiting_registries)
        self._wake()
        self._progress()

    def _progress(self) -> None:
        self._queue.add(SYNC)
        self._news.set()

    def _wake(self) -> None:
        for ref in self._desired.take_dirty():
            self._queue.add(ref)


def _awaited(cluster: str) -> str:
    """Return the source that stands for a cluster whose sources are not known yet."""
    return f"cluster:{cluster}"


def _untaken(ref: Ref, error: Exception) -> Problem:
    return Problem(
        "internal_error",
        "error",
        ref.label,
        f"it cannot be taken: {type(error).__name__}: {error}"[:300],
        "its entry is kept as it was; please report this with the traceback in the log",
    )


class _SinkOf(Sink):
    """The sink of one source.

    A source that is followed again, after its cluster was configured otherwise, cannot tell what has gone meanwhile:
    what was `known` of it and is not told until its first complete look is missing.
    """

    def __init__(self, source: Source, intake: Intake, *, known: set[Ref]) -> None:
        self._source = source.id
        self._intake = intake
        self._known = known
        self._unread: set[str] = set()

    def changed(self, news: News) -> None:
        self._known.difference_update(news)
        self._intake.changed(self._source, news)

    def listed(self, *, lacking: Fault | None = None) -> None:
        if self._known:
            # What may not be read is not told either, and then says nothing.
            missing = {ref for ref in self._known if ref.has_entries or not self._unread}
            self._known = set()
            self._intake.changed(self._source, {ref: Missing() if ref.has_entries else Gone() for ref in missing})
        self._intake.listed(self._source, lacking=lacking)

    def state(self, state: State, *, part: str = "", partly: bool = False) -> None:
        (self._unread.discard if state.ok else self._unread.add)(part)
        self._intake.state(self._source, state, part=part, partly=partly)
