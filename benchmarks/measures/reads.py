"""How many requests a second location answers, and how soon: /list of 7 kB, and one document."""

from collections.abc import AsyncIterator
from dataclasses import replace

from benchmarks import published
from benchmarks.figures import Figure, Target
from benchmarks.fleet import services, uri_of
from benchmarks.generators import Load, choose
from benchmarks.world import HERE, LOCATION, Setup, world

LIST_BYTES = 7_000
MODELS = 170
"""So many make a /list of 7 kB."""
SECONDS = 5.0
CONNECTIONS = (1, 16)
READERS = 100
"""Further connections at once, beyond what the original was measured with."""


async def measure(runs: int, *, setup: Setup = HERE, seconds: float = SECONDS) -> AsyncIterator[Figure]:
    """Yield requests per second, and latencies, for both paths and each number of connections."""
    generator = choose()
    async with world(replace(setup, store="Memory")) as place:
        await place.cluster.apply_all(services(MODELS))
        await place.pod.start(ready=False)
        await place.until_served(MODELS)
        await place.until_idle()
        url = place.pod[LOCATION].url
        for name, path in (("/list", "/list"), ("document", uri_of(0))):
            _, body = await place.feed.get(path)
            for connections in (*CONNECTIONS, READERS):
                await generator.run(url + path, connections=connections, seconds=min(1.0, seconds))
                loads = [await generator.run(url + path, connections=connections, seconds=seconds) for _ in range(runs)]
                for figure in _figures(name, len(body), connections, loads, generator.name):
                    yield figure


def _figures(name: str, size: int, connections: int, loads: list[Load], tool: str) -> list[Figure]:
    original = published.READS.get((name, connections))
    target = Target(original * published.READS_SHARE[connections], at_least=True) if original else None
    what = f"{name} ({size / 1000:.1f} kB), {connections} connection{'s' if connections > 1 else ''}"
    rate = Figure(
        group="reads",
        name=what,
        unit="requests/s",
        samples=tuple(load.rate for load in loads),
        original=original,
        target=target,
        note=f"{tool}; {sum(load.errors for load in loads)} errors",
    )
    latencies = [
        Figure(
            group="reads",
            name=f"{what}, p{share}",
            unit="ms",
            samples=tuple(getattr(load, f"p{share}") * 1000 for load in loads),
        )
        for share in (50, 99)
    ]
    return [rate, *latencies]
