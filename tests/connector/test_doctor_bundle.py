"""`connector doctor --bundle` holds what a supporter elsewhere needs, and no secret."""

import asyncio
import base64
import json
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.connector.doctor.bundle import redacted, write_bundle
from services.connector.doctor.collecting import collect
from services.connector.elsewhere import read_bundle
from services.connector.preview import preview
from services.connector.reading import Reading
from services.normalizer.settings import NormalizerSettings
from tests.connector.broken import NAMESPACE, TOKEN, World
from tests.deploy.kustomize import ROOT
from tests.deploy.rbac import Permission
from tests.fakes.kubernetes.resources import LLM_INFERENCE_SERVICES
from tests.objects import isvc, llm_isvc, predictor_service
from tests.processes import environment

CANARY = "canary-8f2c"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


def canaries() -> dict[str, Any]:
    """An InferenceService with a secret in every place where people put them."""
    obj = isvc(
        "leaky",
        storage_uri=f"https://user:{CANARY}-1@models.example.com/leaky?sig={CANARY}-2&se=2030",
        annotations={"example.com/api-token": f"{CANARY}-3"},
        containers=[
            {
                "name": "kserve-container",
                "env": [
                    {"name": "HF_TOKEN", "value": f"{CANARY}-4"},
                    {"name": "HARMLESS", "value": f"{CANARY}-5"},
                    {"name": "REFERENCE", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token"}}},
                ],
                "args": [f"--api-key={CANARY}-6", "--auth-token", f"{CANARY}-7", "--model_name=leaky"],
                "command": ["sh", "-c", f"exec serve --password {CANARY}-8"],
            }
        ],
    )
    applied = json.dumps({"spec": f"{CANARY}-9"})
    obj["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = applied
    obj["spec"]["predictor"]["model"]["storage"] = {"parameters": {"secret_access_key": f"{CANARY}-10"}}
    return obj


def pod(name: str, *containers: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"containers": [{"name": each} for each in containers]},
    }


async def bundle_of(world: World) -> dict[str, str]:
    return await collect(world.options(), await world.examine())


async def test_no_secret_is_in_it(world: World) -> None:
    world.environ["KFMR_TOKEN"] = f"{CANARY}-11"
    world.environ["RHDH_TOKEN"] = f"{CANARY}-12"
    world.environ["MODEL_REGISTRY_URLS"] = f"http://user:{CANARY}-13@127.0.0.1:1"
    world.cluster.apply(canaries())
    world.pod.ready["location"] = {"status": "ready", "conditions": [], "note": f"Bearer {TOKEN}"}
    document = {
        "models": [{"name": "m", "artifactLocationURL": f"https://a:{CANARY}-14@h/x?X-Amz-Signature={CANARY}-15"}]
    }
    body = {"body": base64.b64encode(json.dumps(document).encode()).decode()}
    world.put_cache({"models_m": base64.b64encode(json.dumps(body).encode()).decode()})

    world.cluster.apply(pod("rhdh-1", "location", "backstage-backend", "rhoai-normalizer"))
    world.allow(
        world.rights | {Permission(NAMESPACE, "", "pods", "list"), Permission(NAMESPACE, "", "pods/log", "get")}
    )
    said = {"event": "hello", "token": f"{CANARY}-16", "url": f"https://a:{CANARY}-17@h/"}
    world.cluster.log(NAMESPACE, "rhdh-1", "location", f"{json.dumps(said)}\nplain --token {CANARY}-18 {TOKEN}\n")
    world.cluster.log(NAMESPACE, "rhdh-1", "backstage-backend", f"{CANARY}-19")
    world.pod.hidden = [{"object": "x", "cause": "refused", "reason": f"https://a:{CANARY}-20@h/"}]

    files = await bundle_of(world)

    text = "\n".join(files.values())
    assert "leaky" in text
    assert '"event": "hello"' in files["logs/rhdh-1/location.log"]
    assert "is not valid for pod" in files["logs/rhdh-1/rhoai-normalizer.log"]
    assert "refused" in files["pod/rhoai-normalizer-status.json"]
    assert "--model_name=leaky" in text
    assert [line for line in text.splitlines() if CANARY in line or TOKEN in line] == []


async def test_it_holds_what_is_needed_to_see_the_same_elsewhere(world: World, tmp_path: Path) -> None:
    iris = isvc("iris")
    world.cluster.apply(predictor_service(iris))
    path = tmp_path / "bundle.tar.gz"

    write_bundle(path, await bundle_of(world))

    assert path.stat().st_mode & 0o077 == 0
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / "out", filter="data")
    folder = tmp_path / "out" / "bundle"
    assert json.loads((folder / "report.json").read_text())["summary"] == "nothing is wrong"
    assert json.loads((folder / "cache/bac-import-model/models_iris.json").read_text())["models"]
    assert len(list(yaml.safe_load_all((folder / "manifests/services.yaml").read_text()))) == 1
    with Reading([folder / "manifests"]) as files:
        shown = preview(files, defaults=NormalizerSettings.load().defaults).shown
    assert [each.key for each in shown] == ["models_iris"]


async def test_llm_inference_services_are_seen_elsewhere_as_well(world: World, tmp_path: Path) -> None:
    world.cluster.install(LLM_INFERENCE_SERVICES)
    verbs = ("get", "list", "watch")
    world.allow(world.rights | {Permission("", "serving.kserve.io", "llminferenceservices", verb) for verb in verbs})
    world.cluster.apply(llm_isvc("chat"))
    path = tmp_path / "bundle.tar.gz"
    write_bundle(path, await bundle_of(world))
    with Reading([]) as files:
        shown = preview(files, defaults=NormalizerSettings.load().defaults, clusters=read_bundle(path)).shown
    assert [each.key for each in shown] == ["models_chat", "models_iris"]


async def test_without_a_cluster_it_holds_the_report_at_least(world: World) -> None:
    del world.environ["token"]

    files = await bundle_of(world)

    assert "no credentials for a cluster" in files["report.txt"]


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (
            {"secretName": "s", "imagePullSecrets": [{"name": "p"}]},
            {"secretName": "s", "imagePullSecrets": [{"name": "p"}]},
        ),
        ({"password": "x", "Authorization": "Bearer x"}, {"password": "(removed)", "Authorization": "(removed)"}),
        ("s3://bucket/path", "s3://bucket/path"),
        ("https://u:p@h/a?b=c&sig=x", "https://h/a?b=c"),
        ("is it ready? yes", "is it ready? yes"),
        (["--key", "x", "y"], ["--key", "(removed)", "y"]),
        ({"managedFields": [1], "a": 1}, {"a": 1}),
    ],
)
def test_what_is_removed_and_what_stays(given: Any, left: Any) -> None:
    assert redacted(given) == left


async def test_it_may_go_through_a_pipe(world: World, tmp_path: Path) -> None:
    target = tmp_path / "through.tar.gz"
    names = {"location": "location", "storage": "storage-rest", "normalizer": "rhoai-normalizer"}
    options = [f"--{name}={world.pod.urls()[service]}" for name, service in names.items()]
    with target.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "services.connector", "doctor", "--bundle", "-", *options),
            cwd=ROOT,
            env=environment(HOME=str(tmp_path), **world.environ),
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
        )
        _, report = await process.communicate()
    assert process.returncode == 0
    assert report.decode().rstrip().endswith("nothing is wrong")
    with tarfile.open(target) as archive:
        assert "bundle/report.json" in archive.getnames()


async def test_what_cannot_be_written_is_told_before_anything_is_asked(world: World, tmp_path: Path) -> None:
    status, out, errors = await world.command("doctor", "--bundle", str(tmp_path / "no" / "bundle.tar.gz"))
    assert (status, out) == (2, "")
    assert "cannot be written: No such file or directory; in a container, write it to standard output" in errors
    status, _, errors = await world.command("doctor", "--bundle", "x.tar.gz", "model", "iris")
    assert (status, "--bundle has everything, not one model" in errors) == (2, True)
