"""What the objects in files mean together: duplicates, parts, kustomizations, kinds that are not read."""

import base64
import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.normalizer.facts import Ref
from services.normalizer.normalize.connection import Connection
from services.normalizer.sources.manifest_contents import Contents, read_manifests
from services.normalizer.sources.manifest_files import find_manifests, read_file
from tests import objects

WHOLE = {
    "apiVersion": "serving.kserve.io/v1beta1",
    "kind": "InferenceService",
    "metadata": {"name": "granite"},
    "spec": {"predictor": {"model": {"modelFormat": {"name": "vLLM"}, "storageUri": "oci://quay.io/acme/granite:1"}}},
}
PART = WHOLE | {"spec": {"predictor": {"minReplicas": 3}}}


def read(folder: Path, files: dict[str, Any]) -> Contents:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_manifests({path: read_file(path) for path in find_manifests([folder])})


def told(contents: Contents, word: str) -> list[str]:
    return [each.problem.severity for each in contents.noticed if word in each.problem.message]


def artifacts(contents: Contents) -> dict[tuple[str, str], str]:
    return {ref.ids: manifest.facts.storage.uri for ref, manifest in contents.deployments.items()}


def names(contents: Contents) -> list[tuple[str, str]]:
    return [ref.ids for ref in contents.deployments]


@pytest.mark.parametrize("order", [("a.yaml", "b.yaml"), ("b.yaml", "a.yaml")])
def test_a_part_never_replaces_the_whole(order: tuple[str, str], tmp_path: Path) -> None:
    contents = read(tmp_path, {order[0]: WHOLE, order[1]: PART})
    assert artifacts(contents) == {("default", "granite"): "oci://quay.io/acme/granite:1"}
    assert told(contents, "holds only a part") == ["info"]


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_llm_inference_services_are_read_next_to_an_isvc_of_the_same_name(version: str, tmp_path: Path) -> None:
    llm = {
        "apiVersion": f"serving.kserve.io/{version}",
        "kind": "LLMInferenceService",
        "metadata": {"name": "granite"},
        "spec": {"model": {"uri": "hf://acme/granite", "name": "acme/granite"}},
    }
    part = llm | {"spec": {"replicas": 2}}
    contents = read(tmp_path, {"a.yaml": WHOLE, "b.yaml": llm, "c.yaml": part})
    assert {ref.label: manifest.facts.storage.uri for ref, manifest in contents.deployments.items()} == {
        "InferenceService default/granite": "oci://quay.io/acme/granite:1",
        "LLMInferenceService default/granite": "hf://acme/granite",
    }
    assert [each.problem.id for each in contents.noticed if each.problem.id != "namespace_missing"] == [
        "part_of_an_object"
    ]


def test_of_two_whole_ones_the_latter_counts_and_that_is_reported(tmp_path: Path) -> None:
    contents = read(tmp_path, {"a.yaml": WHOLE, "b.yaml": WHOLE})
    assert contents.deployments[Ref.isvc("manifests", "default", "granite")].place == (str(tmp_path / "b.yaml"), 1)
    assert told(contents, "the latter counts") == ["warning"]


OVERLAY = {
    "base/isvc.yaml": WHOLE,
    "base/kustomization.yaml": {"resources": ["isvc.yaml"]},
    "overlays/prod/patch.yaml": PART,
    "overlays/prod/kustomization.yaml": {
        "namespace": "prod",
        "resources": ["../../base"],
        "patches": [{"path": "patch.yaml"}, {"patch": "- op: remove"}],
    },
}


def test_a_kustomization_gives_the_namespace_and_its_patches_are_no_manifests(tmp_path: Path) -> None:
    contents = read(tmp_path, OVERLAY)
    assert artifacts(contents) == {("prod", "granite"): "oci://quay.io/acme/granite:1"}
    [noticed] = contents.noticed
    assert noticed.place.path == str(tmp_path / "overlays/prod/kustomization.yaml")
    assert "by patches" in noticed.problem.message
    assert "kustomize build" in noticed.problem.remedy


@pytest.mark.parametrize(
    "patch",
    [
        {"patchesStrategicMerge": ["patch.yaml", "kind: InferenceService\nmetadata: {}"]},
        {"patchesJson6902": [{"path": "patch.yaml", "target": {"kind": "InferenceService"}}]},
    ],
)
def test_older_forms_of_patches(patch: dict[str, Any], tmp_path: Path) -> None:
    kustomization = {"resources": ["isvc.yaml"]} | patch
    contents = read(tmp_path, {"isvc.yaml": WHOLE, "patch.yaml": PART, "kustomization.yml": kustomization})
    assert len(contents.deployments) == 1
    assert told(contents, "holds only a part") == []


def test_several_overlays_decide_nothing(tmp_path: Path) -> None:
    dev = {"namespace": "dev", "resources": ["../../base"]}
    contents = read(tmp_path, OVERLAY | {"overlays/dev/kustomization.yaml": dev})
    assert names(contents) == [("default", "granite")]
    assert told(contents, "several namespaces (dev, prod)") == ["info"]


@pytest.mark.parametrize(
    "kustomization",
    ["resources: [", "- a", "resources: [., ../loop]\nnamespace: x", "resources: 5\npatches: {a: b}\n", ""],
)
def test_odd_kustomizations_do_no_harm(kustomization: str, tmp_path: Path) -> None:
    contents = read(tmp_path, {"isvc.yaml": WHOLE, "kustomization.yaml": kustomization})
    assert names(contents) == [("default", "granite")]


@pytest.mark.parametrize(
    ("kind", "version", "word"),
    [
        ("InferenceGraph", "serving.kserve.io/v1alpha1", "not read"),
        ("TrainedModel", "serving.kserve.io/v1alpha1", "not read"),
        ("InferenceService", "serving.kubeflow.org/v1beta1", "not read"),
        ("InferenceService", "", "it has no apiVersion, so it is not served"),
        ("InferenceServce", "serving.kserve.io/v1beta1", "did you mean InferenceService?"),
        ("SeldonDeployment", "machinelearning.seldon.io/v1", "not read"),
    ],
)
def test_kinds_that_are_not_read_are_named_with_their_place(kind: str, version: str, word: str, tmp_path: Path) -> None:
    contents = read(tmp_path, {"a.yaml": {"apiVersion": version, "kind": kind, "metadata": {"name": "x"}}})
    [noticed] = contents.noticed
    assert word in noticed.problem.message
    assert (noticed.problem.object, noticed.place) == (f"{kind} x", (str(tmp_path / "a.yaml"), 1))


def test_a_template_of_openshift_is_reported(tmp_path: Path) -> None:
    template = {"apiVersion": "template.openshift.io/v1", "kind": "Template", "metadata": {"name": "t"}}
    assert told(read(tmp_path, {"a.yaml": template | {"objects": [WHOLE]}}), "holds InferenceServices") == ["warning"]
    assert read(tmp_path, {"a.yaml": template | {"objects": [{"kind": "ServingRuntime"}, 5]}}).noticed == ()


@pytest.mark.parametrize("kind", ["ServingRuntime", "ClusterStorageContainer", "LLMInferenceServiceConfig"])
def test_kinds_that_serve_nothing_by_themselves_are_left_out_silently(kind: str, tmp_path: Path) -> None:
    obj = {"apiVersion": "serving.kserve.io/v1alpha1", "kind": kind, "metadata": {"name": "x"}}
    assert read(tmp_path, {"a.yaml": obj}).noticed == ()


def changed(at: str, value: Any) -> dict[str, Any]:
    """A whole InferenceService with another value at a path below its spec."""
    obj = copy.deepcopy(WHOLE)
    *way, last = at.split("/")
    inner: Any = obj["spec"]
    for name in way:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return obj


@pytest.mark.parametrize(
    ("at", "value", "said"),
    [
        ("predictor/model/storage", "s3://bucket/path", "spec.predictor.model.storage is a text, where an object"),
        ("predictor/model", "granite", "spec.predictor.model is a text, where an object belongs"),
        ("predictor/model/modelFormat", "vLLM", "modelFormat is a text, where an object belongs"),
        ("predictor/model/modelFormat/version", 1, "modelFormat.version is a number, where a text belongs"),
        ("predictor/model/storageUri", ["oci://a/b"], "storageUri is a list, where a text belongs"),
        ("predictor/model/args", "--a=1 --b", "model.args is a text, where a list belongs"),
        ("predictor/model/args", ["--port", 8080], "model.args[1] is a number, where a text belongs"),
        ("predictor/model/env", [{"name": "A", "value": 1}], "model.env[0].value is a number, where a text belongs"),
        ("predictor/model/env", {"A": "1"}, "model.env is an object, where a list belongs"),
        ("predictor/model/storage/parameters", [], "parameters is a list, where an object belongs"),
        ("predictor/sklearn/storage", "s3://b", "sklearn.storage is a text, where an object belongs"),
        ("predictor/storageUris", "s3://b", "storageUris is a text, where a list belongs"),
        ("predictor/minReplicas", "1", "minReplicas is a text, where a whole number belongs"),
        ("predictor/minReplicas", True, "minReplicas is true or false, where a whole number belongs"),
        ("predictor/containers", {"name": "a"}, "containers is an object, where a list belongs"),
        ("transformer/containers", [{"args": "x"}], "transformer.containers[0].args is a text, where a list belongs"),
        ("predictor/labels/team", True, "labels.team is true or false, where a text belongs"),
    ],
)
def test_a_type_that_the_api_server_refuses_is_an_error(at: str, value: Any, said: str, tmp_path: Path) -> None:
    assert told(read(tmp_path, {"a.yaml": changed(at, value)}), said) == ["error"]


def test_what_was_probably_meant_is_reported(tmp_path: Path) -> None:
    contents = read(tmp_path, {"a.yaml": changed("predictor/model/storage", "s3://bucket/path")})
    assert [each.problem.remedy for each in contents.noticed if each.problem.severity == "error"] == [
        "write a location as storageUri, and below storage key, path and parameters"
    ]


def test_what_the_api_server_takes_is_no_error(tmp_path: Path) -> None:
    text = yaml.safe_dump(WHOLE) + (
        "    minReplicas: 0\n    maxReplicas: ${MOST}\n    nodeSelector: null\n    other: [1]\n"
        "    containers: [{name: a, resources: {limits: {cpu: 1}}, args: ['--port', '8080']}]\n"
    )
    assert told(read(tmp_path, {"a.yaml": text}), "the API server refuses it") == []


def test_types_of_llm_inference_services_are_looked_at_as_well(tmp_path: Path) -> None:
    llm = {
        "apiVersion": "serving.kserve.io/v1alpha2",
        "kind": "LLMInferenceService",
        "metadata": {"name": "chat"},
        "spec": {"model": "hf://acme/chat", "replicas": "2"},
    }
    contents = read(tmp_path, {"a.yaml": llm})
    assert told(contents, "spec.model is a text, where an object belongs") == ["error"]
    assert told(contents, "spec.replicas is a text, where a whole number belongs") == ["error"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"apiVersion": "serving.kserve.io/v1"}, "API version"),
        ({"metadata": {"name": "Not_A_Name"}}, "not valid in a cluster"),
        ({"metadata": {"name": "m", "labels": {"gpu": 1}}}, "the label gpu is not text"),
        ({"metadata": {"name": "m", "annotations": {"rhdh.io/ownr": "x"}}}, "did you mean rhdh.io/owner?"),
    ],
)
def test_mistakes_that_a_cluster_would_refuse_or_ignore(change: dict[str, Any], word: str, tmp_path: Path) -> None:
    contents = read(tmp_path, {"a.yaml": WHOLE | change})
    assert told(contents, word) == ["warning"]
    assert len(contents.deployments) == 1


@pytest.mark.parametrize(
    "name", ['"{{ .Release.Name }}-model"', "{{ name }}", "{username}", "${MODEL}", "$(MODEL)-v1", "'{% x %}'"]
)
@pytest.mark.parametrize("field", ["name", "namespace"])
def test_a_template_that_is_valid_yaml_is_no_manifest(field: str, name: str, tmp_path: Path) -> None:
    metadata = {"name": "m", "namespace": "n"} | {field: "NAME"}
    text = yaml.safe_dump(WHOLE | {"metadata": metadata}).replace("NAME", name)
    contents = read(tmp_path, {"a.yaml": text})
    assert contents.deployments == {}
    assert told(contents, "a template") == ["info"]


def test_templates_are_reported_and_are_no_fault(tmp_path: Path) -> None:
    contents = read(
        tmp_path, {"a.yaml": objects.isvc("m"), "t.yaml": "kind: InferenceService\nname: {{ x }}\n{{- if y }}"}
    )
    assert told(contents, "a template") == ["info"]
    assert contents.faults == ()


def test_runtimes_in_the_same_files_are_read(tmp_path: Path) -> None:
    runtime = {"apiVersion": "serving.kserve.io/v1alpha1", "metadata": {"name": "vllm", "namespace": "models"}}
    files = {f"{kind}.yaml": runtime | {"kind": kind} for kind in ("ServingRuntime", "ClusterServingRuntime")}
    contents = read(tmp_path, files)
    assert {ref.ids for ref in contents.facts()} == {("models", "vllm"), ("", "vllm")}
    assert contents.noticed == ()


def test_secrets_that_deployments_name_are_read_where_that_is_asked_for(tmp_path: Path) -> None:
    fields = {"AWS_S3_BUCKET": "acme", "AWS_SECRET_ACCESS_KEY": "CANARY"}
    encoded = {key: base64.b64encode(text.encode()).decode() for key, text in fields.items()}
    typed = {
        "opendatahub.io/connection-type-protocol": "s3",
        "kubectl.kubernetes.io/last-applied-configuration": "CANARY",
    }
    secrets: list[dict[str, Any]] = [
        {"metadata": {"name": "bucket", "namespace": "a", "annotations": typed}, "stringData": fields},
        {"metadata": {"name": "untyped", "namespace": "a"}, "data": encoded},
        {"metadata": {"name": "no-one-names-it", "namespace": "a", "annotations": typed}, "data": encoded},
        {"metadata": {"name": "bucket", "namespace": "elsewhere"}, "data": encoded},
    ]
    documents = [
        *({"apiVersion": "v1", "kind": "Secret", **obj} for obj in secrets),
        objects.isvc("m", "a", annotations={"opendatahub.io/connections": "bucket"}),
        objects.isvc("n", "a", annotations={"opendatahub.io/connections": "untyped"}),
    ]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(documents), encoding="utf-8")
    files = {path: read_file(path) for path in find_manifests([tmp_path])}
    assert "CANARY" not in repr(files), "what is kept of files"
    assert read_manifests(files).companions == {}
    read = read_manifests(files, connections=True).companions
    assert {ref.ids: (each.type, each.bucket) for ref, each in read.items() if isinstance(each, Connection)} == {
        ("a", "bucket"): ("s3", "acme"),
        ("a", "untyped"): ("", "acme"),
    }
