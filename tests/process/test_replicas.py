"""Developer Hub with two replicas: two pods over the same models and the same ConfigMaps, without a leader."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.conftest import MakePod
from tests.process.pod import LOCATION, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

OWNER = "modelcatalogbridge.rhdh.io/owner"
NAMES = [f"model-{number:02}" for number in range(40)]
URIS = [isvc_uri(name) for name in NAMES]
CHECKED = 'rhoai_connector_http_requests_total{code="304",method="GET",route="/list",server="storage-rest"}'


@pytest.fixture
async def other_pod(make_pod: MakePod) -> AsyncIterator[Pod]:
    async with make_pod() as pod:
        yield pod


async def test_two_pods_agree_and_come_to_rest(
    pod: Pod, other_pod: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    await cluster.apply_all(map(isvc, NAMES))
    await pod.start()
    await pod.serving(*URIS)
    async with Reader(other_pod[LOCATION].url) as other_reader:
        await other_pod.start()
        await other_pod.serving(*URIS)

        await cluster.apply(isvc(NAMES[0], annotations={OWNER: "lab"}))
        reader.release(URIS[1])
        other_reader.release(URIS[1])
        await cluster.delete("InferenceService", "models", NAMES[1])
        await cluster.apply(isvc("new"))
        expected = [URIS[0], *URIS[2:], isvc_uri("new")]
        for each in (pod, other_pod):
            await each.serving(*expected)
            await each.shows(URIS[0], lambda d: d["models"][0]["owner"] == "lab")

        await other_pod.restart(STORAGE, NORMALIZER)
        await eventually(lambda: checked(pod, other_pod), what="both find nothing to do")
        revision = await cluster.revision()
        before = [await each.metric(STORAGE, CHECKED) for each in (pod, other_pod)]

        async def checked_again() -> bool:
            return all(
                [
                    await each.metric(STORAGE, CHECKED) > seen
                    for each, seen in zip((pod, other_pod), before, strict=True)
                ]
            )

        await eventually(checked_again, what="both find nothing to do again")
        assert await cluster.revision() == revision, "someone wrote without a change"
        for each in (pod, other_pod):
            await each.serving(*expected)
        await reader.round()
        await other_reader.round()


async def checked(*pods: Pod) -> bool:
    """Whether the normalizer of each pod has found its storage unchanged."""
    return all([await pod.metric(STORAGE, CHECKED) > 0 for pod in pods])
