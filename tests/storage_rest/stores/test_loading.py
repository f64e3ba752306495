"""Whatever happens to the ConfigMaps while no one runs: what counts as whole lacks nothing."""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from services.storage_rest.stores.loading import CacheCondition, assess
from services.storage_rest.stores.objects import Observation, Value, mark_of

Shards = dict[int, Observation]
Damage = Callable[[Shards, int, int], None]
GARBAGE = Value(b"", "garbage", usable=False)


def value(key: str) -> Value:
    return Value(key.encode(), key)


@st.composite
def whole(draw: st.DrawFn) -> Shards:
    """Two or more ConfigMaps that a process of ours left."""
    contents = draw(st.lists(st.integers(0, 4), min_size=2, max_size=4))
    shards = {}
    for number, size in enumerate(contents, 1):
        keys = [f"k_{number}{n}" for n in range(size)]
        shards[number] = Observation(
            name="map" if number == 1 else f"map-{number}",
            version=1,
            values={key: value(key) for key in keys},
            described=True,
            mark=mark_of(keys),
            shards=len(contents) if number == 1 else 0,
            complete=number == 1,
        )
    return shards


def on_one(change: Callable[[Observation], Observation | None]) -> Damage:
    def damage(shards: Shards, which: int, _: int) -> None:
        if shards:
            number = sorted(shards)[which % len(shards)]
            changed = change(shards.pop(number))
            if changed is not None:
                shards[number] = changed

    return damage


def lose_a_key(shards: Shards, which: int, key: int) -> None:
    seen = _one(shards, which)
    if seen is not None and seen.values:
        del seen.values[sorted(seen.values)[key % len(seen.values)]]


def garble_a_key(shards: Shards, which: int, key: int) -> None:
    seen = _one(shards, which)
    if seen is not None and seen.values:
        seen.values[sorted(seen.values)[key % len(seen.values)]] = GARBAGE


def add_a_key(shards: Shards, which: int, key: int) -> None:
    seen = _one(shards, which)
    if seen is not None:
        seen.values[f"theirs_{key}"] = value(f"theirs_{key}")


def _one(shards: Shards, which: int) -> Observation | None:
    return shards[sorted(shards)[which % len(shards)]] if shards else None


DAMAGES = [
    on_one(lambda seen: None),
    on_one(lambda seen: replace(seen, values={})),
    on_one(lambda seen: replace(seen, described=False)),
    on_one(lambda seen: replace(seen, mark="")),
    on_one(lambda seen: replace(seen, shards=0)),
    on_one(lambda seen: replace(seen, mark="", shards=0, complete=False, described=False)),
    lose_a_key,
    garble_a_key,
    add_a_key,
]


@given(
    whole(),
    st.lists(st.tuples(st.sampled_from(DAMAGES), st.integers(0, 9), st.integers(0, 9)), max_size=6),
)
def test_what_counts_as_whole_lacks_nothing(shards: Shards, damages: list[tuple[Damage, int, int]]) -> None:
    served = {key for seen in shards.values() for key in seen.values}
    assert assess(shards, base="map", others=False) == CacheCondition(complete=True)
    for damage, which, key in damages:
        damage(shards, which, key)
    if not any(seen.mark or seen.shards for seen in shards.values()):
        return  # nothing is left that says what there was: a cache of the original, or none
    verdict = assess(shards, base="map", others=False)
    readable = {key for seen in shards.values() for key, found in seen.values.items() if found.usable}
    assert not verdict.complete or served <= readable
    assert not (verdict.complete and verdict.damage)


def test_what_was_never_complete_is_new() -> None:
    seen = Observation(name="map", version=1, values={}, described=True, mark=mark_of(()), shards=1)
    assert assess({1: seen}, base="map", others=False) == CacheCondition()
    assert assess({}, base="map", others=False) == CacheCondition()


def test_cards_without_documents_are_the_rest_of_a_cache() -> None:
    assert assess({}, base="map", others=True).damage == "the ConfigMap map is missing"


def test_many_keys_are_reported_in_short() -> None:
    seen = Observation(name="map", version=1, values={f"k_{n}": GARBAGE for n in range(9)})
    assert assess({1: seen}, base="map", others=False).damage == (
        "the ConfigMap map has values that cannot be read: k_0, k_1, k_2 and 6 more"
    )
