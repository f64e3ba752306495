"""What the ConfigMaps contain at the start: the values, and whether they are complete or damaged. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.storage_rest.stores.layout import Layout
from services.storage_rest.stores.objects import Observation, Value, mark_of

_MOST_KEYS = 3


@dataclass(frozen=True, slots=True)
class CacheCondition:
    """The condition of a stored cache: `complete`, or what is missing (`damage`); neither: it was never complete."""

    complete: bool = False
    damage: str = ""


def by_number(layout: Layout, shown: Iterable[Observation]) -> dict[int, Observation]:
    """Return the ConfigMaps of a family by their number."""
    return {layout.find(seen.name).number: seen for seen in shown if layout.has_name(seen.name)}


def unlisted(layout: Layout, shown: Iterable[Observation]) -> list[str]:
    """Return the names of the ConfigMaps that a family must have by its number of them, and that are not shown."""
    found = by_number(layout, shown)
    highest = found[1].shards if 1 in found else 0
    return [f"{layout.base}-{number}" for number in range(2, highest + 1) if number not in found]


def merge(layout: Layout, shown: Iterable[Observation]) -> dict[str, Value]:
    """Return the values of a family; of several copies, the readable one with the highest ConfigMap number."""
    values: dict[str, Value] = {}
    spoiled = set()
    for seen in sorted((s for s in shown if layout.has_name(s.name)), key=lambda s: layout.find(s.name).number):
        for slot, value in seen.values.items():
            if value.usable or slot not in values:
                values[slot] = value
                spoiled.discard(slot)
            elif values[slot].usable:
                spoiled.add(slot)
        layout.observe(seen)
    layout.tidy(values.keys() - spoiled)
    for slot in spoiled:
        layout.put(slot, values[slot])
    return values


def assess(shards: Mapping[int, Observation], *, base: str, others: bool) -> CacheCondition:
    """Return the condition of the cache from its ConfigMaps by number; `others`: there are ConfigMaps of cards.

    A cache of the original has neither labels nor marks; one of an early version of ours has labels only. These are
    complete if every value can be decoded.
    """
    first = shards.get(1)
    if first is None:
        return CacheCondition(damage=f"the ConfigMap {base} is missing" if shards or others else "")
    readable = {key for seen in shards.values() for key, value in seen.values.items() if value.usable}
    if not any(seen.mark or seen.shards for seen in shards.values()):
        faults = [_unreadable(seen, readable) for _, seen in sorted(shards.items())]
        of_original = not first.described and len(shards) == 1 and bool(first.values)
        return _condition(faults) if first.complete or of_original else CacheCondition()
    if not first.complete:
        return CacheCondition()
    faults = [] if first.shards else [f"the ConfigMap {base} has lost the annotation with the number of ConfigMaps"]
    for number in range(2, first.shards + 1):
        if number not in shards:
            faults.append(f"the ConfigMap {base}-{number} is missing")
    for _, seen in sorted(shards.items()):
        if seen.mark != mark_of(seen.values.keys() & readable):
            faults.append(_unreadable(seen, readable) or f"the ConfigMap {seen.name} lacks some of its keys")
    return _condition(faults)


def _condition(faults: list[str]) -> CacheCondition:
    damage = "; ".join(filter(None, faults))
    return CacheCondition(complete=not damage, damage=damage)


def _unreadable(seen: Observation, readable: set[str]) -> str:
    keys = sorted(seen.values.keys() - readable)
    if not keys:
        return ""
    more = f" and {len(keys) - _MOST_KEYS} more" if len(keys) > _MOST_KEYS else ""
    return f"the ConfigMap {seen.name} has values that cannot be read: {', '.join(keys[:_MOST_KEYS])}{more}"
