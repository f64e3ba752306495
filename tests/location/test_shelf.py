"""What the shelf keeps, refuses and forgets."""

import pytest

from common.health import Health
from common.wire import Changes, Upsert
from services.location.delivery import prepare
from services.location.shelf import Shelf
from tests.location.samples import model_document, upsert


def changes(*upserts: object, complete: bool = True, **fields: object) -> Changes:
    return Changes(revision="a-1", complete=complete, upserts=upserts, **fields)  # type: ignore[arg-type]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(health=Health())


def test_what_is_not_named_stays_and_what_is_reported_goes(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1"), upsert("b_1"), cards={"k": "x"}), whole=True))
    shelf.apply(prepare(changes(upsert("c_1"), upsert("a_1", model_document("new"))), whole=False))
    assert shelf.keys() == {"a_1", "b_1", "c_1"}
    assert shelf.at_key("a_1").document.body == model_document("new")  # type: ignore[union-attr]
    assert shelf.card("k") is not None
    shelf.apply(prepare(changes(removals={"b_1": "gone"}, card_removals=("k",), complete=False), whole=False))
    assert shelf.keys() == {"a_1", "c_1"}
    assert shelf.card("k") is None
    assert shelf.complete
    shelf.apply(prepare(changes(upsert("c_1")), whole=True))
    assert shelf.keys() == {"c_1"}


def test_changes_remove_what_they_name(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1"), upsert("b_1"), cards={"k": "", "l": ""}), whole=True))
    shelf.apply(prepare(changes(removals={"a_1": "gone", "never_there": "gone"}, card_removals=("l",)), whole=False))
    assert shelf.keys() == {"b_1"}
    assert shelf.card("l") is None
    assert shelf.card("k") is not None


def test_a_refused_document_keeps_its_former_state_and_hurts_no_one(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1"), upsert("b_1")), whole=True))
    problems = shelf.apply(prepare(changes(upsert("a_1", b'{"models": null}'), upsert("c_1")), whole=True))
    assert shelf.keys() == {"a_1", "c_1"}
    assert shelf.at_key("a_1").document.body == model_document()  # type: ignore[union-attr]
    (problem,) = problems
    assert problem.object == "document a_1"
    assert "models must be a list with at least one model" in problem.message


def test_a_uri_belongs_to_one_key(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_b_c", uri="/a_b/c/model-catalog.json")), whole=True))
    problems = shelf.apply(prepare(changes(upsert("x_y", uri="/a_b/c/model-catalog.json")), whole=False))
    assert shelf.keys() == {"a_b_c"}
    assert "belongs to the key a_b_c" in problems[0].message
    assert shelf.at_uri("/a/b_c/model-catalog.json") is None


def test_a_uri_can_pass_from_one_key_to_another_in_one_delivery(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1", uri="/a/1/model-catalog.json")), whole=True))
    taker = upsert("b_1", uri="/a/1/model-catalog.json")
    leaver = upsert("a_1", uri="/a/2/model-catalog.json")
    assert shelf.apply(prepare(changes(taker, leaver), whole=False)) == ()
    assert [entry.uri for entry in shelf.entries()] == ["/a/1/model-catalog.json", "/a/2/model-catalog.json"]
    assert shelf.at_uri("/a/1/model-catalog.json").key == "b_1"  # type: ignore[union-attr]


def test_a_card_goes_with_the_last_entry_that_has_it(shelf: Shelf) -> None:
    shelf.apply(
        prepare(changes(upsert("a_1", card_key="k"), upsert("b_1", card_key="k"), cards={"k": "x"}), whole=True)
    )
    shelf.remove("a_1")
    assert shelf.card("k") is not None
    moved = changes(upsert("c_1", card_key="k"), removals={"b_1": "gone"})
    shelf.apply(prepare(moved, whole=False))
    assert shelf.card("k") is not None
    shelf.apply(prepare(changes(upsert("c_1")), whole=False))
    assert shelf.card("k") is None


def test_the_index_is_made_again_only_when_an_entry_comes_goes_or_moves(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1")), whole=True))
    before = shelf.membership
    shelf.apply(prepare(changes(upsert("a_1", model_document("other"))), whole=False))
    assert shelf.membership == before
    shelf.apply(prepare(changes(upsert("a_1", uri="/a/x/model-catalog.json")), whole=False))
    assert shelf.membership == before + 1


@pytest.mark.parametrize(
    "bad",
    [upsert("noseparator"), upsert("a_b", uri="/a/b/list"), upsert("a_b", b'{"models":null}')],
    ids=lambda u: u.key,
)
def test_what_the_feed_cannot_have_is_refused(bad: Upsert) -> None:
    assert list(prepare(changes(bad, upsert("good_1")), whole=True).refused) == [bad.key]
