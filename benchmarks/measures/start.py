"""How long each service needs from the start of its process until its first good answer.

For location and storage that is /list, with 200 models in the cache; for the normalizer /metrics. The services that
one needs run already, as they do after a container restarts.
"""

import time
from collections.abc import AsyncIterator

from benchmarks import published
from benchmarks.figures import Figure, Target
from benchmarks.fleet import services
from benchmarks.measures.memory import one_process
from benchmarks.probe import Probe
from benchmarks.world import HERE, LOCATION, NORMALIZER, STORAGE, Setup, World, world

MODELS = 200
ANSWER = {LOCATION: "/list", STORAGE: "/list", NORMALIZER: "/metrics"}


async def measure(runs: int, *, setup: Setup = HERE) -> AsyncIterator[Figure]:
    """Yield the time of each service; five starts a run."""
    starts = 5 * runs
    async with world(setup) as place:
        await place.cluster.apply_all(services(MODELS))
        await place.pod.start(ready=False)
        await place.until_served(MODELS)
        await place.until_idle()
        for name, path in ANSWER.items():
            original = published.START_MS[name]
            yield Figure(
                group="start until serving",
                name=name,
                unit="ms",
                samples=tuple([await _start(place, name, path) for _ in range(starts)]),
                original=original,
                target=Target(original * published.START_FACTOR),
            )
    async with world(setup) as place:
        await place.cluster.apply_all(services(MODELS))
        samples = [await _start_one_process(place) for _ in range(1 + starts)]
        yield Figure(group="start until serving", name="connector run", unit="ms", samples=tuple(samples[1:]))


async def _start(place: World, name: str, path: str) -> float:
    service = place.pod[name]
    await service.stop()
    await place.until_idle(quiet=0.3)
    async with Probe(service.url) as probe:
        began = time.perf_counter()
        await service.start()
        return (await probe.until(path, 200) - began) * 1000


async def _start_one_process(place: World) -> float:
    began = time.perf_counter()
    async with one_process(place) as (service, feed):
        seconds = await feed.until("/list", 200) - began
        await place.until_served(MODELS)
        await place.until_idle(service.pid)  # the cache is complete for the next start
        return seconds * 1000
