"""What a list lacks is held back, and not removed. How long is tested in tests/simulation."""

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
    """Wait until so many entries are in doubt."""

    async def held() -> bool:
        return await pod.metric(NORMALIZER, HELD) == removals

    await eventually(held, what=f"{removals} removals are held back")


async def left_for(pod: Pod, reason: str, entries: int) -> None:
    """Wait until the log says so of so many entries, and of no other."""

    def told() -> bool:
        lines = pod[NORMALIZER].events("entry_removed")
        return [line["reason"] for line in lines] == [reason] * entries

    await eventually(told, what=f"{entries} entries have left: {reason}")


async def lose(cluster: ProcessCluster, *names: str) -> None:
    """Delete models so that no one sees it: what remains is a list without them."""
    await cluster.go_down()
    for name in names:
        await cluster.delete("InferenceService", "models", name)
    await cluster.compact()
    await cluster.come_back()


async def test_an_empty_answer_removes_nothing(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
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
    await cluster.disturb_watches("gone", "inferenceservices")
    await holds_back(running, 0)
    await running.serving(*URIS)


async def test_a_single_model_that_is_really_gone_is_asked_for(
    running: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    reader.release(URIS[0])
    await lose(cluster, NAMES[0])
    await running.serving(*URIS[1:])
    await left_for(running, "deleted", 1)


async def test_a_kind_that_goes_and_comes_back_while_no_one_looks_loses_nothing(
    running: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    await running[NORMALIZER].stop()
    await lose(cluster, *NAMES)
    await running[NORMALIZER].start()
    await holds_back(running, len(NAMES))
    await reader.round()
    await running.serving(*URIS)
