"""Keys and names: distinct, valid, stable, and the same in whatever order the models come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import backstage, identity
from common.identity import Allocator, Claim, Identity

SEGMENT = st.text(alphabet="abAB1_-", min_size=1, max_size=4).map(backstage.sanitize).filter(bool)


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    refs = draw(st.lists(st.integers(0, 30), unique=True, max_size=12))
    return [
        Claim(
            ref=f"ref:{ref}",
            segments=(draw(SEGMENT), draw(SEGMENT)),
            model_name=draw(SEGMENT),
            server_name=draw(st.none() | SEGMENT),
            created=draw(st.integers(0, 3)),
        )
        for ref in refs
    ]


def claim(ref: str, first: str = "ns", second: str = "m", *, created: int = 0, **names: str) -> Claim:
    return Claim(
        ref=ref,
        segments=(first, second),
        model_name=names.get("model", f"{first}-{second}"),
        server_name=names.get("server"),
        created=created,
    )


def assert_distinct(identities: dict[str, Identity]) -> None:
    for kind in ("key", "uri", "model_name", "server_name"):
        names = [name.lower() for i in identities.values() if (name := getattr(i, kind)) is not None]
        assert len(set(names)) == len(names), kind


def test_without_a_collision_keys_and_names_are_plain() -> None:
    [given_to] = Allocator().assign([claim("a", "models", "plain", server="plain")]).values()
    assert given_to == Identity(
        key="models_plain", uri="/models/plain/model-catalog.json", model_name="models-plain", server_name="plain"
    )


def test_the_older_of_two_newcomers_has_the_plain_name() -> None:
    result = Allocator().assign([claim("young", created=2), claim("old", created=1)])
    assert result["old"].key == "ns_m"
    assert result["young"].key == f"ns_m-{backstage.short_hash('young')}"
    assert result["young"].uri == f"/ns/m-{backstage.short_hash('young')}/model-catalog.json"


def test_who_holds_a_name_keeps_it_from_an_older_newcomer_and_after_the_other_has_gone() -> None:
    allocator = Allocator()
    first = allocator.assign([claim("holder", created=2)])
    both = allocator.assign([claim("holder", created=2), claim("older", created=1)])
    assert both["holder"] == first["holder"]
    allocator.release("holder")
    assert allocator.assign([claim("older", created=1)])["older"] == both["older"]


def test_segments_with_underscores_that_join_to_one_key_are_reported_apart() -> None:
    result = Allocator().assign([claim("x", "a_b", "c", created=1), claim("y", "a", "b_c", created=2)])
    assert result["x"].key == "a_b_c"
    assert result["x"].uri == "/a_b/c/model-catalog.json"
    assert result["y"].uri.startswith("/a/b_c-")


def test_names_that_differ_only_in_case_are_reported_apart() -> None:
    result = Allocator().assign([claim("x", "Granite", "v1", model="Granite"), claim("y", "b", "v1", model="granite")])
    assert_distinct(result)


def test_two_models_that_swap_their_names_get_them_in_one_round() -> None:
    allocator = Allocator()
    allocator.assign([claim("x", "a", "1"), claim("y", "b", "1")])
    swapped = allocator.assign([claim("x", "b", "1"), claim("y", "a", "1")])
    assert (swapped["x"].key, swapped["y"].key) == ("b_1", "a_1")


def test_a_renamed_model_gives_its_name_back() -> None:
    allocator = Allocator()
    allocator.assign([claim("x", "a", "1")])
    allocator.assign([claim("x", "b", "1")])
    assert allocator.assign([claim("y", "a", "1")])["y"].key == "a_1"


def test_a_suffix_fits_into_a_name_of_full_length() -> None:
    long = "n" * 63
    result = Allocator().assign([claim("x", "a", long, model=long), claim("y", "a", long, model=long)])
    assert all(backstage.is_entity_name(i.model_name) for i in result.values())
    assert_distinct(result)


@given(claims(), st.randoms(use_true_random=False))
def test_any_models_get_distinct_valid_names_in_any_order(wanted: list[Claim], random: object) -> None:
    shuffled = list(wanted)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    result = Allocator().assign(wanted)
    assert result == Allocator().assign(shuffled)
    assert_distinct(result)
    for ref, given_to in result.items():
        assert backstage.is_entity_name(given_to.model_name), ref
        first, second = given_to.uri.split("/")[1:3]
        assert given_to.key == f"{first}_{second}"


@given(claims(), claims())
def test_a_restart_in_between_changes_nothing(before: list[Claim], after: list[Claim]) -> None:
    running = Allocator()
    held = running.assign(before)
    restarted = Allocator()
    restarted.seed(held)
    assert running.assign(after) == restarted.assign(after)


@given(claims())
def test_assigning_again_changes_nothing(wanted: list[Claim]) -> None:
    allocator = Allocator()
    assert allocator.assign(wanted) == allocator.assign(reversed(wanted))


@pytest.mark.parametrize(("key", "segments"), [("models_wire-two", ("models", "wire-two")), ("a_b_c", ("a", "b_c"))])
def test_a_key_without_its_uri_is_split_at_the_first_underscore(key: str, segments: tuple[str, str]) -> None:
    assert identity.segments_of(key) == segments


@pytest.mark.parametrize("key", ["", "plain", "_x", "x_"])
def test_what_has_no_two_parts_is_no_key(key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        identity.segments_of(key)
