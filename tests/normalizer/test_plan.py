"""The comparison of what is wanted with what is stored."""

from collections.abc import Mapping
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.wire import Leaving, Stored, Upsert
from services.normalizer.plan import Plan, differing, plan

MARK = Leaving(since=1, reason="not-listed")


def upsert(key: str, *, body: bytes = b"{}", ref: str | None = None, server: str = "") -> Upsert:
    return Upsert(key=key, body=body, reconciler="kserve", source="kserve", ref=ref or f"ref:{key}", server_name=server)


def by_key(*upserts: Upsert) -> dict[str, Upsert]:
    return {u.key: u for u in upserts}


def stored(*upserts: Upsert) -> dict[str, Stored]:
    return {u.key: u.stored for u in upserts}


def keys(result: Plan) -> list[list[str]]:
    return [[u.key for u in group] for group in result.upserts]


def planned(*, wanted: Mapping[str, Upsert], stored: Mapping[str, Stored], **options: Any) -> Plan:
    keys = differing(wanted.keys() | stored.keys(), wanted=wanted, stored=stored)
    given: dict[str, Any] = {"departures": {}, "marks": {}, "leaving": (), "refused": {}, **options}
    return plan(keys, wanted=wanted, stored=stored, **given)


def test_what_is_stored_as_wanted_is_left_alone() -> None:
    assert planned(wanted=by_key(upsert("a_b")), stored=stored(upsert("a_b"))).empty


def test_what_is_new_or_changed_is_sent() -> None:
    result = planned(wanted=by_key(upsert("a_b"), upsert("a_c", body=b"{1}")), stored=stored(upsert("a_c")))
    assert keys(result) == [["a_b"], ["a_c"]]


def test_what_was_just_deployed_goes_before_what_a_registry_brings_by_the_thousand() -> None:
    registered = [Upsert(key=key, body=b"{}", reconciler="kubeflow") for key in ("a_1", "a_2")]
    result = planned(wanted=by_key(*registered, upsert("m_deployed")), stored={})
    assert keys(result) == [["m_deployed"], ["a_1"], ["a_2"]]


def test_what_is_not_wanted_is_not_removed_for_that() -> None:
    assert planned(wanted={}, stored=stored(upsert("a_b"))).empty


def test_what_was_decided_to_leave_is_removed_with_its_reason() -> None:
    result = planned(wanted={}, stored=stored(upsert("a_b"), upsert("a_c")), departures={"a_b": "deleted"})
    assert result.removals == {"a_b": "deleted"}


def test_what_storage_refuses_is_not_sent_again_in_that_form() -> None:
    there, larger = upsert("a_b"), upsert("a_b", body=b"{larger}")
    assert planned(wanted=by_key(larger), stored=stored(there), refused={"a_b": larger.digest}).empty
    assert keys(planned(wanted=by_key(larger), stored=stored(there), refused={"a_b": "of another form"})) == [["a_b"]]


def test_what_is_leaving_is_changed_and_never_added() -> None:
    wanted = by_key(upsert("a_b", body=b"{1}"))
    assert keys(planned(wanted=wanted, stored=stored(upsert("a_b")), leaving={"ref:a_b"})) == [["a_b"]]
    assert planned(wanted=wanted, stored={}, leaving={"ref:a_b"}).empty


def test_a_change_keeps_the_mark_that_is_stored_or_brings_the_new_one() -> None:
    wanted, there = by_key(upsert("a_b", body=b"{1}")), stored(upsert("a_b"))
    marked = {"a_b": Stored(digest="d", reconciler="kserve", ref="ref:a_b", leaving=MARK)}
    [[kept]] = planned(wanted=wanted, stored=marked).upserts
    [[given]] = (result := planned(wanted=wanted, stored=there, marks={"a_b": MARK})).upserts
    [[cleared]] = planned(wanted=wanted, stored=marked, marks={"a_b": None}).upserts
    assert (kept.leaving, given.leaving, cleared.leaving) == (MARK, MARK, None)
    assert not result.marks
    assert planned(wanted=by_key(upsert("a_b")), stored=there, marks={"a_b": MARK}).marks == {"a_b": MARK}


def test_a_servers_name_passes_within_one_group() -> None:
    there = stored(upsert("v_1", server="m"), upsert("v_2"), upsert("v_3"))
    changed = by_key(upsert("v_1", body=b"{1}"), upsert("v_2", server="M"), upsert("v_3", body=b"{1}"))
    assert keys(planned(wanted=changed, stored=there)) == [["v_1", "v_2"], ["v_3"]]


def test_names_that_are_swapped_pass_within_one_group() -> None:
    there = stored(upsert("v_1", server="m"), upsert("v_2", server="n"))
    swapped = by_key(upsert("v_1", server="n"), upsert("v_2", server="m"))
    assert [sorted(group) for group in keys(planned(wanted=swapped, stored=there))] == [["v_1", "v_2"]]


MODELS = st.dictionaries(
    st.sampled_from("abcdefgh").map(lambda c: f"k_{c}"),
    st.tuples(st.sampled_from([b"1", b"2", b"3"]), st.sampled_from(["", "m", "n", "o"])),
    max_size=8,
).map(lambda them: by_key(*(upsert(key, body=body, server=server) for key, (body, server) in them.items())))


def carried_out(result: Plan, there: Mapping[str, Stored]) -> dict[str, Stored]:
    after = {**there, **{u.key: u.stored for group in result.upserts for u in group}}
    return {key: entry for key, entry in after.items() if key not in result.removals}


@given(MODELS, MODELS)
def test_carrying_a_plan_out_leaves_nothing_to_do(wanted: dict[str, Upsert], before: dict[str, Upsert]) -> None:
    there = stored(*before.values())
    departures = dict.fromkeys(there.keys() - wanted.keys(), "deleted")
    after = carried_out(planned(wanted=wanted, stored=there, departures=departures), there)
    assert after == stored(*wanted.values())
    assert planned(wanted=wanted, stored=after).empty


@given(MODELS, MODELS)
def test_nothing_goes_without_a_decision_and_nothing_is_sent_twice(
    wanted: dict[str, Upsert], before: dict[str, Upsert]
) -> None:
    result = planned(wanted=wanted, stored=stored(*before.values()))
    sent = [u.key for group in result.upserts for u in group]
    assert not result.removals
    assert len(sent) == len(set(sent))


@given(MODELS, MODELS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(wanted: dict[str, Upsert], before: dict[str, Upsert], chance: Random) -> None:
    shuffled = list(wanted.items())
    chance.shuffle(shuffled)
    there = stored(*before.values())
    one = planned(wanted=wanted, stored=there)
    other = planned(wanted=dict(shuffled), stored=dict(reversed(there.items())))
    assert {frozenset(group) for group in keys(one)} == {frozenset(group) for group in keys(other)}
