"""`connector preview`: what would be served, and what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from services.connector.cli import main
from tests import objects


def preview(*paths: Path, output: str = "json") -> Result:
    return CliRunner().invoke(main, ["preview", *map(str, paths), "--format", output])


def written(path: Path, *objs: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump_all(objs))
    return path


def without_status(obj: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in obj.items() if key != "status"}


def test_json_is_an_array_of_documents_with_their_problems(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m", annotations={"modelcatalogbridge.rhdh.io/license": "Mine"}))
    result = preview(path)
    [shown] = json.loads(result.stdout)
    assert (shown["key"], shown["uri"]) == ("models_m", "/models/m/model-catalog.json")
    assert shown["document"]["models"][0]["name"] == "models-m"
    [problem] = shown["problems"]
    assert set(problem) == {"severity", "object", "message", "remedy"}
    assert problem["object"] == "InferenceService models/m"
    assert result.exit_code == 0


def test_a_manifest_as_it_stands_in_git_is_shown_without_a_server(tmp_path: Path) -> None:
    [shown] = json.loads(preview(written(tmp_path / "a.yaml", without_status(objects.isvc("m")))).stdout)
    assert "modelServer" not in shown["document"]


def test_lists_and_several_documents_are_taken_apart(tmp_path: Path) -> None:
    items = {"apiVersion": "v1", "kind": "List", "items": [objects.isvc("a"), objects.isvc("b")]}
    path = written(tmp_path / "a.yaml", items, objects.isvc("c"), {"kind": "ConfigMap", "apiVersion": "v1"})
    assert [shown["key"] for shown in json.loads(preview(path).stdout)] == ["models_a", "models_b", "models_c"]


def test_services_and_service_accounts_beside_an_isvc_count(tmp_path: Path) -> None:
    obj = objects.isvc("m", url="http://m-predictor.models.svc.cluster.local")
    path = written(tmp_path / "a.yaml", obj, objects.predictor_service(obj), objects.service_account_for(obj))
    [shown] = json.loads(preview(path).stdout)
    server = shown["document"]["modelServer"]
    assert server["authentication"] is True
    assert "rhdh.modelcatalog.io/internal-service-url" in server["API"]["annotations"]


def test_one_that_is_not_ready_is_named_with_the_reason(tmp_path: Path) -> None:
    result = preview(written(tmp_path / "a.yaml", objects.isvc("m", ready=False)))
    assert json.loads(result.stdout) == []
    assert "InferenceService models/m: not served:" in result.stderr
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "text",
    ["kind: [", "just words", "- a\n- list", "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"],
)
def test_an_unusable_object_ends_with_status_1_and_the_rest_is_shown(text: str, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    written(tmp_path / "good.yaml", objects.isvc("m"))
    result = preview(tmp_path)
    assert [shown["key"] for shown in json.loads(result.stdout)] == ["models_m"]
    assert "bad.yaml" in result.stderr
    assert result.exit_code == 1


def test_the_table_names_models_and_problems(tmp_path: Path) -> None:
    path = written(tmp_path / "a.yaml", objects.isvc("m"), objects.isvc("n", ready=False))
    result = preview(path, output="table")
    assert "models_m" in result.stdout
    assert "InferenceService models/n" in result.stdout


def test_the_examples_are_usable() -> None:
    result = preview(Path(__file__).parents[2] / "examples")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)) >= 10
