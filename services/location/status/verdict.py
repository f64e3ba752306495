"""The headline of the status page: the most important fault in one line, causes before their effects. No I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from common.status import ConditionStatus, LeavingStatus, ProblemStatus, SourceStatus
from common.words import counted
from services.location.status.answer import FeedStatus, ReaderStatus, ServiceStatus, Verdict

UNREAD: Final = timedelta(minutes=15)
"""If there was no request for this long, Backstage does not read the feed: its readers ask every few minutes."""
_CONSEQUENCES: Final = frozenset({"feed"})
"""Conditions that are effects of others."""
_ORDER: Final = ("cache", "store", "kserve", "discovery", "registry")
"""How the names of conditions begin, those with most effects first."""
_EXPECTED: Final = frozenset({"not-ready"})
"""Reasons of removals for which no part of the connector is at fault."""
_STARTING: Final = "Wait: the sources are being read, and the feed is served as soon as that is done."


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that the verdict is based on."""

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
        """What is faulty, and the reason: causes before effects."""
        silent = [(each.name, each.fault) for each in self.services if not each.answers and each.fault]
        conditions = [each for service in self.services for each in service.conditions]
        unmet = [each for each in conditions if not each.ok and each.name not in _CONSEQUENCES]
        return [*silent, *((each.name, each.reason) for each in sorted(unmet, key=_rank))]


def verdict(found: Findings) -> Verdict:
    """Return the headline and what to do."""
    faults = found.faults
    first = " ".join(f"{name}: {reason}." for name, reason in faults[:1])
    if not found.feed.complete:
        waiting = f"Nothing is served: the feed waits for {found.feed.waiting_for}."
        return Verdict(level="error", text=waiting, remedy=first or _STARTING)
    served = f"{_models(found.feed.documents)} served"
    if faults:
        what = " and ".join(name for name, _ in faults[:3]) + (" and others" if len(faults) > 3 else "")
        return Verdict(level="warning", text=f"{served}; something is wrong with {what}.", remedy=first)
    return next(_concerns(found, served), None) or Verdict(level="ok", text=f"All is well: {served}{_read(found)}.")


def _concerns(found: Findings, served: str) -> Iterator[Verdict]:
    """Yield what people should look at although every part works."""
    leaving = [each for each in found.leaving if each.reason not in _EXPECTED and not each.refused]
    if leaving:
        number = f"{len(leaving)} of them {'is' if len(leaving) == 1 else 'are'} about to leave"
        reasons = ", ".join(sorted({each.reason for each in leaving}))
        yield Verdict(
            level="warning",
            text=f"{served}; {number} ({reasons}).",
            remedy="If they were deleted, wait or run the command that confirms it; if not, check their source.",
        )
    broken = sum(problem.severity == "error" for problem in found.problems)
    if broken:
        yield Verdict(
            level="warning",
            text=f"{served}; {broken} {'object has an error' if broken == 1 else 'objects have errors'}.",
            remedy="The list of problems says what to do.",
        )
    if not found.feed.documents:
        hidden = f"{found.hidden} are hidden; the reasons are below." if found.hidden else "No source has a model."
        yield Verdict(level="warning", text="No model is served, although every source was read.", remedy=hidden)
    last = max((reader.last for reader in found.readers if reader.last), default=None)
    began = min((service.started for service in found.services if service.started), default=found.at)
    if (last or began) < found.at - UNREAD:
        yield Verdict(
            level="warning",
            text=f"{served}; Backstage has not read them {_since(last, began)}.",
            remedy="Check that Backstage's app-config contains the connector, and see the log of backstage-backend.",
        )


def _rank(condition: ConditionStatus) -> tuple[int, str]:
    ranks: Iterable[int] = (rank for rank, name in enumerate(_ORDER) if condition.name.startswith(name))
    return next(iter(ranks), len(_ORDER)), condition.name


def _models(number: int) -> str:
    return counted(number, "model is", "models are")


def _read(found: Findings) -> str:
    reading = [reader.id for reader in found.readers if reader.last]
    return f", and read by Backstage ({', '.join(reading)})" if reading else ""


def _since(last: datetime | None, began: datetime) -> str:
    return f"since {last:%H:%M} UTC" if last else f"since the start at {began:%Y-%m-%d %H:%M} UTC"
