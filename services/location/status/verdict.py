"""How everything is, in one line: the first thing that is wrong, in the order in which causes have effects. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.status import (
    ConditionStatus,
    FeedStatus,
    LeavingStatus,
    ProblemStatus,
    ReaderStatus,
    ServiceStatus,
    SourceStatus,
    Verdict,
)

UNREAD: Final = timedelta(minutes=15)
"""When nobody has read the feed for so long, Backstage does not: its readers ask every few minutes."""
_CONSEQUENCES: Final = frozenset({"feed"})
"""Conditions that others are the cause of."""
_ORDER: Final = ("cache", "store", "kserve", "discovery", "registry")
"""The beginnings of the names of conditions, those first that have most effects."""
_EXPECTED: Final = frozenset({"not-ready"})
"""Why models leave when nothing is wrong with the connector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the verdict is made of."""

    at: datetime
    feed: FeedStatus
    services: tuple[ServiceStatus, ...]
    sources: tuple[SourceStatus, ...]
    readers: tuple[ReaderStatus, ...]
    leaving: tuple[LeavingStatus, ...] = ()
    problems: tuple[ProblemStatus, ...] = ()
    hidden: int = 0

    @property
    def faults(self) -> list[tuple[str, str]]:
        """What is wrong and why, causes before effects."""
        silent = [(each.name, each.fault) for each in self.services if not each.answers and each.fault]
        conditions = [each for service in self.services for each in service.conditions]
        unmet = [each for each in conditions if not each.ok and each.name not in _CONSEQUENCES]
        return [*silent, *((each.name, each.reason) for each in sorted(unmet, key=_rank))]


def verdict(found: Findings) -> Verdict:
    """Return how everything is."""
    faults = found.faults
    first = " ".join(f"{name}: {reason}." for name, reason in faults[:1])
    if not found.feed.complete:
        waiting = f"Nothing is served: the feed waits for {found.feed.waiting_for}."
        return Verdict(level="error", text=waiting, remedy=_remedy(first, "the feed is served by itself then."))
    served = f"{_models(found.feed.documents)} served"
    if faults:
        what = " and ".join(name for name, _ in faults[:3]) + (" and others" if len(faults) > 3 else "")
        return Verdict(level="warning", text=f"{served}; something is wrong with {what}.", remedy=first)
    return next(_concerns(found, served), None) or Verdict(level="ok", text=f"All is well: {served}{_read(found)}.")


def _concerns(found: Findings, served: str) -> Iterator[Verdict]:
    """Yield what people should look at though every part works."""
    leaving = [each for each in found.leaving if each.reason not in _EXPECTED and not each.refused]
    if leaving:
        number = f"{len(leaving)} of them {'is' if len(leaving) == 1 else 'are'} about to leave"
        reasons = ", ".join(sorted({each.reason for each in leaving}))
        yield Verdict(
            level="warning",
            text=f"{served}; {number} ({reasons}).",
            remedy="If they are really gone, wait, or confirm it by the command beside them; if not, see the source.",
        )
    broken = sum(problem.severity == "error" for problem in found.problems)
    if broken:
        yield Verdict(
            level="warning",
            text=f"{served}; {broken} {'object has an error' if broken == 1 else 'objects have errors'}.",
            remedy="The list of problems says what to do about each.",
        )
    if not found.feed.documents:
        hidden = f"{found.hidden} are hidden, for the reasons below." if found.hidden else "No source has any."
        yield Verdict(level="warning", text="No model is served, though every source was read.", remedy=hidden)
    last = max((reader.last for reader in found.readers if reader.last), default=None)
    began = min((service.started for service in found.services if service.started), default=found.at)
    if (last or began) < found.at - UNREAD:
        yield Verdict(
            level="warning",
            text=f"{served}; Backstage has not asked for them {_since(last, began)}.",
            remedy="See the log of backstage-backend, and whether its app-config has the connector as a source.",
        )


def _rank(condition: ConditionStatus) -> tuple[int, str]:
    ranks: Iterable[int] = (rank for rank, name in enumerate(_ORDER) if condition.name.startswith(name))
    return next(iter(ranks), len(_ORDER)), condition.name


def _remedy(first: str, otherwise: str) -> str:
    return first or f"Every source is asked; {otherwise}"


def _models(number: int) -> str:
    return "1 model is" if number == 1 else f"{number} models are"


def _read(found: Findings) -> str:
    reading = [reader.id for reader in found.readers if reader.last]
    return f", and read by Backstage ({', '.join(reading)})" if reading else ""


def _since(last: datetime | None, began: datetime) -> str:
    return f"since {last:%H:%M} UTC" if last else f"since the start at {began:%Y-%m-%d %H:%M} UTC"
