"""When a source counts as read, and when all that can be known is known."""

import pytest

from common.wire import Awaited
from services.normalizer.sourcebook import SourceBook, unknown_source

FIRST = 300.0


@pytest.fixture
def book() -> SourceBook:
    return SourceBook(first_sync_grace=FIRST)


def complete(book: SourceBook, now: float, *, documents: int = 1) -> bool:
    return book.is_complete(now, documents=documents)


def test_a_failure_after_a_complete_look_takes_nothing_back_from_the_feed(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.listed("kserve", now=1)
    book.failed("kserve")
    assert complete(book, 1)
    assert book.is_confirmed(())


def test_a_source_that_fails_says_nothing_until_it_works_again(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    assert book.last_look("kserve") is None
    book.listed("kserve", now=1)
    assert book.last_look("kserve") == 1
    book.failed("kserve")
    assert book.last_look("kserve") is None
    book.recovered("kserve")
    assert book.last_look("kserve") == 1


def test_a_kind_that_the_cluster_does_not_have_does_not_keep_the_feed_back(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    assert not complete(book, 1)
    book.failed("kserve", waiting=False)
    assert complete(book, 1)
    assert book.is_confirmed(())
    assert not book.is_confirmed({"kserve"})  # it had the kind before
    assert book.last_look("kserve") is None


def test_a_source_that_cannot_be_read_is_waited_for_from_when_another_one_was(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:r", "registry")
    book.failed("registry:r")
    book.listed("kserve", now=1000)
    assert not complete(book, 1000 + FIRST - 1)
    assert complete(book, 1000 + FIRST)
    assert not book.is_confirmed(())
    assert [each.source for each in book.awaited(documents=1)] == ["registry:r"]


def test_what_is_waited_for_is_named_with_its_reason_and_the_end_of_the_wait(book: SourceBook) -> None:
    def awaited(*, documents: int = 1) -> tuple[Awaited, ...]:
        return book.awaited(documents=documents)

    book.declare("kserve", "kserve")
    book.declare("registry:r", "registry")
    first_time = "it is being read for the first time"
    assert awaited() == tuple(Awaited(source=each, reason=first_time) for each in ("kserve", "registry:r"))
    book.listed("kserve", now=1000)
    assert awaited() == (Awaited(source="registry:r", reason=first_time),)
    book.failed("registry:r", reason="unreachable")
    assert awaited() == (Awaited(source="registry:r", reason="unreachable", until=1300),)
    assert awaited(documents=0) == (Awaited(source="registry:r", reason="unreachable"),)
    book.failed("registry:r", waiting=False, reason="no-address")
    assert awaited() == ()
    # A damaged cache needs a confirmation: of the sources of its entries too, in any state.
    damaged = book.awaited(documents=1, with_entries={"registry:r"})
    assert damaged == (Awaited(source="registry:r", reason="no-address"),)


def test_of_one_whose_end_was_seen_it_does_not_matter_what_else_was_looked_at(book: SourceBook) -> None:
    book.set_search("waiting", reason="Routes may not be read")
    for source in ("registry:a", "registry:b"):
        book.declare(source, "registry")
    book.withdraw("registry:a", proven=True)
    book.withdraw("registry:b")
    assert (book.is_gone("registry:a"), book.is_gone("registry:b")) == (True, False)
    book.declare("registry:a", "registry")
    assert not book.is_gone("registry:a")
    book.withdraw("registry:a")
    assert not book.is_gone("registry:a")


def test_the_search_for_registries_is_named_too(book: SourceBook) -> None:
    book.set_search("waiting", reason="Routes may not be read")
    [discovery] = book.awaited(documents=1)
    assert (discovery.source, discovery.reason) == ("discovery of registries", "Routes may not be read")
    book.set_search("misnamed", reason="Routes may not be read")
    assert book.awaited(documents=1) == ()


def test_ways_to_registries_that_may_not_be_read_hide_nothing_unless_something_of_theirs_is_stored(
    book: SourceBook,
) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:configured", "registry")
    book.listed("kserve", now=1)
    book.listed("registry:configured", now=1)
    book.set_search("misnamed")
    assert not book.is_confirmed(())
    book.set_search("refused", reason="Routes may not be read")
    stored = {"kserve", "registry:configured"}
    assert book.is_confirmed(stored)
    assert book.awaited(documents=1, with_entries=stored) == ()
    for witness in ("registry:found", "original:kubeflow"):
        assert not book.is_confirmed(stored | {witness})
        [discovery] = book.awaited(documents=1, with_entries=stored | {witness})
        assert discovery.reason == "Routes may not be read"
    assert not book.is_gone("registry:found"), "it may be there"


def test_waiting_never_makes_an_empty_feed_complete(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:r", "registry")
    book.failed("registry:r")
    book.listed("kserve", now=0)
    assert not complete(book, 2 * FIRST, documents=0)


def test_while_no_source_could_be_read_the_grace_does_not_begin(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.failed("kserve")
    assert not complete(book, 1e9)


def test_a_source_that_was_never_tried_keeps_the_feed_back_for_ever(book: SourceBook) -> None:
    book.declare("kserve", "kserve")
    book.declare("registry:r", "registry")
    book.listed("kserve", now=0)
    assert not complete(book, FIRST * 2)
    assert not book.all_tried


def test_while_registries_are_looked_for_the_feed_waits(book: SourceBook) -> None:
    book.set_search("waiting")
    assert not complete(book, 1)
    assert not book.is_gone("registry:old")
    book.set_search("exhaustive")
    assert complete(book, 1)
    assert book.is_gone("registry:old")


def test_a_source_covers_the_namespaces_that_it_looks_at(book: SourceBook) -> None:
    book.declare("kserve", "kserve", namespaces=["mine"])
    assert book.covers("kserve", "isvc:local:mine/m")
    assert not book.covers("kserve", "isvc:local:theirs/m")
    assert not book.covers("kserve", "a key of the original")
    book.declare("all", "kserve")
    assert book.covers("all", "isvc:local:theirs/m")


def test_all_sources_of_a_kind_were_looked_at_when_the_last_one_was(book: SourceBook) -> None:
    assert book.last_look(unknown_source("registry")) is None
    book.declare("registry:a", "registry")
    book.declare("registry:b", "registry")
    book.listed("registry:a", now=5)
    assert book.last_look(unknown_source("registry")) is None
    book.listed("registry:b", now=3)
    assert book.last_look(unknown_source("registry")) == 3
    book.set_search("waiting")
    assert book.last_look(unknown_source("registry")) is None


def test_registries_that_may_soon_tell_more_are_awaited(book: SourceBook) -> None:
    book.declare("registry:a", "registry")
    assert book.untried_clusters(registries_only=True)
    book.failed("registry:a")
    assert not book.untried_clusters(registries_only=True)
