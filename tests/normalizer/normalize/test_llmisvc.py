"""LLMInferenceServices: what the two controllers' objects leave open (the others are in test_golden_controllers)."""

from typing import Any

import pytest

from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Belongings, read_service
from services.normalizer.normalize.kserve_objects import read_llmisvc
from tests.normalizer.normalize.objects import isvc, model_of, normalized, normalized_deployment, server_of

URL = "https://gateway.example.com/vision/qwen"


def llmisvc(*, spec: dict[str, Any] | None = None, annotations: dict[str, str] | None = None, **status: Any) -> Any:
    return {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "qwen", "namespace": "vision", "annotations": annotations or {}},
        "spec": {"model": {"uri": "hf://acme/qwen-7b", "name": "acme/qwen-7b"}} if spec is None else spec,
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "url": URL, **status},
    }


def workload(name: str = "qwen-kserve-workload-svc", *, labels: dict[str, str] | None = None, port: Any = None) -> Any:
    owner = {"kind": "LLMInferenceService", "name": "qwen"}
    metadata = {"name": name, "namespace": "vision", "labels": labels or {}, "ownerReferences": [owner]}
    ports = [port or {"name": "https", "port": 8000, "targetPort": 8000}]
    return {"kind": "Service", "metadata": metadata, "spec": {"clusterIP": "10.96.1.2", "ports": ports}}


def addresses(*urls: str) -> dict[str, Any]:
    return {"addresses": [{"url": url} for url in urls]}


def test_an_llm_is_an_entry_like_any_other() -> None:
    result = normalized(llmisvc(annotations={"openshift.io/display-name": "Qwen 7B"}))
    assert result.ref == "llmisvc:local:vision/qwen"
    assert Ref.parse(result.ref).label == "LLMInferenceService vision/qwen"
    assert result.segments == ("vision", "qwen")
    assert result.reconciler == "kserve"
    assert model_of(result.document).artifact_location_url == "hf://acme/qwen-7b"
    assert model_of(result.document).annotations["rhdh.modelcatalog.io/model-name"] == "acme/qwen-7b"
    assert server_of(result.document).api.url == URL
    assert (result.details.title, result.details.kind) == ("Qwen 7B", "LLMInferenceService")
    assert (result.details.server_type, result.details.names) == ("openai-v1", ("acme/qwen-7b",))
    assert result.problems == ()


def test_an_isvc_of_the_same_name_is_another_model() -> None:
    other = normalized(isvc(name="qwen"))
    assert other.ref != normalized(llmisvc()).ref
    mine = {"kind": "Service", "metadata": workload("qwen-predictor")["metadata"], "spec": workload()["spec"]}
    assert server_of(normalized(isvc(name="qwen"), mine).document).api.annotations == {}


@pytest.mark.parametrize("spec", [{}, {"model": None}, {"model": {"uri": "", "name": ""}}, "x"])
def test_a_model_that_says_nothing_bears_the_name_of_its_object(spec: Any) -> None:
    result = normalized(llmisvc(spec=spec))
    assert result.details.names == ("qwen",)
    assert model_of(result.document).artifact_location_url is None


def test_adapters_are_names_of_the_same_entry() -> None:
    adapters = [{"name": "legal", "uri": "s3://b/l"}, {"name": ""}, None]
    result = normalized(llmisvc(spec={"model": {"name": "base", "lora": {"adapters": adapters}}}))
    assert result.details.names == ("base", "legal")


def test_names_of_publishers_are_left_out() -> None:
    models = {"models": [{"name": "publishers/vision/models/base"}, {"name": "base"}, {"name": "legal"}]}
    result = normalized(llmisvc(addresses=[{"url": URL, **models}, {"url": URL, **models}]))
    assert result.details.names == ("base", "legal")


@pytest.mark.parametrize(
    ("urls", "shown"),
    [
        (
            ["http://a.example.com/vision/qwen", "https://b.example.com/vision/qwen"],
            "https://b.example.com/vision/qwen",
        ),
        (["https://a.example.com/", "https://a.example.com/vision/qwen"], "https://a.example.com/vision/qwen"),
        (["https://a.example.com/publishers/vision/models/q", f"{URL}/"], f"{URL}/"),
        (["http://gw.kserve.svc.cluster.local/vision/qwen"], "http://gw.kserve.svc.cluster.local/vision/qwen"),
        (["nonsense"], URL),
        ([], URL),
    ],
)
def test_of_many_addresses_the_one_by_its_path_is_shown(urls: list[str], shown: str) -> None:
    assert server_of(normalized(llmisvc(**addresses(*urls))).document).api.url == shown


def test_addresses_without_a_url_of_the_status() -> None:
    found = normalized(llmisvc(url=None, **addresses("https://a.example.com/publishers/x", "https://a.example.com/q")))
    assert server_of(found.document).api.url == "https://a.example.com/q"


@pytest.mark.parametrize("status", [{"url": "http://qwen-kserve-workload-svc.vision.svc.cluster.local"}, {"url": None}])
def test_without_a_router_the_workloads_service_is_the_address(status: dict[str, Any]) -> None:
    url = "https://qwen-kserve-workload-svc.vision.svc.cluster.local:8000"
    assert server_of(normalized(llmisvc(**status), workload("qwen-epp-service"), workload()).document).api.url == url


def test_a_workload_of_another_name_is_found_by_its_labels() -> None:
    labels = {"app.kubernetes.io/name": "qwen", "app.kubernetes.io/component": "llminferenceservice-workload"}
    services = [workload("qwen-epp-service"), workload("qwen-workers", labels=labels)]
    assert server_of(normalized(llmisvc(url=None), *services).document).api.url.startswith("https://qwen-workers.")


def test_the_endpoint_picker_is_no_address() -> None:
    assert normalized(llmisvc(url=None), workload("qwen-epp-service")).document.model_server is None


@pytest.mark.parametrize(
    ("annotation", "port", "secured", "asked"),
    [
        (None, "https", None, True),
        (None, "http", None, False),
        (None, "http", True, True),
        (None, "https", False, False),
        ("false", "https", None, False),
        ("false", "https", True, False),
        ("true", "http", None, True),
    ],
)
def test_whether_a_token_is_asked_for(annotation: str | None, port: str, secured: bool | None, asked: bool) -> None:
    annotations = {"security.opendatahub.io/enable-auth": annotation} if annotation else {}
    facts = read_llmisvc(llmisvc(annotations=annotations), secured=secured)
    service = read_service(workload(port={"name": port, "port": 8000}))
    assert server_of(normalized_deployment(facts, own=Belongings(services=[service])).document).authentication is asked


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"serving.kserve.io/stop": "true"}},
        {"conditions": [{"type": "Ready", "status": "False", "message": "no gateway"}]},
        {"conditions": []},
    ],
)
def test_one_that_is_stopped_or_not_ready_is_not_shown_although_it_keeps_its_url(more: dict[str, Any]) -> None:
    assert not read_llmisvc(llmisvc(**more)).readiness.ready


def test_one_without_replicas_is_ready_as_its_condition_says() -> None:
    assert read_llmisvc(llmisvc(spec={"replicas": 0})).readiness.ready
