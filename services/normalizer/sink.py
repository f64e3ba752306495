"""Where sources report: gives each source its sink, and passes on what it reports to the rest of the normalizer.

Everything here may be called at any time, is synchronous, and never waits for storage.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

import structlog

from common.faults import Fault, kind_of
from common.problems import Problem
from services.normalizer.context import SYNC, Context
from services.normalizer.facts import Gone, Missing, Ref, Unusable, in_cluster
from services.normalizer.normalize.result import ClusterView
from services.normalizer.rendering import internal_error
from services.normalizer.source import Locating, Lookups, News, ProblemListener, Sink, Source
from services.normalizer.sourcebook import FIRST_LOOK, OF_CLUSTERS, OPTIONAL, OPTIONAL_PARTS, SearchState
from services.normalizer.telemetry import Conditions

log = structlog.get_logger("sink")

SLOW = 10.0
"""Seconds after which a source that has not reported anything counts as one that cannot be read."""


class Intake:
    """Takes what sources report; `sources` are those that were opened, by id.

    `loaded` is set when what an earlier run has stored is known.
    """

    def __init__(self, context: Context) -> None:
        self._desired = context.desired
        self._book = context.book
        self._ledger = context.ledger
        self._queue = context.queue
        self._telemetry = context.telemetry
        self._clock = context.clock
        self.conditions = Conditions(context.health, context.telemetry)
        self.lookups = Lookups()
        self.sources: dict[str, Source] = {}
        self.loaded = asyncio.Event()

    # --- sources

    def follow(self, source: Source) -> Callable[[], Coroutine[Any, Any, None]]:
        """Return the task that follows a source."""
        return partial(source.run, self.open(source))

    def open(self, source: Source) -> Sink:
        """Return the sink of a source; from now on the feed waits for it."""
        self._book.declare(source.id, source.kind, namespaces=source.namespaces)
        self.conditions.set(source.id, False, FIRST_LOOK, stale=True)
        self.sources[source.id] = source
        if isinstance(source, ProblemListener):
            source.on_problems(self._desired.problems)
        self._sources_changed()
        if source.kind != "registry":  # the first poll of ten thousand models takes longer
            asyncio.get_running_loop().call_later(SLOW, self._stop_waiting, source)
        return _SourceSink(source, self, known=self._desired.known(source.id, source.kind))

    def _stop_waiting(self, source: Source) -> None:
        """Count a source that has not reported anything by now as one that cannot be read, until it does."""
        if self.sources.get(source.id) is source and self._book.is_untried(source.id):
            reason = f"no answer for {SLOW:g} s: it is slow, hangs, or is cut off; it is asked further"
            self.conditions.set(source.id, False, reason, stale=True)
            self._book.failed(source.id, reason=reason)
            self._check_all()

    def notify_owners(self) -> None:
        """Give all problems to the sources that can tell the owners of objects about them."""
        for source in self.sources.values():
            if isinstance(source, ProblemListener):
                source.on_problems(self._desired.problems)

    def place_of(self, ref: str, problem: Problem) -> str:
        """Return the place in a file of a problem of an object; empty if its source does not know one."""
        source = self.sources.get(self._desired.source_of(ref))
        return source.place_of(Ref.parse(ref), problem) if isinstance(source, Locating) else ""

    def changed(self, source: str, news: News) -> None:
        """Take reports of a source about objects."""
        now = self._clock()
        for ref, fact in news.items():
            try:
                self._desired.put(source, ref, fact, now=now)
            except Exception as error:  # a defect with one object must not stop the others
                log.exception("object_not_processed", object=ref.label)
                self._desired.put(source, ref, Unusable(internal_error(ref, "it cannot be taken", error)), now=now)
        if self._book.last_look(source) is not None:
            self._telemetry.event_received(str(ref) for ref in news if ref.is_deployment)
        self._queue_changes()

    def listed(self, source: str, *, lacking: Fault | None = None) -> None:
        """Record that a source was read completely, but for what is `lacking` of single objects."""
        self._book.listed(source, now=self._clock())
        self.conditions.set(source, lacking is None, str(lacking or ""), stale=lacking is not None)
        self._sources_changed()

    def state(self, source: str, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        """Record that a source, or a part of it, cannot be read, or can again."""
        kind, what = self.sources[source].kind, kind_of(fault)
        unneeded = (part in OPTIONAL_PARTS or kind in OPTIONAL) and what in ("absent", "forbidden")
        ok, reason = fault is None or unneeded, str(fault or "")
        shown = f"not followed, {reason}" if unneeded else reason
        # A server without an address is not waited for, and no one has to change anything.
        self.conditions.set(source, ok or what == "no-address", shown, part=part, stale=None if part else not ok)
        if not part and fault is None:
            self._book.recovered(source)
        elif not part:
            nowhere = what == "no-address" or (what == "absent" and kind in OF_CLUSTERS)
            self._book.failed(source, waiting=not (nowhere or partly or unneeded), reason=reason)
        self._sources_changed()

    def close(self, source: str, *, proven: bool = False) -> None:
        """Remove a source that is gone; its entries are kept for a grace.

        `proven`: it is certain that it is gone, even if not all places were searched for sources.
        """
        self._withdraw(source, proven=proven)
        self._sources_changed()

    def _withdraw(self, source: str, *, proven: bool = False) -> None:
        self.sources.pop(source, None)
        self._book.withdraw(source, proven=proven)
        self._ledger.withdraw(source)

    # --- clusters

    def await_cluster(self, cluster: str, reason: str = "") -> None:
        """Have the feed wait for a cluster that cannot be followed yet, because any entry may come from it."""
        source = _placeholder(cluster)
        self._book.declare(source, "cluster")
        if reason:
            self._book.failed(source, reason=reason)
        self.conditions.set_named(source, False, reason or "not looked at yet", stale=True)
        self._check_all()

    def stop_awaiting_cluster(self, cluster: str) -> None:
        """Undo `await_cluster`."""
        self._book.withdraw(_placeholder(cluster))
        self.conditions.remove(_placeholder(cluster))
        self._check_all()

    def add_cluster(self, cluster: str, view: ClusterView) -> None:
        """Add a cluster that is followed from now on; the search for its registries begins."""
        self.conditions.name_cluster(cluster, view.name)
        self._desired.put_cluster(cluster, view)
        self._book.set_search("waiting", cluster=cluster)
        self._queue_changes()

    def stop_cluster(self, cluster: str, sources: Collection[str]) -> None:
        """Stop a cluster with these sources of deployments; it may be followed again."""
        for source in (*sources, *self._book.registries_of(cluster)):
            self._withdraw(source)
        self.conditions.remove_cluster(cluster, keep=self.sources)
        self.lookups.remove_cluster(cluster)
        self._book.set_search("waiting", cluster=cluster)
        self._sources_changed()

    def remove_sources(self, sources: Iterable[str]) -> None:
        """Remove sources of deployments that are not followed again; their entries stay for SOURCE_GONE_GRACE."""
        for source in sources:
            self._desired.close(source, now=self._clock())
        self._queue_changes()
        self._check_all()

    def remove_cluster(self, cluster: str) -> None:
        """Remove a cluster that is no longer configured."""
        self._book.remove_cluster(cluster)
        self._desired.remove_cluster(cluster)
        self._check_all()

    # --- registries and catalogs

    def add_unread_registry(self, registry: str, *, reason: str) -> None:
        """Add a registry that has entries and is not read until people trust it."""
        self._book.declare(registry, "registry")
        self._book.failed(registry, waiting=False, reason=reason)
        self._sources_changed()

    def put_cards(self, cards: Mapping[str, str | None], *, cluster: str) -> None:
        """Take cards of a cluster's model catalogs by key, None where there is none."""
        self._desired.put_cards(cards, cluster=cluster)
        self._queue_changes()

    def forget_cards(self, keys: Collection[str], *, cluster: str) -> None:
        """Drop model cards that nothing in a cluster refers to any more."""
        self._desired.cards.forget(keys, cluster=cluster)

    def report_search(self, cluster: str, state: SearchState, *, ok: bool, reason: str) -> None:
        """Record how far the search for the registries of a cluster is; `ok`: no one has to act."""
        self._book.set_search(state, reason=reason, cluster=cluster)
        self.conditions.set(in_cluster("discovery", cluster), ok, reason)
        self._sources_changed()

    def report_untrusted(self, source: str, *, reason: str, remedy: str) -> None:
        """Record a registry or a model catalog that exists and is not read."""
        self._book.ignored[source] = reason, remedy
        self.conditions.set(source, True, f"untrusted: {reason}; {remedy}", stale=False)

    def remove_remote(self, source: str) -> None:
        """Remove the condition of a registry or a model catalog that is gone, or is read from now on."""
        self._book.ignored.pop(source, None)
        self.conditions.remove(source)

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        return self._desired.earlier.version_ids(registry)

    # --- what follows

    def _sources_changed(self) -> None:
        self._desired.renderer.await_registries(self._book.untried_clusters(registries_only=True))
        self._queue_changes()
        self._check_all()

    def _check_all(self) -> None:
        """Have the controller compare everything, because what is known of sources has changed."""
        self._queue.add(SYNC)

    def _queue_changes(self) -> None:
        """Have the controller render what may have changed."""
        for ref in self._desired.take_dirty():
            self._queue.add(ref)


def _placeholder(cluster: str) -> str:
    """Return the source that stands for the sources of a cluster while these are not known."""
    return f"cluster:{cluster}"


class _SourceSink(Sink):
    """The sink of one source.

    A source that is followed again, after the configuration of its cluster has changed, does not know what has gone in
    the meantime: what was `known` and is not reported before its first complete listing is missing.
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
            # Objects of a part that cannot be read are not reported, which does not mean that they are gone.
            missing = {ref for ref in self._known if ref.has_entries or not self._unread}
            self._known = set()
            self._intake.changed(self._source, {ref: Missing() if ref.has_entries else Gone() for ref in missing})
        self._intake.listed(self._source, lacking=lacking)

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        (self._unread.discard if fault is None else self._unread.add)(part)
        self._intake.state(self._source, fault, part=part, partly=partly)
