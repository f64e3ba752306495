"""What a further cluster costs the normalizer: memory and connections, without models and with 300.

Half of the cost of a cluster with models is that of its models, which is measured by itself (see memory).
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import yaml

from benchmarks.figures import Figure
from benchmarks.fleet import services
from benchmarks.world import HERE, NORMALIZER, TOKEN, USER, Setup, World, resident, world
from tests.fakes.kubernetes import ProcessCluster, documented_rules
from tests.process.pod import NAMESPACE

FURTHER = 3
MODELS = 300


async def measure(runs: int, *, setup: Setup = HERE) -> AsyncIterator[Figure]:
    """Yield memory and connections of the normalizer per further cluster."""
    memory: dict[int, list[float]] = {0: [], MODELS: []}
    connections: list[float] = []
    for _ in range(runs):
        for models, samples in memory.items():
            mib, opened = await _further(models, setup)
            samples.append(mib)
            connections.append(opened)
    for models, samples in memory.items():
        yield Figure(group="further cluster", name=f"memory, {models} models", unit="MiB", samples=tuple(samples))
    yield Figure(group="further cluster", name="connections", unit="", samples=tuple(connections))


async def _further(models: int, setup: Setup) -> tuple[float, float]:
    """Return how many MiB and connections the normalizer has more for each further cluster with so many models."""
    async with AsyncExitStack() as stack:
        place = await stack.enter_async_context(world(setup))
        file = place.directory / "clusters.yaml"
        entries: list[dict[str, str]] = [{"name": "hub"}]
        for number in range(FURTHER):
            entries.append(await _cluster(stack, place.directory, number, models))
        await place.cluster.apply_all(services(MODELS))
        before = await _used(place, file, entries[:1], MODELS)
        after = await _used(place, file, entries, MODELS + FURTHER * models)
    return (after[0] - before[0]) / FURTHER, (after[1] - before[1]) / FURTHER


async def _cluster(stack: AsyncExitStack, directory: Path, number: int, models: int) -> dict[str, str]:
    """Start a further cluster and return its entry in the file."""
    authority = directory / f"authority-{number}"
    cluster = await stack.enter_async_context(ProcessCluster(tls_dir=authority))
    await cluster.grant(TOKEN, USER, documented_rules(NAMESPACE))
    await cluster.apply_all(services(models, first=MODELS * (number + 1)))
    (directory / "token").write_text(TOKEN)
    return {
        "name": f"further-{number}",
        "url": cluster.url,
        "tokenFile": str(directory / "token"),
        "caFile": str(authority / "ca.pem"),
    }


async def _used(place: World, file: Path, entries: list[dict[str, str]], models: int) -> tuple[float, float]:
    """Return MiB and connections of a normalizer that has just started with these clusters."""
    file.write_text(yaml.safe_dump({"clusters": entries}))  # noqa: ASYNC240 - nothing else runs in this process
    normalizer = place.pod[NORMALIZER]
    normalizer.environment["CLUSTERS_FILE"] = str(file)
    if normalizer.wanted:
        await normalizer.stop()
        await place.pod.start(NORMALIZER, ready=False)
    else:
        await place.pod.start(ready=False)
    await place.until_served(models)
    await place.until_idle()
    opened = [
        each for each in psutil.Process(normalizer.pid).net_connections() if each.status == psutil.CONN_ESTABLISHED
    ]
    return resident(normalizer.pid), len(opened)
