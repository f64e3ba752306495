"""Resident memory of the services, with 200 models and with a thousand more.

Half of the models are in a registry, half are InferenceServices alone. "Resident" is what the container is charged
for and a little more: the pages of the interpreter are counted in each process that maps them.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from benchmarks import published
from benchmarks.figures import Figure
from benchmarks.fleet import services
from benchmarks.probe import Probe
from benchmarks.world import HERE, LOCATION, NORMALIZER, Setup, World, resident, world
from tests.process.pod import NAMES
from tests.process.service import Service

MODELS = 200
MORE = 5_000
CONNECTOR = "connector"


async def measure(runs: int, *, setup: Setup = HERE) -> AsyncIterator[Figure]:
    """Yield the memory of the three processes and of all in one."""
    at_first: list[dict[str, float]] = []
    growth: list[dict[str, float]] = []
    for _ in range(runs):
        async with world(setup) as place:
            await _populate(place, MODELS, first=0)
            await place.pod.start(ready=False)
            before = await _settled(place, MODELS)
            at_first.append(before)
            growth.append(await _growth(place, before))
    for name in NAMES:
        yield _figure(f"{name}, {MODELS} models", [m[name] for m in at_first], original=published.MEMORY_MIB[name])
    yield _figure(
        f"all three, {MODELS} models",
        [sum(m.values()) for m in at_first],
        original=sum(published.MEMORY_MIB.values()),
        target=published.MEMORY_TARGET,
    )
    for name in NAMES:
        yield _figure(f"{name}, per further model", [each[name] for each in growth], unit="KiB")
    further = [sum(each.values()) for each in growth]
    yield _figure("all three, per further model", further, unit="KiB", target=published.FURTHER_MODEL_TARGET)
    one = [await _one_process(setup) for _ in range(runs)]
    yield _figure(f"connector run, {MODELS} models", [first for first, _ in one], target=published.ONE_PROCESS_TARGET)
    yield _figure("connector run, per further model", [more for _, more in one], unit="KiB")


async def _populate(place: World, models: int, *, first: int) -> None:
    await place.cluster.apply_all(services(models // 2, first=first // 2))
    await place.registry.registry("populate", models // 2, prefix=f"from{first}")


async def _settled(place: World, models: int) -> dict[str, float]:
    await place.until_served(models)
    await place.until_idle()
    return place.memory()


async def _growth(place: World, before: dict[str, float]) -> dict[str, float]:
    """Add models and return by how many KiB each service has grown per model."""
    await _populate(place, MORE, first=MODELS)
    # The registry is polled again at the start only: a polling interval that comes round would blur the figures.
    await place.pod[NORMALIZER].stop()
    await place.pod.start(NORMALIZER, ready=False)
    after = await _settled(place, MODELS + MORE)
    return {name: (after[name] - before[name]) * 1024 / MORE for name in after}


@asynccontextmanager
async def one_process(place: World) -> AsyncIterator[tuple[Service, Probe]]:
    """Run `connector run` on the world's cluster and registry, in place of its pod."""
    pod = place.pod
    service = Service(
        CONNECTOR,
        url=pod[LOCATION].url,
        arguments=["run", "--cluster", "--address", pod[LOCATION].url.removeprefix("http://")],
        environment=pod[NORMALIZER].environment,
        directory=place.directory,
        programs=place.setup.programs,
    )
    await service.start()
    try:
        yield service, place.feed
    finally:
        await service.kill()


async def _one_process(setup: Setup) -> tuple[float, float]:
    """Return MiB with 200 models, and KiB per further one."""
    async with world(setup) as place:
        await _populate(place, MODELS, first=0)
        async with one_process(place) as (service, _):
            await place.until_served(MODELS)
            await place.until_idle(service.pid)
            before = resident(service.pid)
        await _populate(place, MORE, first=MODELS)
        async with one_process(place) as (service, _):
            await place.until_served(MODELS + MORE)
            await place.until_idle(service.pid)
            return before, (resident(service.pid) - before) * 1024 / MORE


def _figure(name: str, samples: Sequence[float], *, unit: str = "MiB", **others: object) -> Figure:
    return Figure(group="memory", name=name, unit=unit, samples=tuple(samples), **others)  # type: ignore[arg-type]
