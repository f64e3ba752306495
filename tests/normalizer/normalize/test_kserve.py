"""The mapping of an InferenceService, field by field."""

from typing import Any

import pytest

from common.details import Details
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.result import Defaults
from services.normalizer.normalize.stated import AUTH_ANNOTATION
from tests.normalizer.normalize.objects import (
    isvc,
    model_of,
    normalized,
    normalized_deployment,
    owned,
    server_of,
    status,
)

VLLM = {"model": {"modelFormat": {"name": "vLLM"}}}


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


def test_what_is_only_planned_has_no_server() -> None:
    assert normalized(isvc(status=None), planned=True).document.model_server is None


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
        ({"model": {"storage": {"key": "minio", "path": "models/x"}}}, set(), None),
        ({"model": {"storageUri": "pvc://disk/x", "storage": {"path": "y"}}}, set(), None),
        ({"model": {"modelFormat": {"name": "onnx"}, "runtime": "mnist"}}, {"onnx"}, None),
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


def test_explainer_changes_nothing() -> None:
    plain = isvc()
    assert normalized({**plain, "spec": plain["spec"] | {"explainer": {"art": {}}}}) == normalized(plain)


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
        "networking.knative.dev/visibility": "exposed",
        "networking.kserve.io/visibility": "exposed",
        "opendatahub.io/dashboard": "true",
        "pod-template-hash": "7c9d4f8b6",
        "serving.knative.dev/creator": "system",
        "app": "combined",
        "team": "Retention",
    }
    tags = server_of(normalized(isvc(labels=labels)).document).api.tags
    assert tags == ("app-combined", "team-retention")


def test_url_that_is_none_leaves_the_model_without_a_server() -> None:
    result = normalized(isvc(status=status("mnist.apps")))
    assert result.document.model_server is None
    assert "status.url" in result.problems[0].message


@pytest.mark.parametrize("prefix", ["modelcatalogbridge.rhdh.io/", "rhdh.io/"])
def test_fields_count_under_both_prefixes(prefix: str) -> None:
    annotations = {f"{prefix}owner": "ml-team", f"{prefix}lifecycle": "production", f"{prefix}usage": "POST it"}
    model = model_of(normalized(isvc(annotations=annotations)).document)
    assert (model.owner, model.lifecycle, model.usage) == ("ml-team", "production", "POST it")


def test_our_prefix_goes_before_the_successors() -> None:
    annotations = {"rhdh.io/owner": "theirs", "modelcatalogbridge.rhdh.io/owner": "ours"}
    assert model_of(normalized(isvc(annotations=annotations)).document).owner == "ours"


@pytest.mark.parametrize(
    ("annotations", "description"),
    [
        ({"rhdh.io/description": "Digits", "openshift.io/description": "of the dashboard"}, "Digits"),
        ({"rhdh.io/description": " ", "openshift.io/description": "of the dashboard"}, "of the dashboard"),
        ({"openshift.io/description": ""}, "KServe model mnist in vision"),
    ],
)
def test_description_is_never_empty(annotations: dict[str, str], description: str) -> None:
    document = normalized(isvc(annotations=annotations)).document
    assert model_of(document).description == server_of(document).description == description


def test_what_has_no_place_in_the_document_is_among_the_details() -> None:
    annotations = {
        "openshift.io/display-name": "MNIST for the mail room",
        "rhdh.io/system": "mail-room",
        "rhdh.io/api-entity-ref": "mnist-api",
        "rhdh.io/owner": "group:default/vision",
        "rhdh.io/license": "apache-2.0",
        "opendatahub.io/connections": "bucket",
    }
    details = normalized(isvc(annotations=annotations, predictor=VLLM)).details
    assert details == Details(
        title="MNIST for the mail room",
        owner="group:default/vision",
        system="system:default/mail-room",
        names=("mnist",),
        server_type="openai-v1",
        kind="InferenceService",
        namespace="vision",
        deployment="mnist",
        license="Apache-2.0",
        connection="bucket",
        api_entity="api:default/mnist-api",
    )


def test_details_are_there_without_a_server() -> None:
    details = normalized(isvc(status=None), planned=True).details
    assert (details.kind, details.namespace, details.deployment) == ("InferenceService", "vision", "mnist")


def test_type_and_use_of_a_model_are_tags() -> None:
    annotations = {"opendatahub.io/model-type": "generative", "opendatahub.io/genai-use-case": "Chat"}
    assert model_of(normalized(isvc(annotations=annotations)).document).tags == (
        "genai-use-case-chat",
        "model-type-generative",
    )


def test_a_card_of_the_model_catalog_is_named_without_a_registry() -> None:
    facts = read_isvc(isvc(annotations={"rhdh.io/catalog-source": "rh", "rhdh.io/catalog-model": "org/granite 8b"}))
    assert facts.stated.catalog_model
    assert facts.stated.catalog_model.key == "rhorg/granite8b"
    assert read_isvc(isvc(annotations={"rhdh.io/catalog-model": "org/granite"})).stated.catalog_model is None
    climbing = {"rhdh.io/catalog-source": "rh", "rhdh.io/catalog-model": "org/../../sources"}
    assert read_isvc(isvc(annotations=climbing)).stated.catalog_model is None
    endless = {"rhdh.io/catalog-source": "rh", "rhdh.io/catalog-model": "x" * 5000}
    assert read_isvc(isvc(annotations=endless)).stated.catalog_model is None
    result = normalized_deployment(facts, card="rhorg/granite8b")
    assert result.card_key == "rhorg/granite8b"
    assert model_of(result.document).annotations["TechDocs"].endswith("/modelcard?key=rhorg%2Fgranite8b")


@pytest.mark.parametrize(
    ("more", "accounts", "asked"),
    [
        ({}, ["mnist-sa"], True),
        ({}, [], False),
        ({}, ["inference-prometheus-auth", "mnist-epp-sa"], False),
        ({"annotations": {AUTH_ANNOTATION: "true"}}, [], True),
        ({"annotations": {AUTH_ANNOTATION: "True\n"}}, [], True),
        ({"annotations": {AUTH_ANNOTATION: "false"}}, ["mnist-sa"], False),
        ({"annotations": {AUTH_ANNOTATION: "maybe"}}, ["mnist-sa"], True),
        ({"labels": {AUTH_ANNOTATION: "true"}}, [], True),
        ({"labels": {AUTH_ANNOTATION: "true"}, "annotations": {AUTH_ANNOTATION: "false"}}, [], False),
        (
            {"annotations": {AUTH_ANNOTATION: "true"}, "spec": {"transformer": {"containers": [{}]}}},
            ["mnist-sa"],
            False,
        ),
    ],
)
def test_whether_a_token_is_asked_for(more: dict[str, Any], accounts: list[str], asked: bool) -> None:
    others = [owned("ServiceAccount", name) for name in accounts]
    assert server_of(normalized(isvc(**more), *others).document).authentication is asked


def test_service_accounts_of_others_do_not_count() -> None:
    assert not server_of(normalized(isvc(), owned("ServiceAccount", "x", by="other")).document).authentication


def test_names_no_api_server_admits_still_make_a_document() -> None:
    result = normalized(isvc(name="../..", namespace="Ünïcode"))
    assert result.segments[0] == "ncode"
    assert result.segments[1].isalnum()
    assert model_of(result.document).annotations["rhdh.modelcatalog.io/model-name"] == "../.."


def test_the_dashboards_page_is_linked_where_it_is_known() -> None:
    result = normalized(isvc(), defaults=Defaults(dashboard_url="https://dashboard.example.com"))
    [link] = result.details.links
    assert (link.url, link.icon) == ("https://dashboard.example.com/ai-hub/deployments/vision", "dashboard")
    assert normalized(isvc()).details.links == ()
