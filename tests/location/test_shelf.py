"""What the shelf keeps, refuses and forgets."""

import pytest

from common.health import Health
from common.wire import Changes
from services.location.delivery import prepare
from services.location.shelf import Shelf
from tests.location.samples import model_document, served_document, upsert


def changes(*upserts: object, complete: bool = True, **fields: object) -> Changes:
    return Changes(revision="a-1", complete=complete, upserts=upserts, **fields)  # type: ignore[arg-type]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf(health=Health())


def test_an_incomplete_storage_adds_and_changes_but_never_removes(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1"), upsert("b_1"), cards={"k": "x"}), whole=True))
    shelf.apply(prepare(changes(upsert("c_1"), upsert("a_1", model_document("new")), complete=False), whole=True))
    shelf.apply(prepare(changes(removals=("b_1",), card_removals=("k",), complete=False), whole=False))
    assert shelf.keys() == {"a_1", "b_1", "c_1"}
    assert shelf.at_key("a_1").document.body == model_document("new")  # type: ignore[union-attr]
    assert shelf.card("k") is not None
    assert shelf.complete
    shelf.apply(prepare(changes(upsert("c_1")), whole=True))
    assert shelf.keys() == {"c_1"}
    assert shelf.card("k") is None


def test_changes_remove_what_they_name(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1"), upsert("b_1"), cards={"k": "", "l": ""}), whole=True))
    shelf.apply(prepare(changes(removals=("a_1", "never_there"), card_removals=("l",)), whole=False))
    assert (shelf.keys(), shelf.card("l")) == ({"b_1"}, None)
    assert shelf.card("k") is not None


def test_a_refused_document_keeps_its_former_state_and_hurts_nobody(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1"), upsert("b_1")), whole=True))
    problems = shelf.apply(prepare(changes(upsert("a_1", b'{"models": null}'), upsert("c_1")), whole=True))
    assert shelf.keys() == {"a_1", "c_1"}
    assert shelf.at_key("a_1").document.body == model_document()  # type: ignore[union-attr]
    (problem,) = problems
    assert problem.object == "document a_1"
    assert "no models" in problem.message


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
    moved = changes(upsert("c_1", card_key="k"), removals=("b_1",))
    shelf.apply(prepare(moved, whole=False))
    assert shelf.card("k") is not None
    shelf.apply(prepare(changes(upsert("c_1")), whole=False))
    assert shelf.card("k") is None


def test_the_index_is_made_anew_only_when_an_entry_comes_goes_or_moves(shelf: Shelf) -> None:
    shelf.apply(prepare(changes(upsert("a_1")), whole=True))
    before = shelf.membership
    shelf.apply(prepare(changes(upsert("a_1", model_document("other"))), whole=False))
    assert shelf.membership == before
    shelf.apply(prepare(changes(upsert("a_1", uri="/a/x/model-catalog.json")), whole=False))
    assert shelf.membership == before + 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b'{"models": null}',
        b'{"models": []}',
        b'{"models": {}}',
        b'{"models": [null]}',
        b'{"models": [{"owner": "x"}]}',
        b'{"models": [{"name": " "}]}',
        b'{"models": [{"name": 1}]}',
        b'{"models": [{"name": "a", "tags": null}]}',
        b'{"models": [{"name": "a", "tags": [1]}]}',
        b'{"models": [{"name": "a", "annotations": null}]}',
        b'{"models": [{"name": "a", "annotations": {"b": null}}]}',
        b'{"models": [{"name": "a"}], "modelServer": {"name": ""}}',
        b'{"models": [{"name": "a"}], "modelServer": []}',
        b'{"models": [{"name": "a"}], "modelServer": {"name": "s", "API": null}}',
        b'{"models": [{"name": "a"}], "modelServer": {"name": "s", "API": {"tags": null}}}',
        b'{"models": [{"name": "a"}], "modelServer": {"name": "s", "annotations": []}}',
        b'{"models": [{"name": "a", "name": "b"}]}',
        b'{"models": [{"name": "\xff"}]}',
        b'{"models": [{"name": "a"}], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"models": [{"name": "a"}], "x": ' + b"9" * 100_000 + b"}",
        b'{"models": [{"name": "a"}], "x": NaN}',
        b"models: [{name: a}]",
    ],
)
def test_what_would_stop_a_reader_is_refused(body: bytes) -> None:
    assert list(prepare(changes(upsert("a_1", body)), whole=True).refused) == ["a_1"]


@pytest.mark.parametrize("body", [model_document(), served_document(), b'{"models":[{"name":"a"}],"modelServer":null}'])
def test_what_readers_can_walk_through_is_taken(body: bytes) -> None:
    assert prepare(changes(upsert("a_1", body)), whole=True).refused == {}


@pytest.mark.parametrize("key", ["", "noseparator", "_x", "x_", "a/b_c", "a_b\n", "ä_b", "a_" + "b" * 252, "../.._x"])
def test_keys_that_no_uri_can_be_made_of_are_refused(key: str) -> None:
    assert key in prepare(changes(upsert(key)), whole=True).refused


@pytest.mark.parametrize(
    "uri",
    [
        "/a/model-catalog.json",
        "/../b/model-catalog.json",
        "/a/./model-catalog.json",
        "/a/b%2fc/model-catalog.json",
        "/a/b/c/model-catalog.json",
        "//b/model-catalog.json",
        "/a/b/model-catalog.json\n",
        "/a/b/list",
        "a/b/model-catalog.json",
    ],
)
def test_uris_that_are_no_paths_of_the_feed_are_refused(uri: str) -> None:
    assert "a_b" in prepare(changes(upsert("a_b", uri=uri)), whole=True).refused
