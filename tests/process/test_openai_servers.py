"""A gateway of the OpenAI API in the documented pod, which no cluster knows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.openai import FakeOpenAi
from tests.process.conftest import MakePod, pod_with_credentials
from tests.process.pod import LOCATION, NORMALIZER, Pod
from tests.process.reader import Reader
from tests.waiting import eventually

KEY = "sk-of-the-gateway-only"
URI = "/openai/gateway/model-catalog.json"


@pytest.fixture
async def gateway() -> AsyncIterator[FakeOpenAi]:
    async with FakeOpenAi("granite-3.1-8b", "llama-3", tokens=[KEY]) as gateway:
        yield gateway


@pytest.fixture
async def pod(make_pod: MakePod, gateway: FakeOpenAi, tmp_path: Path) -> AsyncIterator[Pod]:
    variables = {"OPENAI_SERVERS": f"gateway={gateway.url}/v1", "POLLING_INTERVAL": "200ms"}
    async with pod_with_credentials(make_pod, tmp_path / "mounted", name="gateway", token=KEY, **variables) as pod:
        yield pod


async def test_its_models_are_served_through_faults_until_it_is_no_longer_named(
    pod: Pod, gateway: FakeOpenAi, reader: Reader
) -> None:
    await pod.start()
    await pod.serving(URI)
    feed = "/api/kserve-kubeflow-connector"
    [key] = (await pod.get(LOCATION, f"{feed}/list")).json()["uris"]
    shown = (await pod.get(LOCATION, f"{feed}/models/{key}")).json()
    assert [model["name"] for model in shown["models"]] == ["granite-3.1-8b", "llama-3"]
    assert shown["modelServer"]["API"]["url"] == f"{gateway.url}/v1"
    assert shown["modelServer"]["authentication"] is True

    async def told() -> bool:
        return "openai:gateway" in await pod.failing(NORMALIZER)

    for fault in ({"kind": "status", "status": 503}, {"kind": "status", "status": 429}, {"kind": "empty"}):
        gateway.fail(**fault)
        await eventually(told, what=f"{fault} is reported")
        await reader.round()
        gateway.heal()
        await pod.ready(NORMALIZER)

    gateway.fail("status", status=500)
    await pod.restart_unready(NORMALIZER)
    await reader.round()
    gateway.heal()
    await pod.ready()

    reader.release(URI)
    pod.set(NORMALIZER, OPENAI_SERVERS="")
    await pod.restart_unready(NORMALIZER)
    await pod.serving()
