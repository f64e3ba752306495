"""The mapping of an InferenceService, field by field."""

from typing import Any

import pytest

from services.normalizer.normalize.result import Defaults
from tests.normalizer.normalize.objects import isvc, model_of, normalized, owned, server_of, status

INTERNAL = "http://mnist-predictor.vision.svc.cluster.local"


def test_names_and_ref() -> None:
    result = normalized(isvc())
    assert result.ref == "isvc:local:vision/mnist"
    assert result.segments == ("vision", "mnist")
    assert result.reconciler == "kserve"
    assert model_of(result.document).name == server_of(result.document).name == "vision-mnist"
    assert result.problems == ()


def test_defaults_are_used() -> None:
    document = normalized(isvc(), defaults=Defaults("group:default/platform", "production")).document
    assert model_of(document).owner == "platform"
    assert model_of(document).lifecycle == "production"
    assert server_of(document).annotations == {}


def test_unusable_defaults_do_not_break_documents() -> None:
    model = model_of(normalized(isvc(), defaults=Defaults("!!", " ")).document)
    assert (model.owner, model.lifecycle) == ("rhdh-rhoai-bridge", "development")


def test_without_serving_there_is_no_server() -> None:
    assert normalized(isvc(status=None), serve=False).document.model_server is None


def test_creation_time_is_in_milliseconds() -> None:
    assert normalized(isvc(metadata={"creationTimestamp": "2025-06-01T00:00:01Z"})).created == 1748736001000


@pytest.mark.parametrize(
    ("predictor", "tags", "artifact"),
    [
        (
            {"model": {"modelFormat": {"name": "onnx", "version": "1"}, "storageUri": "s3://b/p"}},
            {"onnx-1"},
            "s3://b/p",
        ),
        ({"model": {"modelFormat": {"name": "vLLM"}, "runtime": "vLLM_cuda"}}, {"vllm", "vllm-cuda"}, None),
        ({"model": {"modelFormat": {"name": "pytorch", "version": "2.1"}}}, {"pytorch-2-1"}, None),
        ({"model": {"storage": {"key": "minio", "path": "models/x"}}}, set(), "s3://models/x"),
        ({"model": {"storageUri": "pvc://disk/x", "storage": {"path": "y"}}}, set(), "pvc://disk/x"),
        ({"sklearn": {"storageUri": "gs://bucket/iris", "protocolVersion": "v2"}}, {"sklearn"}, "gs://bucket/iris"),
        ({"triton": {}, "minReplicas": 1}, {"triton"}, None),
        ({"model": {"modelFormat": {"name": "vllm"}}, "workerSpec": {"pipelineParallelSize": 2}}, {"vllm"}, None),
        ({"model": {"storageUri": "s3://b/new"}, "canaryTrafficPercent": 20}, set(), "s3://b/new"),
        ({"containers": [{"name": "kserve-container", "image": "quay.io/acme/x"}]}, set(), None),
        ({"containers": [{"env": [{"name": "STORAGE_URI", "value": "hf://org/m"}]}]}, set(), "hf://org/m"),
        ({"model": None, "pmml": {"storageUri": "https://e.com/m.pmml"}}, {"pmml"}, "https://e.com/m.pmml"),
    ],
)
def test_forms_of_a_predictor(predictor: dict[str, Any], tags: set[str], artifact: str | None) -> None:
    result = normalized(isvc(predictor=predictor))
    assert set(model_of(result.document).tags) == tags
    assert model_of(result.document).artifact_location_url == artifact


def test_transformer_and_explainer_change_nothing() -> None:
    plain = isvc()
    spec = plain["spec"] | {"transformer": {"containers": [{"image": "x"}]}, "explainer": {"art": {}}}
    assert normalized({**plain, "spec": spec}) == normalized(plain)


def test_location_without_scheme_is_a_problem() -> None:
    result = normalized(isvc(predictor={"model": {"storageUri": "bucket/path"}}))
    assert model_of(result.document).artifact_location_url is None
    assert [(p.severity, p.object) for p in result.problems] == [("warning", "InferenceService vision/mnist")]
    assert "'bucket/path'" in result.problems[0].message


def test_labels_become_tags_that_backstage_keeps() -> None:
    labels = {"example.com/part-of": "Fraud_Detection", "gpu": "", "team": "a" * 63, "tier": "gold"}
    tags = server_of(normalized(isvc(labels=labels)).document).api.tags
    assert tags == ("examplecompart-of-fraud-detection", "gpu", "team-" + "a" * 58, "tier-gold")


def test_labels_of_tools_are_no_tags() -> None:
    labels = {
        "app.kubernetes.io/managed-by": "Helm",
        "argocd.argoproj.io/instance": "models-prod",
        "backstage.io/kubernetes-id": "combined",
        "helm.sh/chart": "models-1.2.3",
        "helm.toolkit.fluxcd.io/name": "combined",
        "kueue.x-k8s.io/queue-name": "default",
        "modelregistry.opendatahub.io/name": "public",
        "networking.knative.dev/visibility": "cluster-local",
        "networking.kserve.io/visibility": "exposed",
        "opendatahub.io/dashboard": "true",
        "pod-template-hash": "7c9d4f8b6",
        "serving.knative.dev/creator": "system",
        "app": "combined",
        "team": "Retention",
    }
    tags = server_of(normalized(isvc(labels=labels)).document).api.tags
    assert tags == ("app-combined", "team-retention")


@pytest.mark.parametrize(
    ("ports", "suffix"),
    [
        ([{"port": 80, "targetPort": 8080}], ":8080"),
        ([{"port": 80, "targetPort": "http1"}], ""),
        ([{"port": 8888, "targetPort": "http1"}], ":8888"),
        ([{"port": 8033, "targetPort": 80}], ""),
        ([{"port": 8033}], ":8033"),
        ([{"port": 8033, "targetPort": 0}], ":8033"),
        ([{"port": 0}], ""),
        ([{"port": 8443, "name": "https"}, {"port": 80, "targetPort": 8080}], ":8443"),
        ([], ""),
        (None, ""),
    ],
)
def test_port_of_the_predictor_service(ports: Any, suffix: str) -> None:
    service = owned("Service", "mnist-predictor", ports=ports)
    api = server_of(normalized(isvc(status=status(INTERNAL)), service).document).api
    assert api.url == INTERNAL + suffix
    assert api.annotations == {"rhdh.modelcatalog.io/internal-service-url": INTERNAL + suffix}


def test_external_and_internal_address_are_both_told() -> None:
    service = owned("Service", "mnist-predictor", ports=[{"port": 80, "targetPort": 8080}])
    api = server_of(normalized(isvc(), service).document).api
    assert api.url == "https://mnist-vision.apps.example.com"
    assert api.annotations == {
        "rhdh.modelcatalog.io/external-route-url": "https://mnist-vision.apps.example.com",
        "rhdh.modelcatalog.io/internal-service-url": f"{INTERNAL}:8080",
    }


def test_internal_address_without_a_service_stands_for_itself() -> None:
    api = server_of(normalized(isvc(status=status(f"{INTERNAL}:8080"))).document).api
    assert (api.url, api.annotations) == (f"{INTERNAL}:8080", {})


def test_address_inside_status_is_the_second_choice() -> None:
    address = {"address": {"url": INTERNAL}}
    assert server_of(normalized(isvc(status=status(None) | address)).document).api.url == INTERNAL


@pytest.mark.parametrize(
    "service",
    [
        owned("Service", "mnist-metrics"),
        owned("Service", "mnist-predictor", by="other"),
        owned("Service", "mnist-predictor", uid="of-an-earlier-mnist"),
        {"kind": "Service", "metadata": {"name": "mnist-predictor", "namespace": "vision"}},
        {**owned("Service", "mnist-predictor"), "metadata": {"name": "mnist-predictor", "namespace": "elsewhere"}},
    ],
)
def test_services_of_others_do_not_count(service: dict[str, Any]) -> None:
    document = normalized(isvc(metadata={"uid": "of-this-mnist"}), service).document
    assert "rhdh.modelcatalog.io/internal-service-url" not in server_of(document).api.annotations


def test_of_several_predictor_services_the_usual_name_wins() -> None:
    services = [owned("Service", name) for name in ("a-predictor", "mnist-predictor", "z-predictor")]
    assert server_of(normalized(isvc(status=status(INTERNAL)), *services).document).api.url == INTERNAL


def test_authentication_by_service_account() -> None:
    assert server_of(normalized(isvc(), owned("ServiceAccount", "mnist-sa")).document).authentication
    assert not server_of(normalized(isvc(), owned("ServiceAccount", "x", by="other")).document).authentication


@pytest.mark.parametrize(("value", "asked"), [("true", True), ("True\n", True), ("false", False), ("", False)])
def test_authentication_by_annotation(value: str, asked: bool) -> None:
    annotations = {"security.opendatahub.io/enable-auth": value}
    assert server_of(normalized(isvc(annotations=annotations)).document).authentication is asked


def test_url_that_is_none_leaves_the_model_without_a_server() -> None:
    result = normalized(isvc(status=status("mnist.apps")))
    assert result.document.model_server is None
    assert "status.url" in result.problems[0].message


def test_names_no_api_server_admits_still_make_a_document() -> None:
    result = normalized(isvc(name="../..", namespace="Ünïcode"))
    assert result.segments[0] == "ncode"
    assert result.segments[1].isalnum()
    assert model_of(result.document).annotations["rhdh.modelcatalog.io/model-name"] == "../.."
