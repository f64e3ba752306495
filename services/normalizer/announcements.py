"""Logs each problem and each hidden model once, when it arises and when it is over."""

from functools import cache

import structlog

from common.problems import Problem
from services.normalizer.context import Context
from services.normalizer.hidden import Hidden, Why
from services.normalizer.sink import Intake

log = structlog.get_logger("controller")

_REFUSED_REMEDY = "make what it says of itself shorter, such as its annotations; see what storage-rest logs"


class Announcer:
    """Compares what is wrong now with what was announced; sources that notify owners are given all problems."""

    def __init__(self, context: Context, intake: Intake) -> None:
        self._book = context.book
        self._desired = context.desired
        self._hidden = context.hidden
        self._mirror = context.mirror
        self._intake = intake
        self._announced: dict[str, tuple[Problem, ...]] = {}

    def announce(self, now: float) -> None:
        """Log what has changed since the last call."""
        self._announce_problems()
        for each, is_hidden in self._record_hidden(now):
            why = each.why
            if is_hidden:
                log.info("model_hidden", object=each.object, cause=why.cause, reason=why.reason, remedy=why.remedy)
            else:
                log.info("model_no_longer_hidden", object=each.object, cause=why.cause)

    def _announce_problems(self) -> None:
        problems = self._desired.problems
        if problems == self._announced:
            return
        for ref, former in self._announced.items():
            for problem in set(former) - set(problems.get(ref, ())):
                log.info("problem_solved", **problem.fields())
        for ref, found in problems.items():
            for problem in set(found) - set(self._announced.get(ref, ())):
                level = {"error": log.error, "warning": log.warning, "info": log.info}[problem.severity]
                place = self._intake.place_of(ref, problem)
                level("problem_found", **({"place": place} if place else {}), **problem.fields())
        self._intake.notify_owners()
        self._announced = dict(problems)

    def _record_hidden(self, now: float) -> list[tuple[Hidden, bool]]:
        """Take what is not shown, and why: objects that were rendered, refused documents, registries not trusted.

        Returns the changes to log.
        """
        stored, changes = self._mirror.entries, []
        if rendered := self._desired.renderer.take_rendered():
            refs = cache(lambda: {entry.ref for entry in stored.values()})  # seldom needed
            why_hidden, source_of = self._desired.renderer.why_hidden, self._desired.source_of
            changes = self._hidden.update({ref: (source_of(ref), why_hidden(ref, refs)) for ref in rendered}, now=now)
        elsewhere: dict[str, tuple[str, Why]] = {
            source: (source, Why("untrusted-registry", reason, remedy))
            for source, (reason, remedy) in self._book.ignored.items()
        }
        for key, reason in self._mirror.refusals.items():
            upsert = self._desired.wanted.get(key)
            if upsert is not None and key not in stored:
                why = Why("refused", f"storage does not take its document: {reason}", _REFUSED_REMEDY)
                elsewhere[upsert.ref] = (upsert.source, why)
        return changes + self._hidden.set_all(elsewhere, causes=("refused", "untrusted-registry"), now=now)
