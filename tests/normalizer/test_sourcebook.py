"""When a source counts as read, and what its silence means."""

import pytest

from common.wire import Reconciler, Stored
from services.normalizer.sourcebook import SourceBook

GRACE = 600.0
FIRST = 300.0


@pytest.fixture
def book() -> SourceBook:
    return SourceBook(gone_grace=GRACE, first_sync_grace=FIRST, now=0)


def entry(source: str, reconciler: Reconciler = "kserve") -> Stored:
    return Stored(digest="d", reconciler=reconciler, source=source, ref="r" if source else "")


def test_what_a_source_lacks_is_gone_only_after_it_was_listed(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    assert not book.may_remove(entry("kserve"), 1)
    book.failed("kserve")
    assert not book.may_remove(entry("kserve"), 1)
    book.listed("kserve")
    assert book.may_remove(entry("kserve"), 1)


def test_a_failure_after_a_complete_listing_takes_nothing_back(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.listed("kserve")
    book.failed("kserve")
    assert book.may_remove(entry("kserve"), 1)
    assert book.complete(1)


def test_a_kind_that_the_cluster_no_longer_has_keeps_its_entries(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.listed("kserve")
    book.failed("kserve", waiting=False)
    assert not book.may_remove(entry("kserve"), 1)


def test_a_kind_that_the_cluster_does_not_have_does_not_keep_the_feed_back(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    assert not book.complete(1)
    book.failed("kserve", waiting=False)
    assert book.complete(1)


def test_a_source_that_cannot_be_read_keeps_an_empty_feed_back_for_the_grace(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:r", "registry")
    book.listed("kserve")
    book.failed("registry:r")
    assert not book.complete(FIRST - 1)
    assert book.complete(FIRST)
    assert list(book.waiting_for()) == ["registry:r"]


def test_a_source_that_was_never_tried_keeps_it_back_for_ever(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    assert not book.complete(FIRST * 2)
    assert not book.settled


def test_while_registries_are_looked_for_the_feed_waits(book: SourceBook) -> None:
    book.discovering(complete=False)
    assert not book.complete(1)
    book.discovering(complete=True)
    assert book.complete(1)


def test_the_models_of_a_registry_that_is_gone_stay_for_a_grace(book: SourceBook) -> None:
    book.declare("registry:r", "registry")
    book.listed("registry:r")
    book.withdraw("registry:r", now=10)
    assert not book.may_remove(entry("registry:r"), 10 + GRACE - 1)
    assert book.may_remove(entry("registry:r"), 10 + GRACE)
    assert book.expired(10 + GRACE - 1) == []
    assert book.expired(10 + GRACE) == ["registry:r"]
    assert book.next_check(FIRST) == 10 + GRACE


def test_a_registry_that_comes_back_in_time_loses_nothing(book: SourceBook) -> None:
    book.declare("registry:r", "registry")
    book.withdraw("registry:r", now=10)
    book.declare("registry:r", "registry")
    assert not book.may_remove(entry("registry:r"), 10 + GRACE)
    assert book.expired(10 + GRACE) == []


def test_a_source_of_an_earlier_life_is_gone_from_when_that_is_noticed(book: SourceBook) -> None:
    assert not book.may_remove(entry("registry:old"), 50)
    assert book.may_remove(entry("registry:old"), 50 + GRACE)


def test_nothing_is_gone_as_long_as_not_all_places_were_looked_at(book: SourceBook) -> None:
    book.discovering(complete=False)
    assert not book.may_remove(entry("registry:old"), 50)
    assert not book.may_remove(entry("registry:old"), 50 + 2 * GRACE)


def test_entries_of_the_original_wait_for_all_sources_of_their_kind(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:a", "registry")
    book.declare("registry:b", "registry")
    book.listed("kserve")
    book.listed("registry:a")
    assert book.may_remove(entry("", "kserve"), 1)
    assert not book.may_remove(entry("", "kubeflow"), 1)
    book.listed("registry:b")
    assert book.may_remove(entry("", "kubeflow"), 1)


def test_registries_that_were_not_read_are_named(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:a", "registry")
    assert book.unread_registries == {"registry:a"}
    assert book.awaiting_registries
    book.failed("registry:a")
    assert book.unread_registries == {"registry:a"}
    assert not book.awaiting_registries
    book.listed("registry:a")
    assert not book.unread_registries


def test_rounds_count_complete_listings(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:a", "registry")
    book.listed("kserve")
    book.listed("kserve")
    book.failed("registry:a")
    assert book.rounds == {"kserve": 2, "registry:a": 0, "": 0}
