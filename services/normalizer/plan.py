"""Compares wanted documents with stored ones, and plans what to send to storage. Pure.

An entry never leaves because it is not wanted: the ledger decides what leaves, and why (`departures`). See
docs/architecture.md, "Removing".
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from common.wire import Leaving, Stored, Upsert


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The difference between the wanted documents and the stored ones.

    `upserts` are groups that must be sent together: within one, the name of a server passes from the document that
    gives it up to the one that takes it. `removals` are reasons by key, `marks` are those of entries in doubt.
    """

    upserts: tuple[tuple[Upsert, ...], ...] = ()
    removals: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, Leaving | None] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to send."""
        return not self.upserts and not self.removals and not self.marks


def differing(keys: Iterable[str], *, wanted: Mapping[str, Upsert], stored: Mapping[str, Stored]) -> set[str]:
    """Return those keys whose wanted document is not the stored one, or where only one of the two exists."""
    pairs = ((key, wanted.get(key), stored.get(key)) for key in keys)
    return {key for key, upsert, entry in pairs if (upsert and upsert.digest) != (entry and entry.digest)}


def plan(
    keys: Iterable[str],
    *,
    wanted: Mapping[str, Upsert],
    stored: Mapping[str, Stored],
    departures: Mapping[str, str],
    marks: Mapping[str, Leaving | None],
    leaving: Collection[str],
    refused: Mapping[str, str],
) -> Plan:
    """Return what to send so that `stored` becomes `wanted`, both by key; `keys` are those that differ.

    `departures` are the removals that were decided, with their reasons. `leaving` are the references of entries in
    doubt: when one of these is not stored, another writer may have removed it with proof, so it is not added again.
    `refused` are the digests of documents that storage does not accept.
    """
    to_send = [
        upsert
        for upsert in map(wanted.get, keys)
        if upsert is not None
        and refused.get(upsert.key) != upsert.digest
        and (upsert.key in stored or upsert.ref not in leaving)
    ]
    to_send.sort(key=_urgency)
    upserts = [_marked(upsert, stored.get(upsert.key), marks) for upsert in to_send]
    sent = {upsert.key for upsert in upserts}
    return Plan(
        upserts=tuple(_grouped(upserts, stored)),
        removals=departures,
        marks={key: mark for key, mark in marks.items() if key not in sent},
    )


def _urgency(upsert: Upsert) -> tuple[bool, str]:
    """Return a sort key that puts deployments before versions, of which a poll may bring thousands."""
    return upsert.reconciler != "kserve", upsert.key


def _marked(upsert: Upsert, stored: Stored | None, marks: Mapping[str, Leaving | None]) -> Upsert:
    """Return the document with the mark of its entry, which a change of the document does not clear."""
    mark = marks.get(upsert.key, stored.leaving if stored else None)
    return replace(upsert, leaving=mark) if mark is not None else upsert


def _grouped(upserts: list[Upsert], stored: Mapping[str, Stored]) -> list[tuple[Upsert, ...]]:
    """Group documents so that the one that gives up a server's name comes right before the one that takes it."""
    takers = {upsert.server_name.lower(): upsert for upsert in upserts if upsert.server_name}
    group_of: dict[str, list[Upsert]] = {upsert.key: [upsert] for upsert in upserts}
    for giver in upserts:
        given_up = stored[giver.key].server_name.lower() if giver.key in stored else ""
        taker = takers.get(given_up)
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
