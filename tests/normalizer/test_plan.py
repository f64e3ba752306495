"""The comparison of what is wanted with what is stored."""

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from common.wire import Stored, Upsert
from services.normalizer.plan import GUARD_LEAST, Held, Leave, Plan, plan


def upsert(key: str, *, source: str = "kserve", body: bytes = b"{}", ref: str | None = None) -> Upsert:
    return Upsert(key=key, body=body, reconciler="kserve", source=source, ref=ref or f"ref:{key}")


def by_key(*upserts: Upsert) -> dict[str, Upsert]:
    return {u.key: u for u in upserts}


def stored(*upserts: Upsert) -> dict[str, Stored]:
    return {u.key: u.stored for u in upserts}


ANY = Leave(may_remove=lambda _: True)
NONE = Leave(may_remove=lambda _: False)


def make(
    wanted: Mapping[str, Upsert],
    there: Mapping[str, Stored],
    leave: Leave = ANY,
    held: Mapping[str, Held] | None = None,
) -> Plan:
    return plan(wanted=wanted, stored=there, leave=leave, held=held or {})


def many(n: int) -> list[Upsert]:
    return [upsert(f"ns_{i}") for i in range(n)]


def test_what_is_stored_as_wanted_is_left_alone() -> None:
    assert make(by_key(upsert("a_b")), stored(upsert("a_b"))).empty


def test_what_is_new_or_changed_is_sent() -> None:
    result = make(by_key(upsert("a_b"), upsert("a_c", body=b"{1}")), stored(upsert("a_c")))
    assert [u.key for u in result.upserts] == ["a_b", "a_c"]


def test_what_was_just_deployed_goes_before_what_a_registry_brings_by_the_thousand() -> None:
    registered = [Upsert(key=key, body=b"{}", reconciler="kubeflow") for key in ("a_1", "a_2")]
    result = make(by_key(*registered, upsert("m_deployed")), {})
    assert [u.key for u in result.upserts] == ["m_deployed", "a_1", "a_2"]


def test_what_its_source_no_longer_has_is_removed() -> None:
    assert make({}, stored(upsert("a_b"))).removals == ("a_b",)


def test_nothing_is_removed_without_leave() -> None:
    assert make({}, stored(upsert("a_b")), NONE).empty


def test_leave_is_asked_for_each_entry() -> None:
    leave = Leave(may_remove=lambda entry: entry.source == "listed")
    there = stored(upsert("a_b", source="listed"), upsert("a_c", source="down"))
    assert make({}, there, leave).removals == ("a_b",)


def test_a_renamed_model_moves_without_leave() -> None:
    result = make(by_key(upsert("new_1", ref="r")), stored(upsert("old_1", ref="r")), NONE)
    assert [u.key for u in result.upserts] == ["new_1"]
    assert result.removals == ("old_1",)


def test_what_a_source_announced_as_ended_is_removed_without_leave_and_without_guard() -> None:
    there = many(GUARD_LEAST)
    leave = Leave(may_remove=lambda _: False, certain={u.ref for u in there})
    assert len(make({}, stored(*there), leave).removals) == GUARD_LEAST


def test_a_listing_that_takes_most_away_waits_for_the_next_one() -> None:
    there = stored(*many(10))
    few_left = by_key(*many(4))
    first = make(few_left, there, Leave(may_remove=lambda _: True, rounds={"kserve": 1}))
    assert first.removals == ()
    assert len(first.held["kserve"].keys) == 6
    same_round = make(few_left, there, Leave(may_remove=lambda _: True, rounds={"kserve": 1}), first.held)
    assert same_round == first
    confirmed = make(few_left, there, Leave(may_remove=lambda _: True, rounds={"kserve": 2}), first.held)
    assert len(confirmed.removals) == 6
    assert not confirmed.held


def test_a_doubted_listing_that_was_wrong_leaves_no_trace() -> None:
    there = stored(*many(10))
    first = make({}, there, Leave(may_remove=lambda _: True, rounds={"kserve": 1}))
    back = make(by_key(*many(10)), there, Leave(may_remove=lambda _: True, rounds={"kserve": 2}), first.held)
    assert back == Plan()


def test_a_later_listing_that_takes_even_more_away_is_doubted_anew() -> None:
    there = stored(*many(10))
    first = make(by_key(*many(4)), there, Leave(may_remove=lambda _: True, rounds={"kserve": 1}))
    more = make({}, there, Leave(may_remove=lambda _: True, rounds={"kserve": 2}), first.held)
    assert more.removals == ()
    assert more.held["kserve"] == Held(frozenset(there), 2)


def test_half_of_the_entries_or_fewer_than_five_need_no_confirmation() -> None:
    assert len(make(by_key(*many(5)), stored(*many(10))).removals) == 5
    assert len(make({}, stored(*many(GUARD_LEAST - 1))).removals) == GUARD_LEAST - 1


def test_each_source_is_guarded_for_itself() -> None:
    others = [upsert(f"x_{i}", source="registry:r") for i in range(100)]
    result = make(by_key(*others), stored(*many(6), *others))
    assert set(result.held) == {"kserve"}


def test_the_guard_can_be_turned_off() -> None:
    assert len(make({}, stored(*many(10)), Leave(may_remove=lambda _: True, guard=False)).removals) == 10


def test_upserts_are_sent_also_while_removals_wait() -> None:
    result = make(by_key(upsert("new_1")), stored(*many(10)))
    assert [u.key for u in result.upserts] == ["new_1"]
    assert result.held


MODELS = st.dictionaries(
    st.sampled_from("abcdefgh").map(lambda c: f"k_{c}"), st.sampled_from([b"1", b"2", b"3"]), max_size=8
).map(lambda bodies: by_key(*(upsert(key, body=body) for key, body in bodies.items())))


def carried_out(result: Plan, there: Mapping[str, Stored]) -> dict[str, Stored]:
    after = {**there, **{u.key: u.stored for u in result.upserts}}
    return {key: entry for key, entry in after.items() if key not in result.removals}


@given(MODELS, MODELS)
def test_carrying_a_plan_out_leaves_nothing_to_do(wanted: dict[str, Upsert], before: dict[str, Upsert]) -> None:
    leave = Leave(may_remove=lambda _: True, guard=False)
    there = stored(*before.values())
    after = carried_out(make(wanted, there, leave), there)
    assert after == stored(*wanted.values())
    assert make(wanted, after, leave).empty


@given(MODELS, MODELS, st.randoms(use_true_random=False))
def test_the_order_does_not_matter(wanted: dict[str, Upsert], before: dict[str, Upsert], random: object) -> None:
    shuffled = list(wanted.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    there = stored(*before.values())
    assert make(wanted, there) == make(dict(shuffled), dict(reversed(there.items())))


@given(MODELS, MODELS)
def test_nothing_wanted_is_ever_removed(wanted: dict[str, Upsert], before: dict[str, Upsert]) -> None:
    assert not set(make(wanted, stored(*before.values())).removals) & set(wanted)
