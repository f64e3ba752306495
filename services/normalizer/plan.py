"""What must change in storage so that it holds what the sources have: a pure comparison.

An entry leaves only with leave: its source was listed completely and no longer has it, or it is gone for good. A
listing that takes most of a source's entries away is doubted once (the removal guard) and believed when the next
complete listing says the same. docs/architecture.md, "Removing".
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from common.wire import Stored, Upsert

GUARD_SHARE = 0.5
"""A round that removes more than this share of a source's entries is doubted..."""
GUARD_LEAST = 5
"""... when it removes at least so many."""


@dataclass(frozen=True, slots=True)
class Held:
    """Removals that wait: of which keys, and in which round of listings of their source they were first asked for."""

    keys: frozenset[str]
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference between what is wanted and what is stored, and the removals that wait, by source."""

    upserts: tuple[Upsert, ...] = ()
    removals: tuple[str, ...] = ()
    held: Mapping[str, Held] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is to be sent."""
        return not self.upserts and not self.removals


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Who may be removed.

    `may_remove` tells whether the absence of a stored entry means that it is gone; `certain` are the references whose
    end the source itself announced, so that no guard is due; `unguarded` are sources that are themselves gone; `rounds`
    counts the complete listings of each source.
    """

    may_remove: Callable[[Stored], bool]
    certain: Collection[str] = ()
    unguarded: Collection[str] = ()
    rounds: Mapping[str, int] = field(default_factory=dict)
    guard: bool = True


def plan(
    *,
    wanted: Mapping[str, Upsert],
    stored: Mapping[str, Stored],
    leave: Leave,
    held: Mapping[str, Held],
) -> Plan:
    """Return what to send so that `stored` becomes `wanted`, both by key; `held` is the former plan's.

    An entry that changes its key (its model was renamed) is not removed but moved, which needs no leave.
    """
    differing = [item for item in wanted.items() if item[0] not in stored or stored[item[0]].digest != item[1].digest]
    upserts = tuple(upsert for _, upsert in sorted(differing, key=_urgency))
    absent = sorted(stored.keys() - wanted.keys())
    if not absent:  # nearly always: a round must not cost more than a comparison of the digests
        return Plan(upserts=upserts)
    refs = {upsert.ref for upsert in wanted.values()}
    removals: list[str] = []
    doubtful: defaultdict[str, set[str]] = defaultdict(set)
    for key in absent:
        entry = stored[key]
        if entry.ref and (entry.ref in refs or entry.ref in leave.certain):
            removals.append(key)
        elif leave.may_remove(entry):
            doubtful[entry.source].add(key)
    sizes = Counter(entry.source for entry in stored.values())
    still_held: dict[str, Held] = {}
    for source, keys in doubtful.items():
        wait = _wait(keys, of=sizes[source], round=leave.rounds.get(source, 0), held=held.get(source))
        if leave.guard and source not in leave.unguarded and wait is not None:
            still_held[source] = wait
        else:
            removals += keys
    return Plan(upserts=upserts, removals=tuple(sorted(removals)), held=still_held)


def _urgency(item: tuple[str, Upsert]) -> tuple[bool, str]:
    """Sort what somebody has just deployed before what a poll of a registry may bring by the thousand."""
    key, upsert = item
    return upsert.reconciler != "kserve", key


def _wait(keys: set[str], *, of: int, round: int, held: Held | None) -> Held | None:  # noqa: A002 - the field's name
    """Return what waits, or None when the removals are few or confirmed."""
    if len(keys) < GUARD_LEAST or len(keys) <= of * GUARD_SHARE:
        return None
    if held is None:
        return Held(frozenset(keys), round)
    if round > held.round and keys <= held.keys:
        return None
    # A later round that takes even more away is a new claim: what it adds has been told once only.
    return held if keys <= held.keys else Held(frozenset(keys), round)
