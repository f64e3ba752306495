from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from common.wire import Awaited, Batch, Changes, Leaving
from services.storage_rest.cache import EARLY_CARDS, Cache
from services.storage_rest.stores.base import LoadedCache
from tests.storage_rest.running import present, upsert

KEYS = st.sampled_from(["a_1", "a_2", "b_1", "b_2"])
CARDS = st.sampled_from(["", "card", "other"])
UPSERTS = st.builds(
    lambda key, text, card: upsert(key, text.encode(), card_key=card), KEYS, st.sampled_from("xyz"), CARDS
)
BATCHES = st.builds(
    lambda upserts, removals, cards, complete: Batch(
        upserts=tuple(upserts), removals=dict.fromkeys(removals, "gone"), cards=cards, complete=complete
    ),
    st.lists(UPSERTS, max_size=3),
    st.lists(KEYS, max_size=2),
    st.dictionaries(st.sampled_from(["card", "other"]), st.sampled_from(["one", "two"])),
    st.booleans(),
)


class Follower:
    """Applies changes as location does."""

    def __init__(self, snapshot: Changes) -> None:
        self.entries = {entry.key: entry for entry in snapshot.upserts}
        self.cards = dict(snapshot.cards)
        self.revision = snapshot.revision

    def follow(self, changes: Changes) -> None:
        self.entries.update({entry.key: entry for entry in changes.upserts})
        self.cards.update(changes.cards)
        for key in changes.removals:
            self.entries.pop(key, None)
        for key in changes.card_removals:
            self.cards.pop(key, None)
        self.revision = changes.revision


@given(st.lists(st.tuples(BATCHES, st.booleans()), max_size=12))
def test_a_follower_has_what_the_cache_has_however_seldom_it_asks(steps: list[tuple[Batch, bool]]) -> None:
    cache = Cache()
    follower = Follower(cache.snapshot())
    for batch, asks in steps:
        cache.apply(batch)
        if asks:
            follower.follow(present(cache.since(follower.revision)))
    follower.follow(present(cache.since(follower.revision)))
    assert follower.entries == cache.entries
    assert follower.cards == cache.cards
    assert follower.revision == cache.revision


@given(st.lists(BATCHES, max_size=12))
def test_a_batch_twice_changes_nothing_the_second_time(batches: list[Batch]) -> None:
    cache = Cache()
    for batch in batches:
        cache.apply(batch)
        revision = cache.revision
        if {item.key for item in batch.upserts} & batch.removals.keys():
            continue  # this one puts and removes the same key, each time again
        if any(a.key == b.key and a != b for a in batch.upserts for b in batch.upserts):  # and this one cannot decide
            continue
        changes = cache.apply(batch)
        assert (changes.upserts, changes.removals, changes.cards, changes.card_removals) == ((), {}, {}, ())
        assert cache.revision == revision


@given(st.lists(BATCHES, max_size=12))
def test_every_card_has_a_referrer(batches: list[Batch]) -> None:
    cache = Cache()
    for batch in batches:
        cache.apply(batch)
        assert cache.cards.keys() <= {entry.card_key for entry in cache.entries.values()}


def test_a_card_goes_with_its_last_referrer() -> None:
    cache = Cache()
    cache.apply(Batch(upserts=(upsert("a_1", card_key="c"), upsert("a_2", card_key="c")), cards={"c": "text"}))
    assert cache.apply(Batch(removals={"a_1": "gone"})).card_removals == ()
    assert cache.apply(Batch(upserts=(upsert("a_2"),))).card_removals == ("c",)
    assert cache.cards == {}


def test_a_card_may_come_before_its_referrer() -> None:
    cache = Cache()
    revision = cache.revision
    cache.apply(Batch(cards={"c": "text"}))
    assert cache.revision == revision
    assert cache.apply(Batch(upserts=(upsert("a_1", card_key="c"),))).cards == {"c": "text"}


def test_cards_without_a_referrer_do_not_pile_up() -> None:
    cache = Cache()
    cache.apply(Batch(cards={f"c{n}": "text" for n in range(EARLY_CARDS + 1)}))
    changes = cache.apply(Batch(upserts=(upsert("a_1", card_key="c0"), upsert("a_2", card_key="c1"))))
    assert changes.cards == {"c1": "text"}


def test_complete_stays_and_is_a_change() -> None:
    cache = Cache()
    revision = cache.revision
    assert cache.apply(Batch(complete=True)).complete
    assert cache.revision != revision
    assert cache.apply(Batch(upserts=(upsert(),))).complete


def test_what_is_waited_for_is_a_change_and_ends_with_completeness() -> None:
    cache = Cache()
    awaited = (Awaited(source="registry:r", reason="slow"),)
    first = cache.apply(Batch(awaited=awaited))
    assert (first.awaited, cache.listing().awaited, cache.snapshot().awaited) == (awaited, awaited, awaited)
    assert cache.apply(Batch(awaited=awaited)).revision == first.revision
    assert cache.apply(Batch()).awaited == awaited
    assert cache.apply(Batch(complete=True)).awaited == ()
    assert cache.apply(Batch(awaited=awaited)).awaited == ()


def test_a_revision_of_another_process_is_unknown() -> None:
    cache, other = Cache(), Cache()
    assert cache.since(other.revision) is None
    for revision in (
        "",
        "1",
        "-",
        f"{cache.revision[:-1]}-1",
        f"{cache.revision[:-1]}²",
        f"{cache.revision[:-1]}{'9' * 5000}",
    ):
        assert cache.since(revision) is None


def test_a_follower_that_missed_too_many_removals_is_told() -> None:
    cache = Cache(tombstones=10)
    start = cache.revision
    cache.apply(Batch(upserts=tuple(upsert(f"a_{n}") for n in range(40))))
    middle = cache.revision
    for n in range(40):
        cache.apply(Batch(removals={f"a_{n}": "gone"}))
    assert cache.since(start) is None
    assert cache.since(middle) is None
    assert cache.since(cache.revision) is not None
    assert len(cache._log) <= 10


def test_the_listing_tells_digests() -> None:
    cache = Cache()
    entry = upsert("a_1", source="kserve:local", ref="isvc:local:a/1", card_key="c")
    cache.load(LoadedCache(upserts=(entry,), cards={"c": "text"}, complete=True))
    listing = cache.listing()
    assert listing.entries == {"a_1": entry.stored}
    assert listing.complete
    assert set(listing.cards) == {"c"}


def test_a_mark_is_set_and_cleared_without_the_document() -> None:
    cache = Cache()
    cache.apply(Batch(upserts=(upsert("a_1"),)))
    mark = Leaving(since=1, reason="not-listed")
    changes = cache.apply(Batch(leaving={"a_1": mark, "unknown_1": mark}))
    assert [(entry.key, entry.leaving) for entry in changes.upserts] == [("a_1", mark)]
    assert cache.listing().entries["a_1"].leaving == mark
    revision = cache.revision
    cache.apply(Batch(leaving={"a_1": mark}))
    assert cache.revision == revision
    assert cache.apply(Batch(leaving={"a_1": None})).upserts == (upsert("a_1"),)


def test_a_document_that_is_sent_again_clears_its_mark() -> None:
    cache = Cache()
    cache.apply(Batch(upserts=(replace(upsert("a_1"), leaving=Leaving(since=1, reason="not-listed")),)))
    cache.apply(Batch(upserts=(upsert("a_1"),)))
    assert cache.listing().entries["a_1"].leaving is None


def test_removals_are_reported_with_the_latest_reason() -> None:
    cache = Cache()
    start = cache.revision
    for reason in ("not-listed", "deleted"):
        cache.apply(Batch(upserts=(upsert("a_1"),)))
        cache.apply(Batch(removals={"a_1": reason}))
    assert present(cache.since(start)).removals == {"a_1": "deleted"}


def test_a_confirmation_completes_and_is_a_change() -> None:
    cache = Cache()
    assert not cache.apply(Batch(complete=True)).confirmed
    revision = cache.revision
    changes = cache.apply(Batch(confirmed=True))
    assert (changes.complete, changes.confirmed) == (True, True)
    assert cache.revision != revision
    assert cache.snapshot().confirmed


class TestWithheld:
    """What is accepted and not durable yet is shown as it was."""

    def test_an_addition_and_a_change_are_shown_when_they_are_released(self) -> None:
        cache = Cache()
        cache.apply(Batch(upserts=(upsert("a_1"),)))
        start = cache.revision
        changed = upsert("a_1", updated="2")
        shown = cache.apply(Batch(upserts=(changed, upsert("b_1"))), withhold=True)
        assert (set(shown.upserts), shown.removals) == ({upsert("a_1")}, {}), "nothing was removed"
        assert cache.snapshot().upserts == (upsert("a_1"),)
        assert cache.shown_keys == ["a_1"]
        assert cache.listing().entries.keys() == {"a_1", "b_1"}, "its sender need not send it again"
        assert set(cache.release(["a_1", "b_1"]).upserts) == {changed, upsert("b_1")}
        assert set(present(cache.since(start)).upserts) == {changed, upsert("b_1")}
        assert not cache.withheld

    def test_a_removal_is_shown_at_once(self) -> None:
        cache = Cache()
        cache.apply(Batch(upserts=(upsert("a_1"),)))
        cache.apply(Batch(upserts=(upsert("a_1", updated="2"),)), withhold=True)
        assert cache.apply(Batch(removals={"a_1": "deleted"}), withhold=True).removals == {"a_1": "deleted"}
        assert not cache.withheld

    def test_what_is_shown_is_not_everything_while_an_addition_is_withheld(self) -> None:
        cache = Cache()
        told = cache.apply(Batch(upserts=(upsert("a_1"),), complete=True, confirmed=True), withhold=True)
        for changes in (told, cache.snapshot()):
            assert (changes.complete, changes.confirmed) == (False, False)
        assert cache.listing().complete, "its sender need not confirm it again"
        assert cache.release(["a_1"]).complete
        assert cache.snapshot().confirmed

    def test_what_was_shown_as_everything_stays_so(self) -> None:
        cache = Cache()
        cache.apply(Batch(upserts=(upsert("a_1"),), complete=True))
        assert cache.apply(Batch(upserts=(upsert("b_1"),)), withhold=True).complete

    @given(st.lists(st.tuples(BATCHES, st.booleans(), st.booleans()), max_size=12))
    def test_a_follower_sees_what_is_shown_and_in_the_end_everything(
        self, steps: list[tuple[Batch, bool, bool]]
    ) -> None:
        cache = Cache()
        follower = Follower(cache.snapshot())
        for batch, withhold, asks in steps:
            cache.apply(batch, withhold=withhold)
            if asks:
                follower.follow(present(cache.since(follower.revision)))
                assert follower.entries == {entry.key: entry for entry in cache.snapshot().upserts}
        cache.release(list(cache.withheld))
        follower.follow(present(cache.since(follower.revision)))
        assert follower.entries == cache.entries


def test_what_was_loaded_damaged_is_complete_once_it_is_confirmed() -> None:
    cache = Cache()
    cache.load(LoadedCache(upserts=(upsert("a_1"),), damage="something is missing"))
    assert not cache.apply(Batch(complete=True)).complete
    assert cache.snapshot().damage == cache.listing().damage == "something is missing"
    assert cache.apply(Batch(confirmed=True)).complete
    assert cache.listing().damage == ""
