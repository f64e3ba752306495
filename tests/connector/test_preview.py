"""`connector preview`: what would be served, and what is wrong, as a gate before a commit."""

import contextlib
import json
import os
import pty
import re
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result

from services.connector.reports import FORMATS
from tests import objects
from tests.connector.previewing import EXAMPLES, preview
from tests.connector.running import ROOT
from tests.processes import environment

NO_STATUS = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService"}


CONNECTIONS = "opendatahub.io/connections"
PROTOCOL = "opendatahub.io/connection-type-protocol"


def entries(result: Result) -> dict[str, dict[str, Any]]:
    return {entry["object"]: entry for entry in json.loads(result.stdout)}


def keys(result: Result) -> list[str]:
    return [entry["key"] for entry in json.loads(result.stdout) if entry["document"]]


def written(path: Path, *objs: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(objs))
    return path


def without_status(obj: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key != "status"}


def test_json_is_an_array_of_documents_with_their_problems(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/license": "Mine"}))
    result = preview(path)
    [shown] = json.loads(result.stdout)
    assert (shown["key"], shown["uri"]) == ("models_m", "/models/m/model-catalog.json")
    assert (shown["object"], shown["file"], shown["line"]) == ("InferenceService models/m", str(path), 1)
    assert shown["document"]["models"][0]["name"] == "models-m"
    [problem] = shown["problems"]
    assert set(problem) == {"id", "severity", "object", "message", "remedy", "file", "line"}
    assert problem["object"] == "InferenceService models/m"
    assert "modelcatalogbridge.rhdh.io/license: Mine" in path.read_text().splitlines()[problem["line"] - 1]
    assert result.exit_code == 0


def test_a_manifest_as_it_stands_in_git_is_shown_without_a_server(tmp_path: Path) -> None:
    [shown] = json.loads(preview(written(tmp_path / "a.yaml", without_status(objects.isvc("m")))).stdout)
    assert "modelServer" not in shown["document"]


def test_lists_and_several_documents_are_taken_apart(tmp_path: Path) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": [objects.isvc("a"), objects.isvc("b")]}
    path = written(tmp_path / "a.yaml", items, objects.isvc("c"), {"kind": "ConfigMap", "apiVersion": "v1"})
    assert keys(preview(path)) == ["models_a", "models_b", "models_c"]


def test_services_and_service_accounts_with_an_isvc_count(tmp_path: Path) -> None:
    obj = objects.isvc("m", url="http://m-predictor.models.svc.cluster.local")
    path = written(tmp_path / "a.yaml", obj, objects.predictor_service(obj), objects.service_account_for(obj))
    [shown] = json.loads(preview(path).stdout)
    server = shown["document"]["modelServer"]
    assert server["authentication"] is True
    assert "rhdh.modelcatalog.io/internal-service-url" in server["API"]["annotations"]


def test_what_is_hidden_or_unreadable_is_in_the_json(tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", objects.isvc("m", ready=False))
    (tmp_path / "b.yaml").write_text("\nkind: InferenceService\nspec: [\n")
    result = preview(tmp_path)
    found = entries(result)
    hidden = found["InferenceService models/m"]
    assert (hidden["key"], hidden["document"]) == (None, None)
    assert "it is not shown:" in hidden["problems"][0]["message"]
    [unreadable] = found[f"{tmp_path / 'b.yaml'}:3"]["problems"]
    assert (unreadable["severity"], unreadable["line"]) == ("error", 3)
    assert result.exit_code == 1


@pytest.mark.parametrize("text", ["kind: [", "just words", "- a\n- list", "\x00\x01", "a: {{ b }}"])
def test_files_that_hold_nothing_of_ours_are_ignored(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(text)
    written(tmp_path / "good.yaml", objects.isvc("m"))
    result = preview(tmp_path)
    assert keys(result) == ["models_m"]
    assert len(json.loads(result.stdout)) == 1
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "text",
    ["InferenceService: [", "- InferenceService", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"],
)
def test_an_unusable_object_ends_with_status_1_and_the_rest_is_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    written(tmp_path / "good.yaml", objects.isvc("m"))
    result = preview(tmp_path)
    assert keys(result) == ["models_m"]
    assert any("bad.yaml" in entry["file"] for entry in json.loads(result.stdout))
    assert result.exit_code == 1


@pytest.mark.parametrize(("fail_on", "status"), [("error", 0), ("warning", 1), ("info", 1), ("never", 0)])
def test_status_follows_the_gravest_problem(fail_on: str, status: int, tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m", annotations={"rhdh.io/ownr": "x"}))
    result = preview(path, "--fail-on", fail_on)
    assert result.exit_code == status
    assert "did you mean rhdh.io/owner?" in result.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("kind: InferenceService", "kind: InferenceServices"), ("name: iris", "name: Iris_1"), ("v1beta1", "v1")],
)
def test_a_mistake_is_reported_in_its_own_line(tmp_path: Path, right: str, wrong: str) -> None:
    manifest = """\
metadata:
  annotations: {rhdh.io/owner: ml-team}
  namespace: models
  name: iris
spec:
  predictor: {model: {modelFormat: {name: sklearn}, storageUri: "s3://models/iris"}}
kind: InferenceService
apiVersion: serving.kserve.io/v1beta1
"""
    path = tmp_path / "iris.yaml"
    path.write_text(manifest.replace(right, wrong))
    printed = preview(path, output="github").stdout
    (line,) = re.findall(r"^::warning file=[^,]*,line=(\d+)", printed, re.MULTILINE)
    assert wrong in path.read_text().splitlines()[int(line) - 1], printed


def test_a_field_of_a_wrong_type_is_an_error_in_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "# a comment\n---\napiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
        "metadata:\n  name: m\n  annotations: {storage: x}\nspec:\n  predictor:\n    model:\n"
        "      modelFormat: {name: onnx}\n      # where it is\n      storage: s3://bucket/path\n"
        "      args:\n        - --port\n        - 8080\n"
    )
    result = preview(path, output="github")
    assert result.exit_code == 1
    found = dict(re.findall(r"^::error file=[^,]*,line=(\d+)[^:]*::.*?its field ([\w.\[\]]+) is", result.stdout, re.M))
    assert found == {"13": "spec.predictor.model.storage", "14": "spec.predictor.model.args[1]"}


def test_paths_may_be_patterns_and_standard_input(tmp_path: Path) -> None:
    written(tmp_path / "team-a" / "m.yaml", objects.isvc("m"))
    written(tmp_path / "team-b" / "n.yaml", objects.isvc("n"))
    given = yaml.safe_dump(objects.isvc("piped"))
    result = preview(f"{tmp_path}/**/m.yaml", "-", given=given)
    assert keys(result) == ["models_m", "models_piped"]
    assert entries(result)["InferenceService models/piped"]["file"] == "-"


@pytest.mark.parametrize("path", ["absent", "absent/*.yaml"])
def test_a_path_that_does_not_exist_is_a_wrong_command(path: str, tmp_path: Path) -> None:
    result = preview(tmp_path / path)
    assert result.exit_code == 2
    assert "absent" in result.stderr


@pytest.mark.parametrize("given", ["", "\n"])
def test_empty_standard_input_is_no_success(given: str, tmp_path: Path) -> None:
    result = preview("-", output="table", given=given)
    assert result.exit_code == 2
    assert "standard input is empty: the command before the pipe wrote nothing" in result.stderr


def test_standard_input_without_a_deployment_is_named(tmp_path: Path) -> None:
    result = preview("-", output="table", given="kind: ConfigMap")
    assert result.stderr.startswith("no InferenceService or LLMInferenceService was found in standard input (1 file")


def test_an_empty_folder_is_reported(tmp_path: Path) -> None:
    result = preview(tmp_path, output="table")
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"no Kubernetes objects were found: there is no file named *.yaml, *.yml, *.json in {tmp_path} or below.",
        "Give the path of your manifests: connector preview PATH",
    ]
    assert result.exit_code == 0
    assert json.loads(preview(tmp_path).stdout) == []


def test_files_without_a_deployment_are_counted(tmp_path: Path) -> None:
    written(tmp_path / "a.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}})
    result = preview(tmp_path, output="table")
    assert result.stdout == ""
    first, _, *commands = result.stderr.splitlines()
    assert first == f"no InferenceService or LLMInferenceService was found in {tmp_path} (1 file read)."
    assert commands == [
        f"  {command} | connector preview -"
        for command in ("kustomize build DIR", "helm template CHART", "argocd app manifests APPLICATION")
    ]
    written(tmp_path / "b.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}})
    assert "(2 files read)" in preview(tmp_path, output="table").stderr


def test_the_table_names_models_problems_and_a_summary(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m"), objects.isvc("o", ready=False))
    result = preview(path, output="table")
    assert "models_m" in result.stdout
    assert f"{path}:" in result.stdout
    assert "info: InferenceService models/o: it is not shown:" in result.stdout
    assert result.stdout.splitlines()[-1] == "1 model is shown, 1 note in 1 file"


def test_what_is_noted_of_many_objects_is_written_once_and_warnings_each(tmp_path: Path) -> None:
    for number in range(6):
        manifest = without_status(objects.isvc(f"m{number}", annotations={"rhdh.io/ownr": "me"}))
        del manifest["metadata"]["namespace"]
        written(tmp_path / f"{number}.yaml", manifest)
    lines = preview(tmp_path, output="table").stdout.splitlines()
    assert sum("info: " in line for line in lines) == 1
    assert sum("warning: " in line for line in lines) == 6
    places = ", ".join(f"{tmp_path}/{number}.yaml:1" for number in (1, 2, 3))
    assert f"  the same is noted at {places} and 2 more" in lines
    assert lines[-1] == "6 models are shown, 6 warnings, 6 notes in 6 files"


def test_on_a_terminal_nothing_is_wider_than_it(tmp_path: Path) -> None:
    name = "a-name-that-is-rather-long-for-a-model"
    path = written(tmp_path / "a.yaml", objects.isvc(name, annotations={"rhdh.io/ownr": "x"}), objects.isvc("b"))
    text = _on_a_terminal(["preview", str(path)], columns=80)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in text.splitlines()]
    assert f"models_{name}  https://" in text
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    assert "\x1b[33m" in text


def _on_a_terminal(arguments: list[str], *, columns: int) -> str:
    """Return what the command prints on a terminal of that width."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    environ = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "services.connector", *arguments]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environ) as process:
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError):  # the terminal is closed at the other end
            while chunk := os.read(ours, 65536):
                printed += chunk
        process.wait()
    os.close(ours)
    return printed.decode().replace("\r\n", "\n")


def test_what_is_opted_out_is_hidden_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = objects.isvc("marked", annotations={"rhdh.modelcatalog.io/ignore": "true"})
    path = written(tmp_path / "a.yaml", marked, objects.isvc("m"), without_status(objects.isvc("old-m")))
    monkeypatch.setenv("SELECT_NAMES", "!old-*")
    result = preview(path)
    assert keys(result) == ["models_m"]
    found = entries(result)
    assert "rhdh.modelcatalog.io/ignore" in found["InferenceService models/marked"]["problems"][0]["message"]
    assert "SELECT_NAMES" in found["InferenceService models/old-m"]["problems"][0]["message"]


def test_connections_in_the_same_files_are_read_under_the_switch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = without_status(objects.isvc("m", annotations={CONNECTIONS: "bucket", f"{CONNECTIONS[:-1]}-path": "iris"}))
    model["spec"]["predictor"]["model"].pop("storageUri")
    connection = {
        "kind": "Secret",  # as in "Using connections": without an apiVersion
        "metadata": {"name": "bucket", "namespace": "models", "annotations": {PROTOCOL: "s3"}},
        "stringData": {"AWS_S3_BUCKET": "acme", "AWS_SECRET_ACCESS_KEY": "canary"},
    }
    file = written(tmp_path / "all.yaml", connection, model)
    assert "artifactLocationURL" not in preview(file).output
    monkeypatch.setenv("RESOLVE_CONNECTIONS", "true")
    result = preview(file)
    (entry,) = entries(result).values()
    assert entry["document"]["models"][0]["artifactLocationURL"] == "s3://acme/iris"
    for output in ("json", "table", "entities", "github", "sarif"):
        assert "canary" not in preview(file, output=output).output


def test_yaml_has_what_the_json_has(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m"), objects.isvc("o", ready=False))
    assert list(yaml.safe_load_all(preview(path, output="yaml").stdout)) == json.loads(preview(path).stdout)


def test_entities_are_those_of_every_reader(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m", annotations={"rhdh.io/system": "s"}))
    found = {entity["kind"]: entity for entity in yaml.safe_load_all(preview(path, output="entities").stdout)}
    assert set(found) == {"Resource", "Component", "API", "AiModelServerAPI"}
    spec = found["AiModelServerAPI"]["spec"]
    assert spec["models"] == {"available": ["m"], "default": "m"}
    assert spec["system"] == found["Component"]["spec"]["system"] == "system:default/s"


def test_problems_are_told_in_addition_to_entities(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m", annotations={"rhdh.io/ownr": "x"}))
    result = preview(path, "--fail-on", "warning", output="entities")
    assert result.exit_code == 1
    assert "did you mean rhdh.io/owner?" in result.stderr
    assert "rhdh.io/ownr" not in result.stdout
    assert result.stderr.splitlines()[-1] == "1 model is shown, 1 warning in 1 file"


def test_annotations_for_github(tmp_path: Path) -> None:
    path = written(tmp_path / "a,b.yaml", objects.isvc("m", annotations={"rhdh.io/ownr": "x"}))
    [line] = preview(path, output="github").stdout.splitlines()
    head, _, message = line.removeprefix("::").partition("::")
    assert head.startswith(f"warning file={tmp_path}/a%2Cb.yaml,line=")
    assert "title=InferenceService models/m" in head
    assert message == "the annotation rhdh.io/ownr is unknown; did you mean rhdh.io/owner? write rhdh.io/owner"


def test_sarif_for_code_scanning(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m", annotations={"rhdh.io/ownr": "x"}))
    log = json.loads(preview(path, output="sarif").stdout)
    [result] = log["runs"][0]["results"]
    assert (log["version"], result["level"], result["ruleId"]) == ("2.1.0", "warning", "annotation_unknown")
    assert [rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]] == ["annotation_unknown"]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == str(path)
    assert "rhdh.io/ownr" in path.read_text().splitlines()[place["region"]["startLine"] - 1]


def test_sarif_has_valid_references_and_names_a_place_once(tmp_path: Path) -> None:
    path = tmp_path / "my models.yaml"
    path.write_text("kind: InferenceService\nmetadata: a: b\n")
    [result] = json.loads(preview(path, output="sarif").stdout)["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/my%20models.yaml")
    assert result["message"]["text"].startswith("it cannot be read: a colon stands where none may be")


@pytest.mark.parametrize("output", FORMATS)
def test_files_may_have_names_of_any_bytes(tmp_path: Path, output: str) -> None:
    """A terminal or file takes only UTF-8 (PYTHONIOENCODING), as it does in most locales."""
    written(tmp_path / "name\udce9.yaml", objects.isvc("m", annotations={"rhdh.io/ownr": "x"}))
    (tmp_path / "odd\udce9.yaml").write_text("kind: [InferenceService")
    command = [sys.executable, "-m", "services.connector", "preview", str(tmp_path), "--format", output]
    ended = subprocess.run(
        command, env=environment(PYTHONIOENCODING="utf-8:strict"), cwd=ROOT, capture_output=True, check=False
    )
    shown = ended.stdout.decode()
    assert ended.returncode == 1, ended.stderr
    if output == "json":
        assert {entry["file"] for entry in json.loads(shown)} == {
            f"{tmp_path}/{n}.yaml" for n in ("name\ufffd", "odd\ufffd")
        }
    if output == "sarif":
        results = json.loads(shown)["runs"][0]["results"]
        uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in results]
        assert sorted(uris) == [f"{tmp_path}/name%E9.yaml", f"{tmp_path}/odd%E9.yaml"]


def test_texts_of_json_that_are_not_unicode_are_replaced(tmp_path: Path) -> None:
    obj = json.dumps(objects.isvc("m", annotations={"rhdh.io/description": "x\ud800y", "rhdh.io/\ud800": "x"}))
    (tmp_path / "a.json").write_text(obj)
    result = preview(tmp_path)
    assert keys(result) == ["models_m"]
    result.stdout.encode()


def test_the_examples_are_usable() -> None:
    result = preview(EXAMPLES, "--fail-on", "warning")
    assert result.exit_code == 0, result.stdout
    assert len(keys(result)) >= 10


def test_a_preview_loads_neither_servers_nor_clients() -> None:
    """What makes it quick to start."""
    script = (
        "import sys; from services.connector.cli import main\n"
        f"main(['preview', {str(EXAMPLES)!r}], standalone_mode=False)\n"
    )
    check = "print(sorted({'aiohttp', 'kubernetes_asyncio', 'structlog'} & set(sys.modules)))"
    source = f"import atexit, sys\natexit.register(lambda: {check})\n{script}"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
