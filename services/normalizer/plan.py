"""What must change in storage so that it holds what the sources have: a pure comparison.

An entry never leaves because it is not wanted: the ledger decides what leaves, and why (`departures`).
docs/architecture.md, "Removing".
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from common.wire import Leaving, Stored, Upsert

NO_MARKS: Mapping[str, Leaving | None] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference between what is wanted and what is stored.

    `upserts` are groups that must not be parted: a server's name passes within one from the document that gives it up
    to the one that takes it. `removals` are reasons by key, `marks` those of entries that may leave.
    """

    upserts: tuple[tuple[Upsert, ...], ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, Leaving | None] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether nothing is to be sent."""
        return not self.upserts and not self.removals and not self.marks


def plan(
    *,
    wanted: Mapping[str, Upsert],
    stored: Mapping[str, Stored],
    departures: Mapping[str, str] | None = None,
    marks: Mapping[str, Leaving | None] = NO_MARKS,
    leaving: Collection[str] = (),
    refused: Mapping[str, str] | None = None,
) -> Plan:
    """Return what to send so that `stored` becomes `wanted`, both by key.

    `departures` are the removals that were decided, with their reasons. `leaving` are references of entries that stay
    for now: they are changed but not added, because the remover may have had proof. `refused` are the digests of
    documents that storage does not take.
    """
    refused = refused or {}
    differing = [
        upsert
        for key, upsert in wanted.items()
        if (key not in stored or stored[key].digest != upsert.digest)
        and refused.get(key) != upsert.digest
        and (key in stored or upsert.ref not in leaving)
    ]
    differing.sort(key=_urgency)
    upserts = [_marked(upsert, stored.get(upsert.key), marks) for upsert in differing]
    sent = {upsert.key for upsert in upserts}
    return Plan(
        upserts=tuple(_grouped(upserts, stored)),
        removals=dict(departures or {}),
        marks={key: mark for key, mark in marks.items() if key not in sent},
    )


def _urgency(upsert: Upsert) -> tuple[bool, str]:
    """Sort what somebody has just deployed before what a poll of a registry may bring by the thousand."""
    return upsert.reconciler != "kserve", upsert.key


def _marked(upsert: Upsert, stored: Stored | None, marks: Mapping[str, Leaving | None]) -> Upsert:
    """Return the document with the mark that its entry is to have: a change says nothing about its leaving."""
    mark = marks.get(upsert.key, stored.leaving if stored else None)
    return replace(upsert, leaving=mark) if mark is not None else upsert


def _grouped(upserts: list[Upsert], stored: Mapping[str, Stored]) -> list[tuple[Upsert, ...]]:
    """Put the document that gives up a server's name right before the one that takes it."""
    takers = {upsert.server_name.lower(): upsert for upsert in upserts if upsert.server_name}
    group_of: dict[str, list[Upsert]] = {upsert.key: [upsert] for upsert in upserts}
    for giver in upserts:
        held = stored[giver.key].server_name.lower() if giver.key in stored else ""
        taker = takers.get(held)
        if taker is None or taker.key == giver.key or group_of[taker.key] is group_of[giver.key]:
            continue
        joined = [*group_of[giver.key], *group_of[taker.key]]
        for upsert in joined:
            group_of[upsert.key] = joined
    seen: set[int] = set()
    groups = []
    for upsert in upserts:
        group = group_of[upsert.key]
        if id(group) not in seen:
            seen.add(id(group))
            groups.append(tuple(group))
    return groups
