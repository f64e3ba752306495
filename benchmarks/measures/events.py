"""A storm of events: so many changes of InferenceServices a second, with a hundred readers at the same time.

Nothing may be lost: when the last change is served, every model must be served as it was changed last. Memory must be
bounded: what a service grows by during the storm is part of the table.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator

from benchmarks.figures import Figure, Target
from benchmarks.fleet import service_of, services, uri_of
from benchmarks.generators import Load, Own
from benchmarks.patience import until
from benchmarks.world import HERE, LOCATION, Setup, World, world

MODELS = 200
EVENTS_PER_SECOND = 1_000
SECONDS = 60.0
STEP = 0.1
"""Seconds between two writes to the API server, each of a hundred objects."""
READERS = 100
READS_PER_SECOND = 500
SECOND_HALF_MIB = Target(5)
"""How much all services together may grow in the second half of the storm: what grows forever does so there too."""
DESCRIPTION = "modelcatalogbridge.rhdh.io/description"


class Readers(Own):
    """Readers that ask at a steady rate, not as fast as they can."""

    def command(self, url: str, connections: int, seconds: float) -> list[str]:
        """See Generator."""
        return [*super().command(url, connections, seconds), "--rate", str(READS_PER_SECOND)]


async def measure(runs: int, *, setup: Setup = HERE, seconds: float = SECONDS) -> AsyncIterator[Figure]:
    """Yield what the storm did; it is long enough to need no repetition, so `runs` counts for nothing."""
    async with world(setup) as place:
        await place.cluster.apply_all(services(MODELS))
        await place.pod.start(ready=False)
        await place.until_served(MODELS)
        await place.until_idle()
        await place.cluster.reset_counts()
        before = place.memory()
        reading = asyncio.create_task(
            Readers().run(place.pod[LOCATION].url + uri_of(0), connections=READERS, seconds=seconds)
        )
        sent, half = await _storm(place, seconds)
        caught_up = await _caught_up(place, sent)
        load = await reading
        await place.until_idle()
        wrong = await _wrong(place, sent)
        for figure in _figures(sent / seconds, caught_up, wrong, load):
            yield figure
        counts = await place.cluster.counts()
        yield _figure("patches of ConfigMaps", "", counts.of("patch", "configmaps"))
        yield _figure("patched", "MiB", counts.patched_bytes / 2**20)
        after = place.memory()
        yield _figure("memory, growth in all", "MiB", sum(after.values()) - sum(before.values()))
        yield _figure(
            "memory, growth in the second half", "MiB", sum(after.values()) - sum(half.values()), SECOND_HALF_MIB
        )


async def _storm(place: World, seconds: float) -> tuple[int, dict[str, float]]:
    """Change models for a time; return the number of changes, and the memory in the middle."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    each = round(EVENTS_PER_SECOND * STEP)
    sent = 0
    half: dict[str, float] = {}
    for step in range(round(seconds / STEP)):
        await asyncio.sleep(max(0.0, began + step * STEP - loop.time()))
        await place.cluster.apply_all([_changed(sent + n) for n in range(each)])
        sent += each
        if not half and loop.time() - began > seconds / 2:
            half = place.memory()
    return sent, half or place.memory()


def _changed(event: int) -> dict[str, object]:
    return service_of(event % MODELS, annotations={DESCRIPTION: f"event {event}"})


async def _caught_up(place: World, sent: int) -> float:
    """Return the seconds from the end of the storm until its last change is served."""

    async def shown() -> bool:
        return await _description(place, sent - 1) == f"event {sent - 1}"

    began = time.perf_counter()
    return await until(shown, timeout=120, what="the last change served") - began


async def _wrong(place: World, sent: int) -> int:
    """Return how many models are not served as they were changed last."""
    last = range(sent - MODELS, sent)
    return sum([await _description(place, event) != f"event {event}" for event in last])


async def _description(place: World, event: int) -> str:
    status, body = await place.feed.get(uri_of(event % MODELS))
    return str(json.loads(body)["models"][0]["description"]) if status == 200 else ""


def _figures(rate: float, caught_up: float, wrong: int, load: Load) -> list[Figure]:
    return [
        _figure("events", "events/s", rate, Target(EVENTS_PER_SECOND * 0.99, at_least=True)),
        _figure("last change served after", "ms", caught_up * 1000),
        _figure("models served wrong at the end", "", wrong, Target(0)),
        _figure(f"{READERS} readers: answers", "requests/s", load.rate),
        _figure(f"{READERS} readers: errors", "", load.errors, Target(0)),
        _figure(f"{READERS} readers: p50", "ms", load.p50 * 1000),
        _figure(f"{READERS} readers: p99", "ms", load.p99 * 1000),
    ]


def _figure(name: str, unit: str, value: float, target: Target | None = None) -> Figure:
    return Figure(group="storm of isvc events", name=name, unit=unit, samples=(value,), target=target)
