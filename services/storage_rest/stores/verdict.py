"""Whether the ConfigMaps that were found hold all that was written into them. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.storage_rest.stores.shard import Observation, mark_of

_KEYS_TOLD = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a cache is worth: `complete` when it was everything once and still is, `damage` where it is not any more.

    Neither: it was never complete.
    """

    complete: bool = False
    damage: str = ""


def judge(shards: Mapping[int, Observation], *, base: str, others: bool) -> Verdict:
    """Return what the ConfigMaps of documents, by number, are worth; `others`: there are ConfigMaps of cards.

    A cache of the original has neither labels nor marks, and one of ours from before the marks has labels only: these
    are whole when every value can be read.
    """
    first = shards.get(1)
    if first is None:
        return Verdict(damage=f"the ConfigMap {base} is missing" if shards or others else "")
    readable = {key for seen in shards.values() for key, value in seen.values.items() if value.usable}
    if not any(seen.mark or seen.shards for seen in shards.values()):
        faults = [_unreadable(seen, readable) for _, seen in sorted(shards.items())]
        of_original = not first.described and len(shards) == 1 and bool(first.values)
        return _verdict(faults) if first.complete or of_original else Verdict()
    if not first.complete:
        return Verdict()
    faults = [] if first.shards else [f"the ConfigMap {base} does not say how many belong to the cache"]
    for number in range(2, first.shards + 1):
        if number not in shards:
            faults.append(f"the ConfigMap {base}-{number} is missing")
    for _, seen in sorted(shards.items()):
        if seen.mark != mark_of(seen.values.keys() & readable):
            faults.append(_unreadable(seen, readable) or f"the ConfigMap {seen.name} has not the keys that it had")
    return _verdict(faults)


def _verdict(faults: list[str]) -> Verdict:
    damage = "; ".join(filter(None, faults))
    return Verdict(complete=not damage, damage=damage)


def _unreadable(seen: Observation, readable: set[str]) -> str:
    keys = sorted(seen.values.keys() - readable)
    if not keys:
        return ""
    more = f" and {len(keys) - _KEYS_TOLD} more" if len(keys) > _KEYS_TOLD else ""
    return f"the ConfigMap {seen.name} has values that cannot be read: {', '.join(keys[:_KEYS_TOLD])}{more}"
