"""All state of the normalizer in one object, made once and given to everything that works on it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

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
from services.normalizer.telemetry import CONTROLLER, State, StateCollector, Telemetry

SYNC = "sync"
"""A key in the queue that is not a reference: ask storage what it holds, and compare everything."""
PUBLISH = "publish"
"""A key in the queue that is not a reference: compare everything, because storage has answered."""


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


def create_context(
    *,
    settings: NormalizerSettings,
    storage: Storage,
    health: Health,
    metrics: Metrics,
    wall_clock: Callable[[], float] = time.time,
) -> Context:
    """Return the state of a normalizer that knows nothing yet; needs a running event loop.

    `wall_clock` is read once, so that no step of the clock makes anything leave.
    """
    book = SourceBook(first_sync_grace=settings.first_sync_grace)
    ledger = Ledger(settings.patience, book)
    desired, hidden = Desired(defaults=settings.defaults, ledger=ledger), HiddenBook()

    def state() -> State:
        return State(
            documents=Counter(upsert.source for upsert in desired.wanted.values()),
            problems=desired.problems,
            hidden=hidden.causes(),
            doubts=ledger.doubts(),
            sources=book.sources(),
        )

    metrics.registry.register(StateCollector(state))
    return Context(
        desired=desired,
        book=book,
        ledger=ledger,
        hidden=hidden,
        mirror=Mirror(storage),
        queue=WorkQueue(name=CONTROLLER, metrics=WorkQueueMetrics(metrics)),
        health=health,
        telemetry=Telemetry(metrics),
        clock=steady_clock(wall_clock),
    )
