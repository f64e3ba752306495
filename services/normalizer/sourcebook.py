"""How each source fares, and what may be concluded from what it does not name.

Pure: the clock is given. A source is *complete* once it was listed completely; from then on what it lacks is gone. One
that is *gone* itself (its registry was deleted, not merely down) lets its entries go after a grace.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from common.wire import Stored

SourceKind = Literal["kserve", "registry"]
"""What a source has: InferenceServices, or registered versions."""

_KIND_OF: Mapping[str, SourceKind] = {"kserve": "kserve", "kubeflow": "registry"}


@dataclass(slots=True)
class _Source:
    kind: SourceKind
    rounds: int = 0
    tried: bool = False
    partial: bool = False


class SourceBook:
    """Keeps account of all sources by id."""

    def __init__(self, *, gone_grace: float, first_sync_grace: float, now: float) -> None:
        """Both graces in seconds; `now` is the start of the process in the clock's seconds."""
        self._sources: dict[str, _Source] = {}
        self._gone: dict[str, float] = {}
        self._gone_grace = gone_grace
        self._first_sync_ends = now + first_sync_grace
        self._discovering = False
        self._discovered = True
        self._discovery_awaited = False

    def declare(self, source: str, kind: SourceKind) -> None:
        """There is such a source; nothing is known of it yet."""
        self._gone.pop(source, None)
        self._sources.setdefault(source, _Source(kind))

    def listed(self, source: str) -> None:
        """The source was listed completely once more."""
        entry = self._sources[source]
        entry.rounds += 1
        entry.tried, entry.partial = True, False

    def failed(self, source: str, *, waiting: bool = True) -> None:
        """An attempt to list the source failed; `waiting`: what it has may still come, so that the feed is incomplete.

        There is nothing to wait for where a cluster has no such kind of object, or a server no address.
        """
        entry = self._sources[source]
        entry.tried, entry.partial = True, not waiting

    def withdraw(self, source: str, *, now: float) -> None:
        """The source itself is gone."""
        self._sources.pop(source, None)
        self._gone.setdefault(source, now)

    def discovering(self, *, complete: bool, waiting: bool = True) -> None:
        """Registries are looked for; `complete` says whether all ways to them have been looked at.

        `waiting`: what is not complete may soon be, so that the feed is not complete without it.
        """
        self._discovering = True
        self._discovered = complete
        self._discovery_awaited = waiting and not complete

    @property
    def settled(self) -> bool:
        """Whether every source was tried once."""
        return all(source.tried for source in self._sources.values())

    @property
    def unread_registries(self) -> frozenset[str]:
        """Registries that were never listed completely since the start."""
        return frozenset(id_ for id_, s in self._sources.items() if s.kind == "registry" and not s.rounds)

    @property
    def awaiting_registries(self) -> bool:
        """Whether a registry that was never tried may soon tell more."""
        return any(s.kind == "registry" and not s.tried for s in self._sources.values())

    def complete(self, now: float) -> bool:
        """Tell whether all that can be known is known.

        A kind of source that the cluster does not have counts as read; one that cannot be read is waited for until the
        grace of the first sync is over.
        """
        if self._discovery_awaited and now < self._first_sync_ends:
            return False
        return all(s.rounds or s.partial or (s.tried and now >= self._first_sync_ends) for s in self._sources.values())

    def waiting_for(self) -> Iterator[str]:
        """Yield the sources that have not been listed completely."""
        return (id_ for id_, source in sorted(self._sources.items()) if not source.rounds and not source.partial)

    def may_remove(self, entry: Stored, now: float) -> bool:
        """Tell whether the absence of a stored entry means that it is gone."""
        source = self._sources.get(entry.source)
        if source is not None:
            return source.rounds > 0 and not source.partial
        if not entry.source:
            return self._all_of_kind_listed(_KIND_OF[entry.reconciler])
        return self._discovered and now >= self._gone.setdefault(entry.source, now) + self._gone_grace

    def _all_of_kind_listed(self, kind: SourceKind) -> bool:
        """For entries of the original, which do not say where they are from."""
        listed = all(s.rounds > 0 and not s.partial for s in self._sources.values() if s.kind == kind)
        return listed and (kind != "registry" or self._discovered)

    @property
    def gone(self) -> frozenset[str]:
        """The sources that are gone, as far as was noticed."""
        return frozenset(self._gone)

    def expired(self, now: float) -> list[str]:
        """Return the sources that have been gone for longer than the grace."""
        return [id_ for id_, since in self._gone.items() if now >= since + self._gone_grace]

    def next_check(self, now: float) -> float | None:
        """Return when time alone changes an answer, in the clock's seconds; None when it does not."""
        times = [since + self._gone_grace for since in self._gone.values()]
        times.append(self._first_sync_ends)
        return min((time for time in times if time > now), default=None)

    @property
    def rounds(self) -> Mapping[str, int]:
        """How often each source was listed completely; of what comes from unnamed sources, the least."""
        rounds = {id_: source.rounds for id_, source in self._sources.items()}
        return {**rounds, "": min(rounds.values(), default=0)}
