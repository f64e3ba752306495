"""The history of entries added to and removed from the cache, and the rules for removals by `/currentkeyset`."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from common import removals
from common.removals import CONFIRMED, NOT_NAMED, NOT_READY
from common.wire import Leaving, Upsert
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

MOST_KEYS = 100_000
"""Most keys in one `/currentkeyset`."""
REMEMBERED = 200
"""How many arrivals, and how many departures, are kept in memory."""
REPLICA = "removed-by-another-replica"
"""Reason: it was leaving, and another replica has removed it from the shared cache."""


@dataclass(frozen=True, slots=True)
class Departure:
    """An entry that was removed: what it was, why, and when (seconds since the epoch)."""

    key: str
    ref: str
    source: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """An entry that was added, and when (seconds since the epoch)."""

    key: str
    ref: str
    source: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalPolicy:
    """How long doubtful entries stay, in seconds, and which share of all entries may be removed at once."""

    hold: float = removals.HOLD
    share: float = removals.SHARE
    not_ready: float = 120.0

    def due(self, mark: Leaving) -> int | None:
        """Return when a marked entry leaves at the earliest, in seconds since the epoch; None if it is kept."""
        if mark.refused:
            return None
        return mark.since + int(self.not_ready if mark.reason == NOT_READY else self.hold)


class Departures:
    """Remembers and logs the entries that were removed."""

    def __init__(self, *, telemetry: StorageMetrics, clock: Callable[[], float]) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._latest: deque[Departure] = deque(maxlen=REMEMBERED)
        self._unnamed: deque[float] = deque(maxlen=MOST_KEYS)

    def __iter__(self) -> Iterator[Departure]:
        """Yield the remembered departures, the latest first."""
        return reversed(self._latest)

    def note(self, gone: Iterable[Upsert], reasons: Mapping[str, str]) -> None:
        """Record removed entries, with the reasons by key."""
        now = self._clock()
        for entry in gone:
            departure = Departure(entry.key, entry.ref, entry.source, reasons[entry.key], int(now))
            self._latest.append(departure)
            self._telemetry.departures.labels(departure.reason or "unknown").inc()
            if departure.reason == NOT_NAMED:
                self._unnamed.append(now)
            # Our normalizer logs its own removals.
            write = log.info if departure.reason in (NOT_NAMED, CONFIRMED) or not entry.ref else log.debug
            write("entry_removed", key=entry.key, reason=departure.reason, object=entry.ref, source=entry.source)

    def unnamed_within(self, seconds: float) -> int:
        """Return how many were removed within some seconds because `/currentkeyset` lacked them."""
        since = self._clock() - seconds
        return sum(at >= since for at in self._unnamed)


class Arrivals:
    """Remembers and logs the entries that were added."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._latest: deque[Arrival] = deque(maxlen=REMEMBERED)

    def __iter__(self) -> Iterator[Arrival]:
        """Yield the remembered arrivals, the latest first."""
        return reversed(self._latest)

    def note(self, new: Iterable[Upsert]) -> None:
        """Record added entries."""
        now = int(self._clock())
        for entry in new:
            self._latest.append(Arrival(entry.key, entry.ref, entry.source, now))
            write = log.debug if entry.ref else log.info
            write("entry_added", key=entry.key, object=entry.ref, source=entry.source)


@dataclass(frozen=True, slots=True)
class KeySetDecision:
    """What to do after a `/currentkeyset`: removals with reasons, marks to set or clear; `held` are only marked."""

    removals: Mapping[str, str]
    marks: Mapping[str, Leaving | None]
    held: int


def decide(
    named: AbstractSet[str],
    stored: Mapping[str, Upsert],
    *,
    policy: RemovalPolicy,
    lately: int,
    damaged: bool,
    now: float,
) -> KeySetDecision:
    """Return what to do when the original's normalizer sends exactly the keys `named`.

    Up to the policy's share, missing entries are removed at once. If more are missing, counting those removed `lately`,
    each of them is marked, stays for the hold, and loses the mark when its key is sent again. The same holds if the
    cache is `damaged`: the set may lack what could not be read as well, and no one knows how many that are.
    """
    absent = stored.keys() - named
    missing, of = len(absent) + lately, len(stored) + lately
    many = removals.is_many(missing, of, share=policy.share) or removals.is_emptied(missing, of)
    doubtful = policy.hold > 0 and (many or damaged)
    gone: dict[str, str] = {}
    marks: dict[str, Leaving | None] = {key: None for key in stored.keys() & named if stored[key].leaving}
    for key in sorted(absent):
        mark = stored[key].leaving
        if mark is None and doubtful:
            marks[key] = Leaving(since=int(now), reason=NOT_NAMED)
        elif mark is None or not (mark.refused or (doubtful and now < mark.since + policy.hold)):
            gone[key] = NOT_NAMED
    return KeySetDecision(gone, marks, held=len(absent) - len(gone))
