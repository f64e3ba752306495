"""Metrics of the normalizer, and the conditions of its sources in `/readyz`; sources and queue have further metrics.

The `controller_runtime_…` families have the names and labels that dashboards and alerts for the original read.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable

from prometheus_client import Counter, Gauge, Histogram

from common.clocks import loop_time
from common.health import Health
from common.metrics import Metrics
from services.normalizer.facts import LOCAL, cluster_of_id, in_cluster

CONTROLLER = "inferenceservice"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Telemetry:
    """Records the work of the controller as metrics; `stale` are the sources that cannot be read."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self._reconciled = Counter(
            "controller_runtime_reconcile",
            "Documents brought up to date",
            ["controller", "result"],
            registry=registry,
        )
        self._errors = Counter(
            "controller_runtime_reconcile_errors", "Documents that could not be", ["controller"], registry=registry
        )
        self._seconds = Histogram(
            "controller_runtime_reconcile_time_seconds",
            "From taking documents in hand until they are on their way to storage",
            ["controller"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._workers = Gauge("controller_runtime_active_workers", "Work under way", ["controller"], registry=registry)
        self._marks_failed = Counter(
            "rhoai_connector_marks_failed",
            "Marks of entries in doubt that could not be stored; they are sent again",
            registry=registry,
        )
        self._latency = Histogram(
            "rhoai_connector_event_to_served_seconds",
            "From the event of a deployment until the document that shows it is stored and announced to location",
            buckets=_BUCKETS,
            registry=registry,
        )
        self._received: dict[str, float] = {}
        self.stale = Gauge(
            "rhoai_connector_source_stale",
            "1 while a source could not be read completely; its models are kept",
            ["source"],
            registry=registry,
        )
        self._sent = Counter("rhoai_connector_published", "Changes sent to storage", ["kind"], registry=registry)
        for result in ("success", "error"):
            self._reconciled.labels(CONTROLLER, result)
        self._errors.labels(CONTROLLER)
        for kind in ("upsert", "removal", "card"):
            self._sent.labels(kind)

    def set_working(self, on: bool) -> None:
        """Record that work begins or ends."""
        self._workers.labels(CONTROLLER).set(on)

    def record_round(self, documents: int, seconds: float, *, ok: bool) -> None:
        """Record a round of work on a number of documents."""
        self._reconciled.labels(CONTROLLER, "success" if ok else "error").inc(documents)
        if not ok:
            self._errors.labels(CONTROLLER).inc(documents)
        self._seconds.labels(CONTROLLER).observe(seconds)

    def batch_stored(self, *, upserts: int, removals: int, cards: int) -> None:
        """Record what a batch has changed in storage."""
        for kind, number in (("upsert", upserts), ("removal", removals), ("card", cards)):
            self._sent.labels(kind).inc(number)

    def batch_failed(self, *, marks: int) -> None:
        """Record that a batch with a number of marks did not reach storage."""
        self._marks_failed.inc(marks)

    def event_received(self, refs: Iterable[str]) -> None:
        """Start measuring how long events of these deployments take to be served."""
        self._received.update(dict.fromkeys(refs, loop_time()))

    def documents_stored(self, refs: Iterable[str]) -> None:
        """Record how long it took until what is shown of these deployments was stored."""
        now = loop_time()
        for ref in refs:
            if (received := self._received.pop(ref, None)) is not None:
                self._latency.observe(now - received)

    def drop_events_before(self, began: float) -> None:
        """Forget events from before `began` (the event loop's time), which changed nothing that is shown."""
        self._received = {ref: at for ref, at in self._received.items() if at >= began}


class Conditions:
    """Sets and removes the conditions of sources; in other clusters they are named by the name of the cluster."""

    def __init__(self, health: Health, telemetry: Telemetry) -> None:
        self._health = health
        self._telemetry = telemetry
        self._cluster_names: dict[str, str] = {}
        self._by_source: defaultdict[str, set[str]] = defaultdict(set)

    def name_cluster(self, cluster: str, name: str) -> None:
        """Set what people call a cluster."""
        self._cluster_names[cluster] = name

    def name_of(self, source: str) -> str:
        """Return the name of a source's condition."""
        cluster = cluster_of_id(source)
        name = self._cluster_names.get(cluster, "")
        return in_cluster(source.removesuffix(in_cluster("", cluster)), name) if name and cluster != LOCAL else source

    def set(self, source: str, ok: bool, reason: str = "", *, part: str = "", stale: bool | None = None) -> None:
        """Set the condition of a source, or of a part of it; `stale` is the metric, None where it has none."""
        condition = self.name_of(source) + (f"/{part}" if part else "")
        self._by_source[source].add(condition)
        self.set_named(condition, ok, reason, stale=stale)

    def set_named(self, name: str, ok: bool, reason: str = "", *, stale: bool | None = None) -> None:
        """Set a condition by its name: one of a setting, or of a cluster whose sources are not known."""
        self._health.set(name, ok, reason)
        if stale is not None:
            self._telemetry.stale.labels(name).set(stale)

    def remove(self, source: str) -> None:
        """Remove the condition of a source, without those of its parts."""
        self._remove(self.name_of(source))

    def remove_cluster(self, cluster: str, *, keep: Collection[str]) -> None:
        """Remove all conditions of the sources in a cluster, but for those to keep."""
        for source in [each for each in self._by_source if cluster_of_id(each) == cluster and each not in keep]:
            for condition in self._by_source.pop(source):
                self._remove(condition)

    def _remove(self, condition: str) -> None:
        self._health.remove(condition)
        self._telemetry.stale.remove_by_labels({"source": condition})
