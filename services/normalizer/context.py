"""All state of the normalizer in one object, made once and given to everything that works on it; its gauges."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.clocks import steady_clock
from common.health import Health
from common.kube.workqueue import WorkQueue, WorkQueueMetrics
from common.metrics import Metrics
from services.normalizer.desired import Desired
from services.normalizer.hidden import HiddenBook
from services.normalizer.ledger import Ledger
from services.normalizer.publish import Mirror, Storage
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sourcebook import SourceBook
from services.normalizer.telemetry import CONTROLLER, Telemetry

SYNC = "sync"
"""A key in the queue that is not a reference: ask storage what it holds, and compare everything."""
PUBLISH = "publish"
"""A key in the queue that is not a reference: send what could not be sent before, because storage has answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The parts of the normalizer; `queue` has references of what may have changed.

    `clock` is one of `common.clocks.steady_clock`.
    """

    desired: Desired
    book: SourceBook
    ledger: Ledger
    hidden: HiddenBook
    mirror: Mirror
    queue: WorkQueue[str]
    health: Health
    telemetry: Telemetry
    clock: Callable[[], float]


class StateCollector(Collector):
    """The gauges of the current state, which are computed when Prometheus asks for them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def collect(self) -> Iterable[Metric]:
        """Yield the gauges, each with a sample for every combination of labels that occurs now."""
        desired, count = self._context.desired, Counter[tuple[str, ...]]
        yield _gauge(
            "rhoai_connector_documents",
            "Documents that should be served, by source",
            ["source"],
            count((upsert.source,) for upsert in desired.wanted.values()),
        )
        yield _gauge(
            "rhoai_connector_source_last_look_timestamp_seconds",
            "When a source was last read completely, seconds of the epoch; 0 when it was not since the start",
            ["source"],
            {(each.id,): each.looked or 0 for each in self._context.book.sources()},
        )
        yield _gauge(
            "rhoai_connector_problems",
            "Problems of models that are recorded now, by the id that docs/events.md explains",
            ["severity", "id"],
            count((each.severity, each.id) for found in desired.problems.values() for each in found),
        )
        yield _gauge(
            "rhoai_connector_hidden",
            "Models that exist and are not shown, by cause",
            ["cause"],
            count((each.why.cause,) for each in self._context.hidden.all()),
        )
        yield _gauge(
            "rhoai_connector_removals_held",
            "Entries that are missing at their source, or not ready, and stay for now",
            ["source"],
            count((doubt.source,) for doubt in self._context.ledger.doubts()),
        )


def _gauge(name: str, text: str, labels: Sequence[str], samples: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def create_context(*, settings: NormalizerSettings, storage: Storage, health: Health, metrics: Metrics) -> Context:
    """Return the state of a normalizer that knows nothing yet; needs a running event loop."""
    book = SourceBook(first_sync_grace=settings.first_sync_grace)
    ledger = Ledger(settings.patience, book)
    context = Context(
        desired=Desired(defaults=settings.defaults, ledger=ledger),
        book=book,
        ledger=ledger,
        hidden=HiddenBook(),
        mirror=Mirror(storage),
        queue=WorkQueue(name=CONTROLLER, metrics=WorkQueueMetrics(metrics)),
        health=health,
        telemetry=Telemetry(metrics),
        clock=steady_clock(),
    )
    metrics.registry.register(StateCollector(context))
    return context
