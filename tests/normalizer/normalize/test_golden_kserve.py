"""InferenceServices become the documents that the predecessor served, apart from the differences meant."""

import pytest

from services.normalizer.normalize.kserve_objects import read_isvc
from tests.normalizer.normalize import golden
from tests.normalizer.normalize.objects import normalized

CASES = sorted(path.stem for path in (golden.GOLDEN / "kserve").glob("*.json"))


@pytest.mark.parametrize("name", CASES)
def test_document_is_the_golden_one(name: str) -> None:
    case = golden.read(f"kserve/{name}.json")
    ready = read_isvc(case["objects"][0]).readiness.ready
    result = normalized(*case["objects"])
    assert ready == (case["original"] is not None)
    assert "/{}/{}/model-catalog.json".format(*result.segments) == case["uri"]
    if ready:
        assert golden.served(result.document) == golden.expected(case)


def test_all_cases_are_there() -> None:
    assert CASES == ["annotated", "internal", "minimal", "not-ready"]


def test_differences_are_in_the_documentation() -> None:
    documented = (golden.GOLDEN.parents[1] / "docs" / "mapping.md").read_text("utf-8")
    cases = [golden.read(str(path)) for path in golden.GOLDEN.glob("*/*.json")]
    reasons = {difference["why"] for case in cases for difference in case.get("beyond", [])}
    assert reasons
    assert {reason for reason in reasons if f"**{reason}**" not in documented} == set()
