"""Registered models of an MLflow server in the documented pod."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.fakes.mlflow import MODELS, VERSIONS, FakeMlflow
from tests.mlflow.contract import Server
from tests.objects import isvc
from tests.process.conftest import MakePod, pod_with_credentials
from tests.process.pod import NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

TOKEN = "dapi-of-mlflow-only"


@pytest.fixture
async def fake() -> AsyncIterator[FakeMlflow]:
    async with FakeMlflow(tokens=[TOKEN]) as fake:
        yield fake


@pytest.fixture
async def server(fake: FakeMlflow) -> AsyncIterator[Server]:
    async with Server(fake.url) as server:
        yield server


@pytest.fixture
async def pod(make_pod: MakePod, fake: FakeMlflow, tmp_path: Path) -> AsyncIterator[Pod]:
    variables = {"MLFLOW_URLS": f"team={fake.url}", "POLLING_INTERVAL": "300ms"}
    async with pod_with_credentials(make_pod, tmp_path / "mounted", name="team", token=TOKEN, **variables) as pod:
        yield pod


def version_uri(name: str, number: str) -> str:
    return f"/{name.replace(' ', '')}/{number}/model-catalog.json"


async def test_versions_are_served_with_who_serves_them_through_faults_and_deletions(
    pod: Pod, fake: FakeMlflow, server: Server, cluster: ProcessCluster, reader: Reader
) -> None:
    name = await server.model(description="Classifies irises.")
    for _ in range(2):
        await server.version(name)
    await server.send("registered-models/alias", name=name, alias="champion", version="2")
    served = isvc("iris", storage_uri=f"models:/{name.replace(' ', '%20')}@champion")
    await cluster.apply(served)
    await pod.start()

    await pod.serving(version_uri(name, "1"), version_uri(name, "2"))
    document = await pod.document(version_uri(name, "2"))
    assert document["modelServer"]["API"]["url"] == served["status"]["url"]
    assert "modelServer" not in await pod.document(version_uri(name, "1"))
    await reader.round()

    fake.fail("status", path=VERSIONS, status=500)
    fake.fail("status", path=MODELS, status=429, retry_after=1)

    async def told() -> bool:
        return "registry:mlflow:team" in await pod.failing(NORMALIZER)

    await eventually(told, what="the fault is reported")
    await reader.round()
    fake.heal()
    fake.fail("shrinking", path=VERSIONS, count=1)
    await eventually(told, what="a short list is reported")
    await reader.round()
    fake.heal()
    await pod.ready(NORMALIZER)

    reader.release(version_uri(name, "1"))
    await server.send("model-versions/delete", "DELETE", name=name, version="1")
    await pod.serving(version_uri(name, "2"))
    reader.release(version_uri(name, "2"))
    await server.send("model-versions/transition-stage", name=name, version="2", stage="Archived")
    await pod.serving(isvc_uri("iris"))
