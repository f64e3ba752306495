"""How soon what happens to an InferenceService is seen on location's port.

The clock starts before the write is sent to the API server and stops when a reader has the answer: the fake server's
own time, the way to it, and the reader's pause of a millisecond are all in the figure.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

from benchmarks import published
from benchmarks.figures import Figure, percentile
from benchmarks.fleet import name_of, namespace_of, service_of, services, uri_of
from benchmarks.patience import until
from benchmarks.world import HERE, Setup, World, world
from services.normalizer.registries import POLLING_FLOOR
from tests.fakes.registry import MODELS
from tests.objects import not_ready

FIRST = 50_000
"""Number of the first InferenceService that is measured; those before are there to be many."""
BURST = 10
SYNCED = 200
SYNCS = 5
"""Samples of a run that need a sync each, for which a poll must be waited for."""
SETTLE = 0.05
"""Seconds between two samples, so that each meets idle services."""


async def measure(runs: int, *, setup: Setup = HERE) -> AsyncIterator[Figure]:
    """Yield the latencies; each run brings ten samples, of which a burst and a sync are one each."""
    samples = 10 * runs
    async with world(setup) as place:
        await place.pod.start(ready=False)
        for models in (10, 200):
            present = await place.served()
            await place.cluster.apply_all(services(models - present, first=present))
            await place.until_served(models)
            await place.until_idle()
            ready, gone = await _one_by_one(place, samples)
            if models == SYNCED:
                yield _ready("idle", ready, 0)
            yield _gone(models, gone)
    async with world(setup) as place:
        await place.pod.start(ready=False)
        await place.until_idle()
        yield _ready(f"in a burst of {BURST}, the last", [await _burst(place) for _ in range(samples)], 1)
    async with world(setup, variables={"POLLING_INTERVAL": f"{POLLING_FLOOR:g}s"}) as place:
        await place.pod.start(ready=False)
        during = [await _during_sync(place, run) for run in range(SYNCS * runs)]
        found = [seconds for seconds in during if seconds is not None]
        yield _ready(f"during a sync of {SYNCED} ({len(found)} samples)", found, 2)


async def _one_by_one(place: World, samples: int) -> tuple[list[float], list[float]]:
    ready, gone = [], []
    for number in range(FIRST, FIRST + samples):
        await place.cluster.apply(not_ready(service_of(number)))
        await asyncio.sleep(SETTLE)
        ready.append(await _appears(place, number))
        await asyncio.sleep(SETTLE)
        began = time.perf_counter()
        await place.cluster.delete("InferenceService", namespace_of(number), name_of(number))
        gone.append(await place.feed.until(uri_of(number), 404) - began)
        await asyncio.sleep(SETTLE)
    return ready, gone


async def _appears(place: World, number: int) -> float:
    """Make an InferenceService ready and return the seconds until it is served."""
    began = time.perf_counter()
    write = asyncio.create_task(place.cluster.apply(service_of(number)))
    seen = await place.feed.until(uri_of(number), 200)
    await write
    return seen - began


async def _burst(place: World) -> float:
    """Make ten ready at once and return the seconds until the last one is served."""
    numbers = range(FIRST, FIRST + BURST)
    await place.cluster.apply_all([not_ready(service_of(number)) for number in numbers])
    await asyncio.sleep(SETTLE)
    began = time.perf_counter()
    write = asyncio.create_task(place.cluster.apply_all([service_of(number) for number in numbers]))
    seen = [await place.feed.until(uri_of(number), 200) for number in numbers]
    await write
    for number in numbers:
        await place.cluster.delete("InferenceService", namespace_of(number), name_of(number))
    await place.until_served(0)
    await asyncio.sleep(SETTLE)
    return seen[-1] - began


async def _during_sync(place: World, run: int) -> float | None:
    """Let the registry have 200 new models and make an InferenceService ready while the poll reads them.

    Returns None when the sync was over before the InferenceService was served: that would be an idle sample.
    """
    number = FIRST + run
    await place.cluster.apply(not_ready(service_of(number)))
    before = await place.served()
    await place.registry.registry("counted", reset=True)
    ids = await place.registry.registry("populate", SYNCED, prefix=f"run{run}")
    await until(partial(_reading_artifacts, place), timeout=30, what="a poll of the registry", share=0)
    await asyncio.sleep(run % SYNCS / 50)  # each sample meets the sync at another stage
    under_way = await place.served() < before + SYNCED
    seconds = await _appears(place, number)
    await place.until_served(before + SYNCED + 1)
    for each in ids:
        await place.registry.registry("delete", MODELS, each)
    await place.cluster.delete("InferenceService", namespace_of(number), name_of(number))
    await place.until_served(before)
    return seconds if under_way else None


async def _reading_artifacts(place: World) -> bool:
    return "GET model_versions/{id}/artifacts" in await place.registry.registry("counted")


def _ready(name: str, seconds: list[float], which: int) -> Figure:
    original = (published.READY_IDLE_MS, published.READY_BURST_MS, published.READY_SYNC_MS)[which]
    return Figure(
        group="isvc Ready → served",
        name=name,
        unit="ms",
        samples=_milliseconds(seconds),
        original=original,
        target=published.READY_TARGETS[which],
        note=f"p95 {percentile(_milliseconds(seconds), 0.95):.1f}",
    )


def _gone(models: int, seconds: list[float]) -> Figure:
    return Figure(
        group="isvc deleted → 404",
        name=f"with {models} models",
        unit="ms",
        samples=_milliseconds(seconds),
        original=published.GONE_MS[models],
        target=published.GONE_TARGET,
        note=f"p95 {percentile(_milliseconds(seconds), 0.95):.1f}",
    )


def _milliseconds(seconds: list[float]) -> tuple[float, ...]:
    return tuple(each * 1000 for each in seconds)
