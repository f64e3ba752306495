"""What arrives in the cache and leaves it, and why; and what the original's `/currentkeyset` may remove."""

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import structlog

from common import removals
from common.wire import Leaving, Upsert
from services.storage_rest.telemetry import Telemetry

log = structlog.get_logger("storage")

REMEMBERED = 200
"""Arrivals, and departures, kept in memory for anyone who asks."""
NOT_NAMED = "not-in-keyset"
"""Reason: the original's normalizer does not name the key in its `/currentkeyset`."""
CONFIRMED = "confirmed-by-administrator"
"""Reason: an administrator has confirmed the removal."""
REPLICA = "removed-by-another-replica"
"""Reason: it was leaving, and another replica has removed it from the cache that both have."""
NOT_READY = "not-ready"
"""Reason of our normalizer for what waits for NOT_READY_GRACE only."""


@dataclass(frozen=True, slots=True)
class Departure:
    """An entry that has left: what it was, why, and when (seconds of the epoch)."""

    key: str
    ref: str
    source: str
    reason: str
    at: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """An entry that was not there before, and when it came (seconds of the epoch)."""

    key: str
    ref: str
    source: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long what is in doubt stays, in seconds, and which share of all may be removed at once."""

    hold: float = removals.HOLD
    share: float = removals.SHARE
    not_ready: float = 120.0

    def due(self, mark: Leaving) -> int | None:
        """Return when an entry leaves at the earliest, in seconds of the epoch; None while it is to be kept."""
        if mark.refused:
            return None
        return mark.since + int(self.not_ready if mark.reason == NOT_READY else self.hold)


class Departures:
    """Remembers and tells what has left."""

    def __init__(self, *, telemetry: Telemetry, clock: Callable[[], float] = time.time) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._latest: deque[Departure] = deque(maxlen=REMEMBERED)
        self._unnamed: deque[float] = deque()

    def __iter__(self) -> Iterator[Departure]:
        """Yield the departures that are remembered, the latest first."""
        return reversed(self._latest)

    def note(self, gone: Iterable[Upsert], reasons: Mapping[str, str]) -> None:
        """Take what has left, with the reasons by key."""
        now = self._clock()
        for entry in gone:
            departure = Departure(entry.key, entry.ref, entry.source, reasons[entry.key], int(now))
            self._latest.append(departure)
            self._telemetry.departures.labels(departure.reason or "unknown").inc()
            if departure.reason == NOT_NAMED:
                self._unnamed.append(now)
            # What our normalizer sends it tells itself.
            tell = log.info if departure.reason in (NOT_NAMED, CONFIRMED) or not entry.ref else log.debug
            tell("entry_removed", key=entry.key, reason=departure.reason, object=entry.ref, source=entry.source)

    def unnamed_within(self, seconds: float) -> int:
        """Return how many left lately because `/currentkeyset` did not name them."""
        while self._unnamed and self._unnamed[0] < self._clock() - seconds:
            self._unnamed.popleft()
        return len(self._unnamed)


class Arrivals:
    """Remembers and tells what has arrived."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._latest: deque[Arrival] = deque(maxlen=REMEMBERED)

    def __iter__(self) -> Iterator[Arrival]:
        """Yield the arrivals that are remembered, the latest first."""
        return reversed(self._latest)

    def note(self, new: Iterable[Upsert]) -> None:
        """Take what was not there before."""
        now = int(self._clock())
        for entry in new:
            self._latest.append(Arrival(entry.key, entry.ref, entry.source, now))
            tell = log.debug if entry.ref else log.info
            tell("entry_added", key=entry.key, object=entry.ref, source=entry.source)


@dataclass(frozen=True, slots=True)
class KeySet:
    """What follows from a `/currentkeyset`: removals with reasons, marks that are set or cleared."""

    removals: Mapping[str, str]
    marks: Mapping[str, Leaving | None]
    held: int


def judge(
    named: AbstractSet[str], stored: Mapping[str, Upsert], *, patience: Patience, lately: int, now: float
) -> KeySet:
    """Return what to do when the original's normalizer names these keys and no others.

    What it does not name goes at once up to the share; when that is more, or was with what left `lately`, each waits
    for the hold, and comes back when it is named again.
    """
    absent = stored.keys() - named
    missing, of = len(absent) + lately, len(stored) + lately
    suspicious = removals.is_many(missing, of, share=patience.share) or removals.is_emptied(missing, of)
    many = patience.hold > 0 and suspicious
    gone: dict[str, str] = {}
    marks: dict[str, Leaving | None] = {key: None for key in stored.keys() & named if stored[key].leaving}
    for key in sorted(absent):
        mark = stored[key].leaving
        if mark is None and many:
            marks[key] = Leaving(since=int(now), reason=NOT_NAMED)
        elif mark is None or not (mark.refused or (many and now < mark.since + patience.hold)):
            gone[key] = NOT_NAMED
    return KeySet(gone, marks, held=len(absent) - len(gone))


def by_reason(entries: Iterable[Upsert]) -> Counter[str]:
    """Return how many entries are leaving for which reason."""
    return Counter(entry.leaving.reason for entry in entries if entry.leaving)
