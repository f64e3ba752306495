"""Clusters that have the same namespaces and names: entries are distinct and keep what they are called."""

import json
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.wire import Stored
from services.normalizer.desired import Desired
from services.normalizer.facts import LOCAL, Gone, Ref
from services.normalizer.ledger import Ledger, Patience
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.result import ClusterView, Defaults
from services.normalizer.plan import differing, plan
from services.normalizer.sourcebook import SourceBook, cluster_source
from tests import objects

IDS = (LOCAL, "api.prod.example.com_6443", "api.stage.example.com_6443")
NAMES = ("m", "n")
CLUSTER = "rhdh.modelcatalog.io/cluster"


class World:
    """Objects in clusters, what is called how, and a normalizer's pure parts, which can be started again."""

    def __init__(self, called: Sequence[str] = ("hub", "prod", "stage")) -> None:
        self.called = dict(zip(IDS, called, strict=True))
        self.present: dict[Ref, str] = {}
        self.storage: dict[str, Stored] = {}
        self.documents: dict[str, dict[str, Any]] = {}
        self.details: dict[str, dict[str, str]] = {}
        self.first: dict[str, tuple[str, str, str]] = {}
        self.start()

    def start(self, order: Sequence[Ref] = ()) -> None:
        """Start over what is stored, with all objects told in an order."""
        self.book = SourceBook(first_sync_grace=0)
        self.desired = Desired(defaults=Defaults(), ledger=Ledger(Patience(), self.book))
        self.desired.seed(self.storage, now=0)
        for cluster in IDS:
            self.book.declare(cluster_source("kserve", cluster), "kserve")
        self.call(self.called)
        for ref in order:
            self.tell(ref)

    def call(self, called: dict[str, str]) -> None:
        """Call the clusters so."""
        self.called = called
        for cluster, name in called.items():
            self.desired.put_cluster(cluster, ClusterView(name, Defaults()))
        self.settle()

    def arrive(self, cluster: str, name: str, *, title: str = "") -> None:
        """Let there be an InferenceService."""
        ref = Ref.isvc(cluster, "models", name)
        self.present[ref] = title
        self.tell(ref)

    def tell(self, ref: Ref) -> None:
        annotations = {"openshift.io/display-name": title} if (title := self.present[ref]) else {}
        facts = read_isvc(objects.isvc(ref.ids[1], annotations=annotations))
        self.desired.put(cluster_source("kserve", ref.place), ref, facts)
        self.settle()

    def delete(self, ref: Ref) -> None:
        """Delete an InferenceService."""
        del self.present[ref]
        self.first.pop(str(ref), None)
        self.desired.put(cluster_source("kserve", ref.place), ref, Gone())
        self.settle()

    def settle(self) -> None:
        """Render and store until nothing changes any more."""
        while True:
            self.desired.render(now=0)
            wanted = self.desired.wanted
            keys = differing(wanted.keys() | self.storage.keys(), wanted=wanted, stored=self.storage)
            departures = self.desired.departures(keys, stored=self.storage)
            made = plan(
                keys, wanted=wanted, stored=self.storage, departures=departures, marks={}, leaving=(), refused={}
            )
            if made.empty:
                return
            for upsert in (each for group in made.upserts for each in group):
                self.storage[upsert.key] = upsert.stored
                self.documents[upsert.key] = json.loads(upsert.body)
                self.details[upsert.key] = json.loads(upsert.details)
            for key in made.removals:
                del self.storage[key]
            self.desired.documents.free_names(self.storage)
            for key, entry in self.storage.items():
                self.first.setdefault(entry.ref, (key, entry.model_name, entry.server_name))

    def check(self) -> None:
        """Hold that each object has one entry, distinct from the others, called as it was first."""
        entries = {entry.ref: (key, entry.model_name, entry.server_name) for key, entry in self.storage.items()}
        assert entries.keys() == {str(ref) for ref in self.present}
        assert len(entries) == len(self.storage)
        for kind in range(3):
            assert len({called[kind].lower() for called in entries.values()}) == len(entries)
        assert entries == self.first
        for key, entry in self.storage.items():
            name = self.called[Ref.parse(entry.ref).place]
            [model] = self.documents[key]["models"]
            assert model["annotations"][CLUSTER] == name
            assert f"cluster-{name}" in model["tags"]
            assert self.details[key]["cluster"] == name


OPERATIONS = st.one_of(
    st.tuples(st.just("arrive"), st.sampled_from(IDS), st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), st.integers(0, 5)),
    st.tuples(st.just("restart"), st.randoms(use_true_random=False)),
    st.tuples(st.just("call"), st.permutations(("hub", "prod", "stage"))),
)


@settings(max_examples=150)
@given(st.lists(OPERATIONS, max_size=14))
def test_entries_are_distinct_and_keep_what_they_are_called(operations: list[tuple[object, ...]]) -> None:
    world = World()
    for operation in operations:
        match operation:
            case ("arrive", str(cluster), str(name)):
                world.arrive(cluster, name)
            case ("delete", int(number)) if world.present:
                world.delete(sorted(world.present)[number % len(world.present)])
            case ("restart", Random() as random):
                order = sorted(world.present)
                random.shuffle(order)
                world.start(order)
            case ("call", [str(hub), str(prod), str(stage)]):
                world.call(dict(zip(IDS, (hub, prod, stage), strict=True)))
        world.check()


def test_what_was_there_first_has_the_plain_name_and_the_others_their_clusters() -> None:
    world = World()
    world.arrive(IDS[1], "m")
    world.arrive(IDS[0], "m")
    world.arrive(IDS[2], "m")
    assert {Ref.parse(ref).place: called[0] for ref, called in world.first.items()} == {
        IDS[1]: "models_m",
        IDS[0]: "models_m-hub",
        IDS[2]: "models_m-stage",
    }
    assert {called[1] for called in world.first.values()} == {"models-m", "models-m-hub", "models-m-stage"}


def test_without_a_collision_the_cluster_is_in_no_name() -> None:
    world = World()
    world.arrive(IDS[1], "m")
    world.arrive(IDS[2], "n")
    assert sorted(world.storage) == ["models_m", "models_n"]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_titles_say_the_cluster_only_where_two_clusters_have_the_same(order: tuple[int, int]) -> None:
    world = World()
    places = [IDS[number] for number in order]
    world.arrive(places[0], "m", title="Granite")
    [alone] = world.details.values()
    assert alone["title"] == "Granite"
    world.arrive(places[1], "n", title="granite")
    assert sorted(details["title"] for details in world.details.values()) in (
        ["Granite (hub)", "granite (prod)"],
        ["Granite (prod)", "granite (hub)"],
    )
    world.delete(Ref.isvc(places[1], "models", "n"))
    assert world.details["models_m"]["title"] == "Granite"


def test_an_entry_without_clusters_keeps_its_name_when_the_file_gives_it_one() -> None:
    world = World(("", "", ""))
    world.arrive(LOCAL, "m")
    [before] = world.storage.values()
    world.call({IDS[0]: "hub", IDS[1]: "prod", IDS[2]: "stage"})
    [after] = world.storage.values()
    assert replace(after, digest="") == replace(before, digest="")
    world.check()
