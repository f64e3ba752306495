"""What the normalizer answers at `GET /status`: how its sources fare, what is leaving, and whose object is wrong."""

from common import __version__
from common.health import Health
from common.status import (
    ConditionStatus,
    HiddenStatus,
    LeavingStatus,
    NormalizerStatus,
    ProblemStatus,
    SourceStatus,
    conditions_of,
    moment,
    settings_of,
)
from services.normalizer.desired import Desired
from services.normalizer.hidden import HiddenBook
from services.normalizer.ledger import Ledger
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sourcebook import SourceBook, Standing


class Reporter:
    """Says how things stand, from what the normalizer's rooms know."""

    def __init__(
        self, *, desired: Desired, book: SourceBook, ledger: Ledger, health: Health, hidden: HiddenBook
    ) -> None:
        self._desired = desired
        self._book = book
        self._ledger = ledger
        self._health = health
        self._hidden = hidden

    def status(self, settings: NormalizerSettings) -> NormalizerStatus:
        """Return how things stand now; `settings` are those in effect."""
        conditions = conditions_of(self._health)
        named = {condition.name: condition for condition in conditions}
        counts = self._ledger.counts()
        sources = [_source(standing, named, counts) for standing in self._book.standings()]
        return NormalizerStatus(
            version=__version__,
            started=moment(self._health.started),
            conditions=conditions,
            sources=tuple(sources),
            hidden=tuple(
                HiddenStatus(
                    object=each.object,
                    source=each.source,
                    cause=each.why.cause,
                    reason=each.why.reason,
                    remedy=each.why.remedy,
                    since=moment(each.since),
                )
                for each in self._hidden.all()
            ),
            leaving=tuple(
                LeavingStatus(
                    object=doubt.ref,
                    source=doubt.source,
                    reason=doubt.reason,
                    since=moment(doubt.since),
                    due=None if doubt.due is None else moment(doubt.due),
                    refused=doubt.due is None,
                )
                for doubt in self._ledger.doubts()
            ),
            problems=tuple(
                ProblemStatus.of(problem)
                for problem in sorted({each for of_one in self._desired.problems.values() for each in of_one})
            ),
            settings=settings_of(settings),
        )


def _source(
    standing: Standing, conditions: dict[str, ConditionStatus], counts: dict[str, tuple[int, int]]
) -> SourceStatus:
    condition = conditions.get(standing.id)
    shown, leaving = counts.get(standing.id, (0, 0))
    ok = condition.ok if condition else not standing.failing
    return SourceStatus(
        id=standing.id,
        kind=standing.kind,
        ok=ok,
        last_look=None if standing.looked is None else moment(standing.looked),
        stale=standing.failing and not ok,
        shown=shown,
        leaving=leaving,
        reason=condition.reason if condition else "",
    )
