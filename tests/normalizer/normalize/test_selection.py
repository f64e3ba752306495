"""Which deployments are wanted."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.selection import ALL, Selection, parse_selector
from tests.normalizer.normalize.objects import isvc

LABELS = {"team": "a", "env": "prod", "opendatahub.io/genai-asset": "true"}


def deployment(**given_: Any) -> Deployment:
    return read_isvc(isvc(**{"namespace": "models", "name": "granite", "labels": LABELS} | given_))


def wanted(selection: Selection, **given_: Any) -> bool:
    return selection.refusal(deployment(**given_)) == ""


@pytest.mark.parametrize(
    ("written", "met"),
    [
        ("", True),
        ("team=a", True),
        ("team == a, env=prod", True),
        ("team=b", False),
        ("team!=b", True),
        ("team!=a", False),
        ("absent!=a", True),
        ("absent=a", False),
        ("env in (prod, dev)", True),
        ("env in (dev),team=a", False),
        ("env notin (dev,test)", True),
        ("absent notin (dev)", True),
        ("team", True),
        ("!team", False),
        ("! absent", True),
        ("opendatahub.io/genai-asset=true", True),
    ],
)
def test_selectors_are_those_of_kubectl(written: str, met: bool) -> None:
    assert wanted(Selection(selector=parse_selector(written))) == met


@pytest.mark.parametrize("written", ["team=a b", "=a", "team in a", "team in (a", "team>1", "a/b/c", "env in (a!)"])
def test_what_is_no_selector_is_named(written: str) -> None:
    with pytest.raises(ValueError, match="is not a part of a label selector"):
        parse_selector(written)


@given(st.text("abA1 =!,()in/.-", max_size=30))
def test_no_selector_is_too_odd(written: str) -> None:
    with contextlib.suppress(ValueError):
        parse_selector(written)


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        ([], True),
        (["models"], True),
        (["mod*"], True),
        (["prod-*"], False),
        (["!mod*"], False),
        (["!prod-*"], True),
        (["*", "!models"], False),
        (["!mod*", "models"], True),
        (["Models"], False),
    ],
)
def test_namespaces_and_names_by_patterns(patterns: list[str], chosen: bool) -> None:
    assert wanted(Selection(namespaces=patterns)) == chosen
    assert wanted(Selection(names=patterns), name="models") == chosen


@pytest.mark.parametrize("place", ["labels", "annotations"])
def test_what_is_marked_is_left_out_whatever_else_is_said(place: str) -> None:
    assert not wanted(ALL, **{place: {"rhdh.modelcatalog.io/ignore": "true"}})
    assert wanted(ALL, **{place: {"rhdh.modelcatalog.io/ignore": "false"}})


def test_ai_assets_alone() -> None:
    assert wanted(Selection(ai_assets_only=True))
    assert not wanted(Selection(ai_assets_only=True), labels={})


def test_what_is_not_wanted_counts_as_stopped() -> None:
    chosen, refused = deployment(), deployment(annotations={"rhdh.modelcatalog.io/ignore": "true"})
    assert ALL.applied(chosen) is chosen
    readiness = ALL.applied(refused).readiness
    assert (readiness.ready, readiness.stopped) == (False, True)
    assert "rhdh.modelcatalog.io/ignore" in readiness.reason
