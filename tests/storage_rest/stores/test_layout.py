"""The layout against a model of the API server: any order of changes, answers, losses, deaths and writes of others."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from services.storage_rest.stores.layout import Layout
from services.storage_rest.stores.loading import CacheCondition, assess
from services.storage_rest.stores.objects import Change, Observation, Patch, Value
from services.storage_rest.stores.shard import Shard
from tests.storage_rest.running import present

BUDGET = 100
LIMIT = 400
KEYS = [f"k_{n}" for n in range(8)]


def value(size: int, version: int = 0) -> Value:
    return Value(bytes(size), f"{size}-{version}")


@dataclass
class Server:
    """ConfigMaps by name: version, values and words; patches are applied as the API server does."""

    maps: dict[str, dict[str, Value]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    shards: dict[str, int] = field(default_factory=dict)
    complete: set[str] = field(default_factory=set)
    clock: int = 0

    def apply(self, patch: Patch) -> int | str:
        """The new version, or the name of an error."""
        exists = patch.shard in self.maps
        if not exists and not patch.create:
            return "404"
        if exists and patch.version != self.versions[patch.shard]:
            return "409"
        changed = {**self.maps.get(patch.shard, {}), **patch.changes}
        after = {key: change for key, change in changed.items() if change is not None}
        if sum(change.size for change in after.values()) > LIMIT:
            return "422"
        self.set(patch.shard, after)
        self.marks[patch.shard] = patch.mark or self.marks.get(patch.shard, "")
        self.shards[patch.shard] = patch.shards or self.shards.get(patch.shard, 0)
        if patch.complete:
            self.complete.add(patch.shard)
        return self.clock

    def delete(self, name: str) -> None:
        """Someone deletes a ConfigMap."""
        self.clock += 1
        del self.maps[name]
        for words in (self.marks, self.shards):
            words.pop(name, None)
        self.complete.discard(name)

    def set(self, name: str, values: dict[str, Value]) -> None:
        self.clock += 1
        self.maps[name], self.versions[name] = values, self.clock

    def seen(self, name: str) -> Observation:
        return Observation(
            name=name,
            version=self.versions[name],
            values=dict(self.maps[name]),
            described=name in self.marks,
            mark=self.marks.get(name, ""),
            shards=self.shards.get(name, 0),
            complete=name in self.complete,
        )

    def verdict(self) -> CacheCondition:
        """What a process that starts now makes of it."""
        layout = Layout(base="map", budget=BUDGET)
        return assess({layout.find(name).number: self.seen(name) for name in self.maps}, base="map", others=False)

    def merged(self) -> dict[str, Value]:
        """What a process that starts now reads: the copy in the highest ConfigMap."""
        layout = Layout(base="map", budget=BUDGET)
        found: dict[str, Value] = {}
        for name in sorted(self.maps, key=lambda name: layout.find(name).number):
            found.update(self.maps[name])
        return found


def answer(layout: Layout, shard: Shard, outcome: int | str | None) -> dict[str, Change]:
    """Tell the layout how a request ended (None: no one knows); returns what someone else changed."""
    changes: dict[str, Change] = {}
    if isinstance(outcome, int):
        layout.confirm(shard, outcome)
    elif outcome == "404":
        layout.put_back(shard, certain=True)
        changes = layout.lose(shard)
    elif outcome == "409":
        layout.put_back(shard, certain=True)
        shard.unsure = True
    elif outcome == "422":
        assert not layout.refuse(shard)
    else:
        layout.put_back(shard)
    return changes | layout.catch_up(shard)


def look(layout: Layout, shard: Shard, server: Server) -> dict[str, Change]:
    """Read a ConfigMap that the layout is not sure of."""
    return layout.read(shard, server.seen(shard.name) if shard.name in server.maps else None)


def settle(layout: Layout, server: Server, restore: Callable[[dict[str, Change]], None] = lambda _: None) -> None:
    """Send and answer until there is nothing more to send."""
    for _ in range(200):
        work = layout.work()
        if not work:
            return
        for shard in work:
            if shard.unsure:
                restore(look(layout, shard, server))
            elif (patch := shard.take()) is not None:
                restore(answer(layout, shard, server.apply(patch)))
    raise AssertionError("never comes to rest")


class Cache(RuleBasedStateMachine):
    """One process with its layout; `wanted` is what it wants, `durable` what it has acknowledged."""

    @initialize(size=st.sampled_from([0, 1, 10, 40]))
    def original(self, size: int) -> None:
        """There may be a ConfigMap of the original's, over every budget of ours."""
        self.server = Server()
        self.wanted: dict[str, Value] = {}
        self.acknowledged: set[str] = set()
        self.versions = 0
        self.behind = False  # someone's write has not been shown to us yet
        if size:
            self.wanted = {key: value(size) for key in KEYS}
            self.server.set("map", dict(self.wanted))
        self.start()

    def start(self) -> None:
        verdict = self.server.verdict()
        merged = self.server.merged()
        if verdict.complete and any(self.server.marks.values()):  # a cache of the original has nothing to check it by
            assert self.acknowledged <= merged.keys(), "a cache that lacks something counts as whole"
        self.layout = Layout(base="map", budget=BUDGET)
        self.layout.first.wants_complete = self.server.complete == {"map"} or bool(verdict.damage)
        for name in self.server.maps:
            self.layout.observe(self.server.seen(name))
        self.layout.tidy(merged)
        self.layout.mark(enabled=not verdict.damage)
        self.acknowledged = set(merged)
        assert not self.layout.unsettled

    def in_flight(self) -> list[Shard]:
        return [shard for shard in self.layout.shards if shard.sending]

    @rule(key=st.sampled_from(KEYS), size=st.integers(1, 130))
    def put(self, key: str, size: int) -> None:
        self.versions += 1
        self.wanted[key] = value(size, self.versions)
        self.layout.put(key, self.wanted[key])

    @rule(key=st.sampled_from(KEYS))
    def remove(self, key: str) -> None:
        self.wanted.pop(key, None)
        self.acknowledged.discard(key)
        self.layout.put(key, None)

    @rule(data=st.data())
    @precondition(lambda self: self.layout.work())
    def begin(self, data: st.DataObject) -> None:
        """A request that is under way while other things happen."""
        shard = data.draw(st.sampled_from(self.layout.work()))
        if shard.unsure:
            self.restore(look(self.layout, shard, self.server))
        else:
            shard.take()

    @rule(data=st.data(), arrived=st.booleans(), answered=st.booleans())
    @precondition(lambda self: self.in_flight())
    def end(self, data: st.DataObject, arrived: bool, answered: bool) -> None:
        shard = data.draw(st.sampled_from(self.in_flight()))
        outcome = self.server.apply(present(shard.sending)) if arrived else None
        self.restore(answer(self.layout, shard, outcome if answered else None))

    def restore(self, changes: Mapping[str, Change]) -> None:
        """Take over what someone else wrote, write again what someone else removed."""
        for key, change in changes.items():
            if change is not None:
                self.wanted[key] = change
            if key in self.wanted:
                self.layout.put(key, self.wanted[key])

    @rule(data=st.data())
    @precondition(lambda self: self.server.maps)
    def watch(self, data: st.DataObject) -> None:
        """An event shows a ConfigMap as it is now."""
        name = data.draw(st.sampled_from(sorted(self.server.maps)))
        self.show(name)

    def show(self, name: str) -> None:
        self.restore(self.layout.observe(self.server.seen(name)))
        if name == "map":
            self.behind = self.layout.first.sending is not None

    @rule(data=st.data())
    @precondition(lambda self: self.server.maps)
    def delete(self, data: st.DataObject) -> None:
        """Someone deletes a ConfigMap, and the watch tells."""
        name = data.draw(st.sampled_from(sorted(self.server.maps)))
        self.server.delete(name)
        self.layout.find(name).unsure = True

    @rule(key=st.sampled_from(KEYS), size=st.integers(1, 60))
    def foreign_write(self, key: str, size: int) -> None:
        """The original writes into the first ConfigMap, and the watch tells: the newer wins."""
        self.versions += 1
        written = value(size, self.versions)
        after = {**self.server.maps.get("map", {}), key: written}
        if sum(change.size for change in after.values()) > LIMIT:
            return
        self.server.set("map", after)
        self.show("map")

    @rule(data=st.data())
    @precondition(lambda self: any(self.server.maps.values()))
    def hand(self, data: st.DataObject) -> None:
        """Someone takes a key out of a ConfigMap; the event about it may never come."""
        name = data.draw(st.sampled_from(sorted(name for name, values in self.server.maps.items() if values)))
        values = dict(self.server.maps[name])
        del values[data.draw(st.sampled_from(sorted(values)))]
        self.server.set(name, values)
        if data.draw(st.booleans()):
            self.show(name)
        else:
            self.behind = True

    @rule()
    def confirm(self) -> None:
        """All is there, says the normalizer."""
        if not self.layout.unsettled and not self.in_flight():
            self.layout.first.wants_complete = True
        self.layout.mark(enabled=True)

    @rule()
    def die(self) -> None:
        """The process dies; the next one goes by what it reads, and its sources say the same as before."""
        self.start()
        self.behind = False
        merged = self.server.merged()
        for key in KEYS:
            if key in self.wanted and self.wanted[key] != merged.get(key):
                self.layout.put(key, self.wanted[key])
            if key not in self.wanted and key in merged:
                self.acknowledged.discard(key)
                self.layout.put(key, None)

    @invariant()
    def acknowledged_is_durable(self) -> None:
        """What counts as settled is what a process that starts now would read."""
        merged = self.server.merged()
        shown = {n for shard in self.layout.shards if shard.exists for n in [shard.name]}
        if shown != self.server.maps.keys() or self.in_flight() or self.behind:
            return  # what was deleted, or written without an answer, is not known yet
        if self.layout.numbered:
            self.acknowledged |= self.wanted.keys() - self.layout.unsettled
        for key in set(KEYS) - self.layout.unsettled:
            if all(self.server.versions[shard.name] == shard.version for shard in self.layout.shards if shard.exists):
                assert merged.get(key) == self.wanted.get(key), key

    def teardown(self) -> None:
        """Once everything is answered, each key is in one place, and it is the right one."""
        if not hasattr(self, "server"):
            return
        for shard in self.in_flight():
            self.layout.put_back(shard)
        self.layout.mark(enabled=True)
        self.layout.first.wants_complete = True
        for _ in range(3):
            settle(self.layout, self.server, self.restore)
            for name in list(self.server.maps):
                self.show(name)
        settle(self.layout, self.server, self.restore)
        assert not self.layout.unsettled
        places = [key for values in self.server.maps.values() for key in values]
        assert sorted(places) == sorted(self.wanted)
        assert self.server.merged() == self.wanted
        assert self.server.verdict() == CacheCondition(complete=True)


TestCache = Cache.TestCase
TestCache.settings = settings(max_examples=100, stateful_step_count=40)


@pytest.fixture
def layout() -> Layout:
    return Layout(base="map", budget=BUDGET)


@pytest.fixture
def server() -> Server:
    return Server()


def test_many_keys_go_into_many_small_configmaps(layout: Layout, server: Server) -> None:
    for n in range(100):
        layout.put(f"k_{n}", value(20))
    settle(layout, server)
    assert len(server.maps) == 25
    assert all(sum(v.size for v in values.values()) <= BUDGET for values in server.maps.values())
    assert list(server.maps)[:3] == ["map", "map-2", "map-3"]


def test_one_more_key_is_one_patch_of_its_size(layout: Layout, server: Server) -> None:
    for n in range(100):
        layout.put(f"k_{n}", value(10))
    settle(layout, server)
    layout.put("k_new", value(10))
    (shard,) = layout.work()
    patch = present(shard.take())
    assert (patch.size, list(patch.changes)) == (10, ["k_new"])


def test_unchanged_is_no_work(layout: Layout, server: Server) -> None:
    layout.put("k_1", value(10))
    settle(layout, server)
    layout.put("k_1", value(10))
    assert not layout.work()
    assert not layout.unsettled


def test_a_key_that_outgrows_its_configmap_moves_and_is_there_all_the_time(layout: Layout, server: Server) -> None:
    for n in range(4):
        layout.put(f"k_{n}", value(20))
    settle(layout, server)
    layout.put("k_1", value(60))
    (shard,) = layout.work()
    assert shard.name == "map-2"
    answer(layout, shard, server.apply(present(shard.take())))
    assert "k_1" not in layout.unsettled
    assert {name for name, values in server.maps.items() if "k_1" in values} == {"map", "map-2"}
    assert server.merged()["k_1"] == value(60)
    settle(layout, server)
    assert {name for name, values in server.maps.items() if "k_1" in values} == {"map-2"}


def test_a_value_over_the_budget_is_alone_and_stays_where_it_is(layout: Layout, server: Server) -> None:
    layout.put("k_1", value(10))
    layout.put("k_2", value(300))
    settle(layout, server)
    layout.put("k_2", value(310))
    settle(layout, server)
    assert {name: list(values) for name, values in server.maps.items()} == {"map": ["k_1"], "map-2": ["k_2"]}


def test_a_configmap_of_the_original_stays_until_its_keys_are_written(layout: Layout, server: Server) -> None:
    server.set("map", {f"k_{n}": value(30) for n in range(10)})
    assert layout.observe(server.seen("map")).keys() == {f"k_{n}" for n in range(10)}
    assert not [shard for shard in layout.work() if shard.pending]
    layout.put("k_3", value(31))
    settle(layout, server)
    assert list(server.maps["map-2"]) == ["k_3"]
    assert len(server.maps["map"]) == 9


def test_what_someone_filled_is_left_for_the_next(layout: Layout, server: Server) -> None:
    layout.put("k_1", value(10))
    settle(layout, server)
    server.set("map", {**server.maps["map"], "other": value(LIMIT - 10)})  # and no event has told us
    layout.put("k_2", value(20))
    settle(layout, server)
    assert list(server.maps["map-2"]) == ["k_2"]


def test_what_no_configmap_can_hold_is_given_up_alone(layout: Layout, server: Server) -> None:
    layout = Layout(base="map", budget=10_000)
    for n in range(4):
        layout.put(f"k_{n}", value(LIMIT + 1 if n == 2 else 10))
    given_up: dict[str, Value] = {}
    for _ in range(20):
        for shard in layout.work():
            patch = present(shard.take())
            outcome = server.apply(patch)
            if isinstance(outcome, int):
                layout.confirm(shard, outcome)
            else:
                given_up |= layout.refuse(shard)
    assert list(given_up) == ["k_2"]
    assert not layout.unsettled
    assert server.merged().keys() == {"k_0", "k_1", "k_3"}


def test_two_copies_are_one_after_the_start(layout: Layout, server: Server) -> None:
    """A process died between writing the new ConfigMap and clearing the old one."""
    server.set("map", {"k_1": value(10, 1), "k_2": value(10)})
    server.set("map-3", {"k_1": value(10, 2)})
    for name in server.maps:
        layout.observe(server.seen(name))
    layout.tidy(["k_1", "k_2"])
    settle(layout, server)
    assert server.maps == {"map": {"k_2": value(10)}, "map-2": {}, "map-3": {"k_1": value(10, 2)}}
    assert server.shards["map"] == 3


def test_a_write_is_for_the_version_that_was_seen_and_what_came_between_is_read(layout: Layout, server: Server) -> None:
    layout.put("k_1", value(10))
    settle(layout, server)
    server.set("map", {**server.maps["map"], "k_2": value(10)})  # and no event has told us
    layout.put("k_3", value(10))
    (shard,) = layout.work()
    assert answer(layout, shard, server.apply(present(shard.take()))) == {}
    assert look(layout, shard, server) == {"k_2": value(10)}
    settle(layout, server)
    assert server.maps["map"].keys() == {"k_1", "k_2", "k_3"}
    assert server.verdict().damage == ""
    assert server.seen("map").fits


def test_keys_that_someone_removed_are_still_in_the_mark(layout: Layout, server: Server) -> None:
    """If we died before they are written again, the next process would have to know that they are missing."""
    for n in range(3):
        layout.put(f"k_{n}", value(10))
    settle(layout, server)
    server.set("map", {"k_0": value(10)})
    assert layout.observe(server.seen("map")).keys() == {"k_1", "k_2"}
    layout.put("k_3", value(10))
    settle(layout, server)
    assert not server.seen("map").fits
    layout.put("k_1", None)
    layout.put("k_2", value(10))
    settle(layout, server)
    assert server.seen("map").fits


def test_a_list_that_shows_an_older_version_is_looked_into(layout: Layout, server: Server) -> None:
    """Either it was under way while we wrote, or the cluster was restored from a backup: then the backup is right."""
    layout.put("k_1", value(10, 1))
    settle(layout, server)
    backup = server.seen("map")
    layout.put("k_1", value(10, 2))
    settle(layout, server)
    assert layout.observe(backup, listed=True) == {}
    (shard,) = layout.work()
    assert layout.read(shard, server.seen("map")) == {}, "it was only late"
    assert layout.observe(backup, listed=True) == {}
    assert layout.read(shard, backup) == {"k_1": value(10, 1)}
    assert shard.version == backup.version


def test_what_is_left_as_it_was_found_is_not_marked(layout: Layout, server: Server) -> None:
    layout.mark(enabled=False)
    layout.put("k_1", value(10))
    settle(layout, server)
    assert not server.seen("map").fits
    layout.mark(enabled=True)
    settle(layout, server)
    assert server.seen("map").fits


def test_an_event_older_than_our_own_write_is_no_news(layout: Layout, server: Server) -> None:
    layout.put("k_1", value(10, 1))
    settle(layout, server)
    before = server.seen("map")
    layout.put("k_1", value(10, 2))
    settle(layout, server)
    assert layout.observe(before) == {}
    layout.put("k_1", value(10, 2))
    assert not layout.work()


def test_names(layout: Layout) -> None:
    assert [
        name
        for name in ("map", "map-2", "map-10", "map-1", "map-0", "map-02", "mapx", "map-x", "map-2-3")
        if layout.has_name(name)
    ] == ["map", "map-2", "map-10"]
    with pytest.raises(ValueError, match="map-1"):
        layout.find("map-1")
