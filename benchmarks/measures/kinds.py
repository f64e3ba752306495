"""What deployments of each kind cost at the API server: so many LLMInferenceServices as much as InferenceServices.

Requests and bytes, not seconds: from the start of the normalizer until all are kept, then while nothing changes, then
for one change.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.figures import Figure
from benchmarks.fleet import llm_service_of, service_of
from benchmarks.patience import until
from benchmarks.world import HERE, NORMALIZER, Setup, World, world
from tests.fakes.kubernetes import Counts

SIZE = 1_000
KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "InferenceService": service_of,
    "LLMInferenceService": llm_service_of,
}
DESCRIPTION = "modelcatalogbridge.rhdh.io/description"


@dataclass(frozen=True, slots=True)
class Cost:
    """What the API server was asked in each part."""

    first: Counts
    idle: Counts
    change: Counts


async def measure(runs: int, *, setup: Setup = HERE, size: int = SIZE) -> AsyncIterator[Figure]:
    """Yield the figures of each kind; they are the same in each run, so `runs` counts for nothing."""
    for kind in KINDS:
        cost = await one(kind, size, setup=setup)
        for figure in _figures(f"{size:,} {kind}s", cost):
            yield figure


async def one(kind: str, size: int, *, setup: Setup = HERE) -> Cost:
    """Serve so many deployments of one kind, and change one."""
    make = KINDS[kind]
    async with world(setup, llms=True) as place:
        await place.cluster.apply_all([make(number) for number in range(size)])
        await place.pod.start(ready=False)
        await place.until_served(size)
        await place.until_kept(size)
        await place.until_idle()
        first = await _counted(place)
        await place.until_idle()
        idle = await _counted(place)
        published = await place.published()
        await place.cluster.apply(make(7, annotations={DESCRIPTION: "What it is good for, in other words"}))
        await until(lambda: _more(place, published), timeout=60, what="the change kept")
        return Cost(first, idle, await _counted(place))


async def _more(place: World, published: float) -> bool:
    return await place.pod.metric(NORMALIZER, 'rhoai_connector_published_total{kind="upsert"}') > published


async def _counted(place: World) -> Counts:
    counts = await place.cluster.counts()
    await place.cluster.reset_counts()
    return counts


def calls(counts: Counts) -> int:
    """Return all requests but those by which a test or measure itself changes the cluster."""
    return sum(counts.requests.values())


def _figures(name: str, cost: Cost) -> Sequence[Figure]:
    def figure(what: str, value: float, unit: str = "") -> Figure:
        return Figure(group="deployments by kind", name=f"{what}, {name}", unit=unit, samples=(value,))

    return (
        figure("calls until kept", calls(cost.first)),
        figure("written until kept", cost.first.request_bytes, "bytes"),
        figure("calls without changes", calls(cost.idle)),
        figure("calls for one change", calls(cost.change)),
        figure("patched for one change", cost.change.patched_bytes, "bytes"),
    )
