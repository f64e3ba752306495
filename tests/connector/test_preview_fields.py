"""`connector preview` on fields that KServe does not know, and on deployments without a model."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts.manifest_fields import kubernetes_types, reachable
from services.connector.cli import main
from services.normalizer.sources.manifest_schema import table
from tests.connector.previewing import EXAMPLES, preview

ISVC = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: granite
  namespace: models
spec:
  predictor:
    minReplicas: 1
    model:
      modelFormat:
        name: vLLM
      storageUri: oci://quay.io/example/granite:1
      resources:
        limits:
          cpu: 1
"""
LLM = """\
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata:
  name: granite
  namespace: models
spec:
  model:
    uri: hf://example/granite
  template:
    containers:
    - name: main
      env:
      - name: A
        value: b
"""
RICH = """\
apiVersion: serving.kserve.io/v1alpha2
kind: LLMInferenceService
metadata:
  name: rich
spec:
  model:
    uri: hf://example/large
  speculator:
    model:
      uri: hf://example/draft
    config:
      method: eagle3
      num_speculative_tokens: "6"
  parallelism: {data: 16, dataLocal: 8, expert: true, tensor: 1}
  router:
    scheduler:
      config:
        inline:
          apiVersion: x
          saturationDetector: {kvCacheUtilThreshold: 0.8}
    route: {}
    gateway: {}
  kvCacheOffloading:
    cpu: {size: 10Gi}
  template:
    resourceClaims:
    - name: gpu
      resourceClaimTemplateName: nvidia-gpu-template
    containers:
    - name: main
      env:
      - name: A
        valueFrom: {fieldRef: {fieldPath: status.podIP}}
      resources:
        limits: {cpu: 128, rdma/roce_gdr: 1}
        claims:
        - name: gpu
      volumeMounts:
      - {name: v, mountPath: /x}
      livenessProbe:
        httpGet: {path: /health, port: 8000, scheme: HTTPS}
        initialDelaySeconds: 120
    volumes:
    - name: local-nvme
      emptyDir: {sizeLimit: 50Gi}
    - name: p
      persistentVolumeClaim: {claimName: x}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: k
spec:
  predictor:
    automountServiceAccountToken: no
    autoScaling:
      metrics:
      - type: Resource
        name: cpu
        resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}
      keda: {pollingInterval: 15}
    sklearn:
      storageUri: "gs://x"
    tolerations:
    - {key: a, operator: Exists}
    affinity:
      nodeAffinity:
        requiredDuringSchedulingIgnoredDuringExecution:
          nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]
"""
"""Fields in every depth, with values of every type."""
OF_FIELDS = ("field_unknown", "model_missing", "field_of_wrong_type", "field_repeated", "label_not_read")


def problems(result: Result) -> list[dict[str, Any]]:
    found = [each for entry in json.loads(result.stdout) for each in entry["problems"]]
    return [each for each in found if each["id"] in OF_FIELDS]


def changed(path: Path, text: str, old: str, new: str) -> Path:
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return path


@pytest.mark.parametrize("text", [ISVC, LLM, RICH], ids=["isvc", "llm", "rich"])
def test_a_correct_manifest_has_no_unknown_field(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    assert problems(preview(tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "old", "new", "field", "remedy"),
    [
        (ISVC, "model:", "modell:", "spec.predictor.modell", "write model"),
        (ISVC, "predictor:", "predictr:", "spec.predictr", "write predictor"),
        (ISVC, "storageUri", "storageuri", "spec.predictor.model.storageuri", "write storageUri"),
        (ISVC, "modelFormat", "modelFormt", "spec.predictor.model.modelFormt", "write modelFormat"),
        (ISVC, "limits", "limit", "spec.predictor.model.resources.limit", "write limits"),
        (ISVC, "  namespace", "  annotation: {}\n  namespace", "metadata.annotation", "write annotations"),
        (ISVC, "spec:", "specs:", "specs", "write spec"),
        (ISVC, "cpu: 1", "cpu: 1\n      colour: red", "spec.predictor.model.colour", "correct or remove it"),
        (LLM, "uri:", "url:", "spec.model.url", "write uri"),
        (LLM, "- name: main", "- nme: main", "spec.template.containers[0].nme", "write name"),
        (LLM, "value:", "vlue:", "spec.template.containers[0].env[0].vlue", "write value"),
    ],
)
def test_an_unknown_field_is_a_warning_with_its_line_and_what_is_meant(
    tmp_path: Path, text: str, old: str, new: str, field: str, remedy: str
) -> None:
    path = changed(tmp_path / "a.yaml", text, old, new)
    result = preview(path)
    [problem] = problems(result)
    assert (problem["id"], problem["severity"], problem["remedy"]) == ("field_unknown", "warning", remedy)
    assert problem["message"].startswith(f"its field {field} is unknown to ")
    name = field.rpartition(".")[2]
    assert f"{name}:" in path.read_text().splitlines()[problem["line"] - 1]
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("text", "line", "field", "meant"),
    [
        (ISVC, "    storageUri: s3://a/b", "spec.predictor.storageUri", "spec.predictor.model.storageUri"),
        (ISVC, "  storageUri: s3://a/b", "spec.storageUri", "spec.predictor.model.storageUri"),
        (ISVC, "model: {}", "model", "spec.predictor.model"),
        (ISVC, "  minReplicas: 1", "spec.minReplicas", "spec.predictor.minReplicas"),
        (ISVC, "      maxReplicas: 1", "spec.predictor.model.maxReplicas", "spec.predictor.maxReplicas"),
        (ISVC, "namespace: models", "namespace", "metadata.namespace"),
        (ISVC, "  annotations: {}", "spec.annotations", "metadata.annotations"),
    ],
)
def test_a_field_in_the_wrong_place_is_told_where_it_belongs(
    tmp_path: Path, text: str, line: str, field: str, meant: str
) -> None:
    path = tmp_path / "a.yaml"
    indent = len(line) - len(line.lstrip())
    after = {0: "spec:\n", 2: "  predictor:\n", 4: "    minReplicas: 1\n", 6: "      modelFormat:\n"}[indent]
    path.write_text(text.replace(after, f"{line}\n{after}", 1))
    [problem] = problems(preview(path))
    assert f"its field {field} is unknown to" in problem["message"]
    assert problem["remedy"] == f"move it to {meant}"
    assert path.read_text().splitlines()[problem["line"] - 1] == line


def test_the_unknown_field_of_a_json_object_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    metadata = {"name": "m", "namespace": "models"}
    obj = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": metadata}
    path.write_text(json.dumps({**obj, "spec": {"predictor": {"modell": {}}}}, indent=1))
    [problem] = problems(preview(path))
    assert '"modell"' in path.read_text().splitlines()[problem["line"] - 1]


@pytest.mark.parametrize(
    ("kind", "spec", "lacks"),
    [
        ("isvc", "spec: {}", "it lacks spec.predictor,"),
        ("isvc", "", "it lacks spec.predictor,"),
        ("isvc", "spec: {predictor: {}}", "it lacks spec.predictor,"),
        ("isvc", "spec: {predictor: {minReplicas: 1}}", "it lacks a model in spec.predictor,"),
        ("llm", "spec: {}", "it lacks spec.model,"),
        ("llm", "spec: {replicas: 2}", "it lacks spec.model,"),
    ],
)
def test_a_deployment_without_a_model_is_a_warning(tmp_path: Path, kind: str, spec: str, lacks: str) -> None:
    text = ISVC if kind == "isvc" else LLM
    path = tmp_path / "a.yaml"
    path.write_text("# comment\n---\n" + text[: text.index("spec:")] + spec + "\n")
    [problem] = problems(preview(path))
    assert (problem["id"], problem["severity"]) == ("model_missing", "warning")
    assert problem["message"].startswith(lacks)
    assert path.read_text().splitlines()[problem["line"] - 1].startswith("apiVersion")


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("  namespace: models", "  namespace: models\n  namespace: other", "metadata.namespace"),
        ("spec:\n", "spec: {}\nspec:\n", "spec"),
        ("cpu: 1", "cpu: 1\n          cpu: 2", "spec.predictor.model.resources.limits.cpu"),
        ("spec:\n", "  annotations: {a: b,\n    a: c}\nspec:\n", "metadata.annotations.a"),
    ],
)
def test_a_field_that_is_written_twice_is_a_warning_where_it_is_again(
    tmp_path: Path, old: str, new: str, field: str
) -> None:
    path = changed(tmp_path / "a.yaml", ISVC, old, new)
    [problem] = problems(preview(path))
    assert (problem["id"], problem["severity"]) == ("field_repeated", "warning")
    assert problem["message"].startswith(f"its field {field} is there more than once")
    name = f"{field.rpartition('.')[2]}:"
    with_it = [number for number, line in enumerate(path.read_text().splitlines(), 1) if name in f" {line}"]
    assert problem["line"] in with_it[1:]


def test_a_merged_key_is_not_written_twice(tmp_path: Path) -> None:
    limits = "limits: &limits\n          cpu: 1\n        requests:\n          <<: *limits\n          cpu: 2"
    path = changed(tmp_path / "a.yaml", ISVC, "limits:\n          cpu: 1", limits)
    assert problems(preview(path)) == []


def test_annotations_among_the_labels_are_a_warning(tmp_path: Path) -> None:
    labels = '  labels: {rhdh.io/owner: a, app: b, rhdh.modelcatalog.io/ignore: "false"}\nspec:\n'
    [problem] = problems(preview(changed(tmp_path / "a.yaml", ISVC, "spec:\n", labels)))
    assert (problem["id"], problem["line"]) == ("label_not_read", 6)
    assert problem["remedy"] == "write rhdh.io/owner below annotations instead of labels"


@pytest.mark.parametrize("key", ["rhdh.io/homepageURL", "modelcatalogbridge.rhdh.io/homepageUrl", "rhdh.io/license"])
def test_the_line_is_that_of_the_annotation_however_it_is_spelt(tmp_path: Path, key: str) -> None:
    annotations = f"  annotations:\n    a: b\n    {key}: mine alone\nspec:\n"
    path = changed(tmp_path / "a.yaml", ISVC, "spec:\n", annotations)
    [entry] = json.loads(preview(path).stdout)
    [problem] = entry["problems"]
    assert path.read_text().splitlines()[problem["line"] - 1] == f"    {key}: mine alone"


@pytest.mark.parametrize(
    ("id_", "key", "value"),
    [
        ("owner_invalid", "rhdh.io/owner", "'!!!'"),
        ("owner_changed", "rhdh.io/owner", "group:default/team"),
        ("how_to_use_not_url", "rhdh.io/howtouse", "ask the team"),
        ("licence_unknown", "rhdh.io/license", "ours"),
        ("invalid_url", "rhdh.io/techdocs", "nowhere"),
        ("invalid_url", "rhdh.io/techdocs", "s3://bucket/page"),
        ("api_type_unknown", "rhdh.io/apitype", "soap"),
        ("reference_invalid", "rhdh.io/system", "a/b/c/d"),
        ("credentials_removed", "rhdh.io/usage", "see https://me:secret@example.com/"),
        ("credentials_removed", "rhdh.io/howtouse", "https://me:secret@example.com/"),
        ("credentials_removed", "rhdh.io/license", "https://me:secret@example.com/"),
        ("credentials_removed", "rhdh.io/homepageurl", "https://me:secret@example.com/"),
        ("catalog_model_incomplete", "rhdh.io/catalog-source", "cards"),
        ("connection_name_invalid", "opendatahub.io/connections", "one,two"),
        ("not_ready", "serving.kserve.io/stop", "'true'"),
        ("not_ready", "rhdh.modelcatalog.io/ignore", "'true'"),
        ("value_not_text", "rhdh.io/owner", "1.10"),
        ("annotation_unknown", "rhdh.io/ownr", "a"),
    ],
)
def test_a_problem_of_an_annotation_has_its_line(tmp_path: Path, id_: str, key: str, value: str) -> None:
    status = "status: {url: http://a.example.com}\n" if id_ == "not_ready" else ""
    annotations = f"  annotations:\n    a: b\n    {key}: {value}\n{status}spec:\n"
    path = changed(tmp_path / "a.yaml", ISVC, "spec:\n", annotations)
    [entry] = json.loads(preview(path).stdout)
    [line] = {each["line"] for each in entry["problems"] if each["id"] == id_}
    assert path.read_text().splitlines()[line - 1] == f"    {key}: {value}"


@pytest.mark.parametrize(
    ("id_", "location"),
    [
        ("storage_scheme_unknown", "s4://bucket/a"),
        ("credentials_removed", "https://me:secret@a.b/c"),
        ("invalid_url", "a"),
    ],
)
@pytest.mark.parametrize(("manifest", "field"), [(ISVC, "storageUri"), (LLM, "uri")])
def test_a_problem_of_a_location_has_its_line(
    tmp_path: Path, manifest: str, field: str, id_: str, location: str
) -> None:
    written = next(line for line in manifest.splitlines() if line.strip().startswith(f"{field}:"))
    new = f"{written.partition(':')[0]}: {location}"
    path = changed(tmp_path / "a.yaml", manifest, written, new)
    [entry] = json.loads(preview(path).stdout)
    [line] = {each["line"] for each in entry["problems"] if each["id"] == id_}
    assert path.read_text().splitlines()[line - 1] == new


def test_placeholders_are_no_unknown_fields(tmp_path: Path) -> None:
    assert problems(preview(changed(tmp_path / "a.yaml", ISVC, "minReplicas: 1", "'${field}': ${value}"))) == []


def test_a_gate_can_fail_on_unknown_fields(tmp_path: Path) -> None:
    path = changed(tmp_path / "a.yaml", ISVC, "model:", "modell:")
    assert CliRunner().invoke(main, ["preview", str(path), "--fail-on", "warning"]).exit_code == 1


def test_the_fields_of_pods_are_those_of_kubernetes() -> None:
    types = kubernetes_types()
    known = table().types
    for name, fields in reachable(types, "io.k8s.api.core.v1.PodSpec").items():
        short = name.rpartition(".")[2]
        assert short not in known or fields.keys() == known[short].keys(), name
    assert types["io.k8s.api.core.v1.PodSpec"].keys() == known["PodSpec"].keys()


def test_the_examples_have_no_unknown_field() -> None:
    assert problems(preview(EXAMPLES)) == []


SERVED = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: granite
  namespace: models
spec:
  predictor:
    model: {modelFormat: {name: vLLM}, storageUri: "oci://quay.io/example/granite:1"}
"""
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: granite, namespace: models}\n"


def all_problems(result: Result) -> list[dict[str, Any]]:
    return [each for entry in json.loads(result.stdout) for each in entry["problems"]]


@pytest.mark.parametrize("second", [SERVED.replace("granite", "other"), SERVICE], ids=["another", "a-service"])
def test_a_missing_separator_is_one_error_where_it_is_missing(tmp_path: Path, second: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SERVED + second)
    [problem] = all_problems(preview(path))
    assert (problem["id"], problem["severity"]) == ("objects_not_separated", "error")
    assert problem["line"] == SERVED.count("\n") + 1
    assert "the line --- between them is missing" in problem["message"]


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("name: granite", "name: 123", "its field metadata.name is a number, where a text belongs", 4),
        ("oci://", "oci:/", "lacks a slash: KServe does not fetch it", 8),
        (
            "spec:",
            "  annotations: {rhdh.modelcatalog.io/ignore: 'yes'}\nspec:",
            'is neither "true" nor "false", so it has no effect',
            6,
        ),
        (
            "  predictor:",
            "  predictor:\n    annotations:\n      rhdh.io/owner: me",
            "the annotation rhdh.io/owner is among those of the pods, in spec.predictor.annotations",
            9,
        ),
        ("serving.kserve.io/v1beta1", "v1beta1", "its apiVersion v1beta1 is not that of KServe", 1),
        ("  name: granite", "  generateName: granite-", "has metadata.generateName instead of metadata.name", 1),
        ("spec:\n", "<<<<<<< HEAD\nspec:\n=======\n>>>>>>> main\n", "a merge conflict is not resolved (<<<<<<<)", 6),
        ("models\n", "*x\n", "(&name) that does not exist in this document", 5),
    ],
)
def test_a_mistake_is_named_in_its_line(tmp_path: Path, old: str, new: str, message: str, line: int) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SERVED.replace(old, new, 1))
    found = [problem for problem in all_problems(preview(path)) if message in problem["message"]]
    assert [problem["line"] for problem in found] == [line], all_problems(preview(path))


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("{{ .Release.Name }}-granite", "helm template CHART | connector preview -"),
        ('{{ include "x" . }}', "helm template CHART | connector preview -"),
        ("${NAME}", "envsubst < "),
        ("{{ name }}", "render it with the tool that fills it in"),
        ("$(NAME)", "render it with the tool that fills it in"),
    ],
)
def test_the_remedy_of_a_template_is_of_its_kind(tmp_path: Path, name: str, remedy: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SERVED.replace("name: granite", f"name: {name}"))
    [problem] = all_problems(preview(path))
    assert problem["id"] == "template_not_read"
    assert remedy in problem["remedy"]


def test_a_template_of_openshift_is_processed_without_a_cluster() -> None:
    template = "apiVersion: template.openshift.io/v1\nkind: Template\nobjects:\n- kind: InferenceService\n"
    [problem] = all_problems(preview("-", given=template))
    assert problem["remedy"].endswith("oc process --local -f TEMPLATE | connector preview -")


def test_what_is_not_utf_8_has_a_line_and_a_command(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(SERVED.replace("granite:1", "f\xfcr").encode("latin-1"))
    [problem] = all_problems(preview(path))
    assert problem["line"] == 8
    assert "iconv -f ISO-8859-1 -t UTF-8" in problem["remedy"]


def test_json_that_is_cut_off_is_explained(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"kind": "InferenceService", "metadata": {"name": "x", ')
    [problem] = all_problems(preview(path))
    assert "the text is cut off" in problem["message"]


def test_what_is_stopped_in_its_manifest_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SERVED.replace("spec:", "  annotations: {serving.kserve.io/stop: 'true'}\nspec:"))
    result = preview(path)
    [problem] = all_problems(result)
    assert problem["message"] == "it is not shown: it is stopped by the annotation serving.kserve.io/stop"
    assert [entry["key"] for entry in json.loads(result.stdout)] == [None]


def test_a_manifest_without_a_namespace_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SERVED.replace("  namespace: models\n", ""))
    [problem] = all_problems(preview(path))
    assert (problem["id"], problem["severity"], problem["line"]) == ("namespace_missing", "info", 1)
    (tmp_path / "kustomization.yaml").write_text("namespace: models\nresources: [a.yaml]\n")
    assert all_problems(preview(tmp_path)) == []


def test_deployments_in_other_objects_are_noted(tmp_path: Path) -> None:
    held = "".join(f"      {line}\n" for line in SERVED.splitlines())
    work = "apiVersion: work.open-cluster-management.io/v1\nkind: ManifestWork\nmetadata: {name: x, namespace: c1}\n"
    (tmp_path / "a.yaml").write_text(f"{work}spec:\n  workload:\n    manifests:\n    -\n{held}")
    [problem] = all_problems(preview(tmp_path))
    assert (problem["id"], problem["severity"]) == ("kind_not_read", "info")
    assert (problem["object"], problem["line"]) == ("ManifestWork c1/x", 2)


def test_aliases_do_not_make_a_search_endless(tmp_path: Path) -> None:
    text = "kind: Service2\na0: &a0 {x: [1]}\n"
    text += "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    (tmp_path / "a.yaml").write_text(text)
    assert all_problems(preview(tmp_path)) == []


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("  predictor:", "\u00a0\u00a0predictor:", "'\\xa0\\xa0predictor' is unknown"),
        ("spec:", "  annotations: {' rhdh.io/owner': me}\nspec:", "the annotation ' rhdh.io/owner' is unknown"),
    ],
)
def test_what_is_invisible_is_shown(tmp_path: Path, old: str, new: str, shown: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(SERVED.replace(old, new, 1), encoding="utf-8")
    assert [shown in problem["message"] for problem in all_problems(preview(path))].count(True) == 1
