"""`connector preview --cluster` and `--bundle`: manifests that are not in files."""

import base64
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from services.connector.cli import main
from services.connector.doctor.bundle import write_bundle
from services.connector.doctor.collecting import collect
from tests.connector.broken import World
from tests.deploy.rbac import Permission
from tests.fakes.kubernetes.resources import LLM_INFERENCE_SERVICES, SERVING_RUNTIMES
from tests.objects import isvc, llm_isvc, predictor_service, secret


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


def keys(out: str) -> list[str]:
    return [entry["key"] for entry in json.loads(out) if entry["document"]]


async def test_a_live_cluster_is_read_and_not_changed(world: World) -> None:
    world.cluster.apply(predictor_service(isvc("iris")))
    world.cluster.apply(isvc("wine", ready=False))

    status, out, errors = await world.command("preview", "--cluster", "--format", "json")

    assert (status, keys(out)) == (0, ["models_iris"]), errors
    assert [entry["object"] for entry in json.loads(out)][-1] == "InferenceService models/wine"
    assert {access.verb for access in world.cluster.used} == {"list"}


async def test_a_live_cluster_shows_every_kind_and_connections_where_settings_say_so(world: World) -> None:
    for resource in (LLM_INFERENCE_SERVICES, SERVING_RUNTIMES):
        world.cluster.install(resource)
    model = isvc("own", model_format="own", runtime="ours", annotations={"opendatahub.io/connections": "bucket"})
    model["spec"]["predictor"]["model"] |= {"storageUri": "", "storage": {"key": "bucket", "path": "own"}}
    runtime = {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {"name": "ours", "namespace": "models"},
        "spec": {"containers": [{"name": "kserve-container", "image": "quay.io/acme/vllm:1"}]},
    }
    fields = {"AWS_S3_BUCKET": "acme", "AWS_SECRET_ACCESS_KEY": "canary"}
    connection = secret("bucket", data={key: base64.b64encode(text.encode()).decode() for key, text in fields.items()})
    for obj in (llm_isvc("qwen"), model, runtime, connection):
        world.cluster.apply(obj)
    read = {
        Permission("", group, resource, verb)
        for group, resource, verb in (
            ("serving.kserve.io", "llminferenceservices", "list"),
            ("serving.kserve.io", "servingruntimes", "list"),
            ("", "secrets", "get"),
        )
    }
    world.allow(world.rights | read)
    shown = keys((await world.command("preview", "--cluster", "--format", "json"))[1])
    assert shown == ["models_iris", "models_own", "models_qwen"]

    world.environ |= {"READ_RUNTIMES": "true", "RESOLVE_CONNECTIONS": "true"}
    _, out, errors = await world.command("preview", "--cluster", "--format", "json")
    own = next(entry for entry in json.loads(out) if entry["key"] == "models_own")
    assert own["details"]["serverType"] == "openai-v1"
    assert own["document"]["models"][0]["artifactLocationURL"] == "s3://acme/own"
    assert "canary" not in out + errors
    assert base64.b64encode(b"canary").decode() not in out + errors


async def test_services_that_may_not_be_read_are_left_out(world: World) -> None:
    world.without("services")
    assert keys((await world.command("preview", "--cluster", "--format", "json"))[1]) == ["models_iris"]

    world.without("inferenceservices")
    status, _, errors = await world.command("preview", "--cluster")
    assert status == 2
    assert "403" in errors


async def test_a_bundle_shows_elsewhere_what_is_shown_here(world: World, tmp_path: Path) -> None:
    bundle = tmp_path / "case-7.tar.gz"
    write_bundle(bundle, await collect(world.options(), await world.examine()))
    here = json.loads((await world.command("preview", "--cluster", "--format", "json"))[1])

    result = CliRunner().invoke(main, ["preview", "--bundle", str(bundle), "--format", "json"])

    there = json.loads(result.stdout)
    assert result.exit_code == 0, result.output
    assert [entry["document"] for entry in there] == [entry["document"] for entry in here]
    assert there[0]["file"] == "case-7/manifests/inferenceservices.yaml"


def test_deployments_of_one_name_in_two_clusters_of_a_bundle_are_two_models(tmp_path: Path) -> None:
    west = isvc("iris", url="https://iris.west.example.com", annotations={"rhdh.io/license": "Mine alone"})
    hidden = isvc("wine", ready=False)
    bundle = tmp_path / "case-8.tar.gz"
    write_bundle(
        bundle,
        {
            "clusters/east/manifests/inferenceservices.yaml": yaml.safe_dump_all([isvc("iris"), hidden]),
            "clusters/west/manifests/inferenceservices.yaml": yaml.safe_dump_all([west, hidden]),
        },
    )
    entries = json.loads(CliRunner().invoke(main, ["preview", "--bundle", str(bundle), "--format", "json"]).stdout)

    shown = {Path(entry["file"]).parts[2]: entry for entry in entries if entry["document"]}
    assert {name: [each["id"] for each in entry["problems"]] for name, entry in shown.items()} == {
        "east": [],
        "west": ["licence_unknown", "name_taken"],
    }
    assert shown["east"]["key"] == "models_iris"
    assert shown["west"]["key"].startswith("models_iris-")
    assert shown["west"]["document"]["modelServer"]["API"]["url"] == "https://iris.west.example.com"
    assert [(entry["object"], Path(entry["file"]).parts[2]) for entry in entries if not entry["document"]] == [
        ("InferenceService models/wine", "east"),
        ("InferenceService models/wine", "west"),
    ]


def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    garbage, other = tmp_path / "garbage.tar.gz", tmp_path / "other.tar.gz"
    garbage.write_bytes(b"garbage")
    with tarfile.open(other, "w:gz") as archive:
        archive.add(Path(__file__), "something/else.py")

    for file, words in ((garbage, "cannot be read as a bundle"), (other, "has no folder manifests")):
        result = CliRunner().invoke(main, ["preview", "--bundle", str(file)])
        assert result.exit_code == 2
        assert words in result.output
        assert "gz" not in result.output.replace(str(file), "")


def test_nothing_to_read_is_a_wrong_command() -> None:
    result = CliRunner().invoke(main, ["preview"])

    assert result.exit_code == 2
    assert "give PATHS, --cluster, --registry or --bundle" in result.output
