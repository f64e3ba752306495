"""What KServe's own controllers wrote: whether each model is shown, where it answers, what it is called."""

from typing import Any

import pytest

from common.annotations import EXTERNAL_URL_ANNOTATION, INTERNAL_URL_ANNOTATION
from common.catalog import CatalogDocument
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.result import Normalized
from tests.normalizer.normalize import golden
from tests.normalizer.normalize.objects import belongings, normalized_deployment

READERS = {"InferenceService": read_isvc, "LLMInferenceService": read_llmisvc}
CASES = {case["case"]: case for case in golden.read("controllers/deployments.json")["cases"]}


def read(case: dict[str, Any]) -> tuple[Deployment, Normalized]:
    """Return the facts of a case's deployment and how it is shown."""
    first, *others = case["objects"]
    deployment = READERS[first["kind"]](first)
    return deployment, normalized_deployment(
        deployment,
        own=belongings(others),
    )


def addresses(document: CatalogDocument) -> dict[str, Any]:
    """Return a document's addresses in the form in which the cases have them."""
    api = document.model_server.api if document.model_server else None
    annotations = api.annotations if api else {}
    url = api.url if api else ""
    internal = annotations.get(INTERNAL_URL_ANNOTATION, "")
    external = annotations.get(EXTERNAL_URL_ANNOTATION, "") or (url if url != internal else "")
    return {"externalUrl": external, "internalUrl": internal, "apiUrl": url}


def test_all_cases_are_there() -> None:
    assert len(CASES) == 113


@pytest.mark.parametrize("name", CASES)
def test_deployment_is_shown_as_expected(name: str) -> None:
    expected = dict(CASES[name]["expected"])
    deployment, result = read(CASES[name])
    assert deployment.readiness.ready == expected.pop("shown")
    if "names" in expected:
        assert list(result.details.names) == expected.pop("names")
        assert result.details.server_type == "openai-v1"
    if expected.pop("grpc", False):
        assert result.document.model_server
        assert result.document.model_server.api.type == "grpc"
    if deployment.readiness.ready:
        assert addresses(result.document) == expected


def test_what_has_no_pod_or_may_have_none_is_known() -> None:
    """With Knative the cluster's configuration decides where no one says how many pods there are at least."""
    sleeping = {name for name in CASES if (found := read(CASES[name])[0]).may_scale_to_zero and found.readiness.ready}
    assert {name for name in CASES if "zero" in name} <= sleeping
    assert all("zero" in name or "knative" in name for name in sleeping)
