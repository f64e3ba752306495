"""Any service may end at any moment, in any order; the feed is never short and heals by itself."""

import asyncio
import itertools
import random

import pytest

from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.pod import LOCATION, NAMES, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

OWNER = "modelcatalogbridge.rhdh.io/owner"
ORDERS = list(itertools.permutations(NAMES))
MODELS = ("iris", "wine", "oak")
URIS = tuple(map(isvc_uri, MODELS))


@pytest.fixture
async def running(pod: Pod, cluster: ProcessCluster, reader: Reader) -> Pod:
    """The pod with three models that are served."""
    await cluster.apply_all(map(isvc, MODELS))
    await pod.start()
    await pod.serving(*URIS)
    reader.expect(*URIS)
    return pod


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_a_rolling_restart(running: Pod, cluster: ProcessCluster, reader: Reader, order: tuple[str, ...]) -> None:
    await running.restart(*order)

    await running.serving(*URIS)
    await cluster.apply(isvc("new"))
    await running.serving(*URIS, isvc_uri("new"))
    await reader.round()


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_starting_one_after_the_other(
    running: Pod, cluster: ProcessCluster, reader: Reader, order: tuple[str, ...]
) -> None:
    await running.kill()
    reader.release(URIS[0])
    await cluster.delete("InferenceService", "models", MODELS[0])
    await cluster.apply(isvc("new"))

    for name in order:
        await running.start(name, ready=False)
        await running.alive(name)
    await running.ready()

    await running.serving(*URIS[1:], isvc_uri("new"))
    await reader.round()


async def test_what_happened_while_the_normalizer_was_away(
    running: Pod, cluster: ProcessCluster, reader: Reader
) -> None:
    await running.kill(NORMALIZER)
    reader.release(URIS[0])
    await cluster.delete("InferenceService", "models", MODELS[0])
    await cluster.apply_all([isvc(MODELS[1], annotations={OWNER: "lab"}), isvc("new")])
    await running.serving(*URIS)

    await running.start(NORMALIZER)
    await running.serving(*URIS[1:], isvc_uri("new"))
    await running.shows(URIS[1], lambda d: d["models"][0]["owner"] == "lab")


async def test_location_serves_on_while_storage_is_away(running: Pod, cluster: ProcessCluster, reader: Reader) -> None:
    await running.kill(STORAGE)
    await cluster.apply(isvc("new"))
    await reader.round()
    await running.serving(*URIS)

    await running.start(STORAGE)
    await running.serving(*URIS, isvc_uri("new"))
    await running.ready()


async def test_location_that_starts_without_storage_waits(running: Pod, reader: Reader) -> None:
    await running.kill(STORAGE, LOCATION)
    await running.start(LOCATION, ready=False)

    async def waits_for_storage() -> bool:
        answer = await running.get(LOCATION, "/list")
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
        return f"waiting for storage-rest to answer at {running[STORAGE].url}" in answer.json()["detail"]

    await eventually(waits_for_storage, what="location says what it waits for")
    assert (await running.get(LOCATION, "/readyz")).status == 503
    assert (await running.get(LOCATION, URIS[0])).status == 503

    await running.start(STORAGE)
    await running.serving(*URIS)


@pytest.mark.parametrize("seed", range(2))
async def test_kills_at_random_moments_of_a_sync(pod: Pod, cluster: ProcessCluster, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no cryptography
    names = [f"model-{number:03}" for number in range(300)]
    uris = [isvc_uri(name) for name in names]
    await cluster.apply_all(map(isvc, names))
    async with Reader(pod[LOCATION].url, sample=5) as reader:
        await pod.start(ready=False)
        for number in range(8):
            victim = dice.choice(NAMES)
            await asyncio.sleep(dice.uniform(0, 0.8))
            await pod.kill(victim)
            await cluster.apply(isvc(names[number], annotations={OWNER: f"lab {number}"}))
            await asyncio.sleep(dice.uniform(0, 0.2))
            await pod.start(victim, ready=False)
        await pod.ready()
        await pod.serving(*uris)
        await pod.shows(uris[7], lambda d: "7" in d["models"][0]["owner"])
        await reader.round()
