"""Whatever is delivered in whatever order, what is listed is served, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from common.health import Health
from common.wire import Changes
from services.location.delivery import prepare
from services.location.shelf import Shelf
from tests.location.samples import model_document, upsert

SEGMENTS = st.sampled_from(["a", "b", "a_b", "b_c"])
KEYS = st.builds("{}_{}".format, SEGMENTS, SEGMENTS)
URIS = st.one_of(st.just(""), st.builds("/{}/{}/model-catalog.json".format, SEGMENTS, SEGMENTS))
CARDS = st.sampled_from(["", "k", "l"])
UPSERTS = st.builds(
    lambda key, uri, card, name: upsert(key, model_document(name) if name else b"no document", uri=uri, card_key=card),
    KEYS,
    URIS,
    CARDS,
    st.sampled_from(["x", "y", ""]),
)
CHANGES = st.builds(
    Changes,
    revision=st.just("a-1"),
    complete=st.booleans(),
    upserts=st.lists(UPSERTS, max_size=6).map(tuple),
    removals=st.dictionaries(KEYS, st.just("gone"), max_size=3),
    cards=st.dictionaries(CARDS.filter(bool), st.text(max_size=3), max_size=2),
    card_removals=st.lists(CARDS, max_size=1).map(tuple),
)


@given(st.lists(st.tuples(CHANGES, st.booleans()), max_size=8))
def test_what_is_listed_is_served_and_nothing_else(deliveries: list[tuple[Changes, bool]]) -> None:
    shelf = Shelf(health=Health())
    for changes, whole in deliveries:
        before = shelf.keys()
        was_complete = shelf.complete
        delivery = prepare(changes, whole=whole)
        problems = shelf.apply(delivery)

        entries = shelf.entries()
        uris = [entry.uri for entry in entries]
        assert uris == sorted(set(uris))
        assert {entry.key for entry in entries} == shelf.keys()
        assert len(entries) == len(shelf)
        for entry in entries:
            assert shelf.at_uri(entry.uri) is shelf.at_key(entry.key) is entry

        told = {entry.key for entry in delivery.entries}
        assert len(problems) <= len(changes.upserts)
        assert shelf.complete == (was_complete or changes.complete)
        assert not shelf.keys() & (changes.removals.keys() - told)
        if whole:
            assert shelf.keys() <= told | (before & delivery.refused.keys())
        else:
            assert before <= shelf.keys() | changes.removals.keys()


@given(st.lists(CHANGES, min_size=1, max_size=6))
def test_the_same_delivery_twice_changes_nothing_the_second_time(deliveries: list[Changes]) -> None:
    shelf = Shelf(health=Health())
    for changes in deliveries:
        shelf.apply(prepare(changes, whole=False))
    once = served(shelf)
    membership = shelf.membership
    shelf.apply(prepare(Changes(revision="a-2", complete=True, upserts=(), removals={}), whole=False))
    assert (served(shelf), shelf.membership) == (once, membership)


def served(shelf: Shelf) -> list[tuple[str, bytes]]:
    return [(entry.uri, entry.document.body) for entry in shelf.entries()]
