"""A listing that lacks most of what there was is doubted, and believed when the next one says the same."""

import json

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.pod import NORMALIZER, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

NAMES = [f"model-{number}" for number in range(8)]
URIS = [isvc_uri(name) for name in NAMES]
HELD = 'rhoai_connector_removals_held{source="kserve"}'


@pytest.fixture
async def running(pod: Pod, cluster: ProcessCluster, reader: Reader) -> Pod:
    await cluster.apply_all(map(isvc, NAMES))
    await pod.start()
    await pod.serving(*URIS)
    reader.expect(*URIS)
    return pod


async def holds_back(pod: Pod, removals: int) -> None:
    """Wait until so many removals are doubted; the listing that ends the doubt comes after ten seconds."""

    async def held() -> bool:
        return await pod.metric(NORMALIZER, HELD) == removals

    await eventually(held, what=f"{removals} removals are held back", timeout=30)


async def test_an_empty_answer_removes_nothing(running: Pod, cluster: ProcessCluster, reader: Reader):
    empty = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceServiceList", "items": []}
    body = json.dumps({**empty, "metadata": {"resourceVersion": str(await cluster.revision())}})
    fault = await cluster.fault(
        "status",
        resource="inferenceservices",
        verb="list",
        status=200,
        body=body,
        content_type="application/json",
    )
    await cluster.disturb_watches("gone", "inferenceservices")

    await holds_back(running, len(NAMES))
    assert await fault.hits() == 1
    await running.serving(*URIS)
    await holds_back(running, 0)
    await running.serving(*URIS)


async def test_most_models_are_really_gone(running: Pod, cluster: ProcessCluster, reader: Reader):
    await cluster.go_down()
    for name in NAMES[1:]:
        await cluster.delete("InferenceService", "models", name)
    await cluster.compact()
    await cluster.come_back()

    await holds_back(running, 7)
    await reader.round()
    await running.serving(*URIS)
    reader.release(*URIS[1:])
    await running.serving(URIS[0])
    (doubt,) = running[NORMALIZER].events(
        "a listing lacks most of what its source had; waiting for the next one to confirm it"
    )
    assert doubt["entries"] == 7
    assert "REMOVAL_GUARD" in doubt["remedy"]
