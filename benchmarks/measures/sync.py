"""A full sync: what the first poll of a registry with N models costs until all are served, and what later ones do.

The clock starts with the first request that reaches the registry, and stops when /list names every model ("served"),
and when storage has confirmed every one as kept ("kept"). The cache is empty before.
"""

import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks import published
from benchmarks.figures import Figure, Target
from benchmarks.patience import until
from benchmarks.world import HERE, LOCATION, NORMALIZER, STORAGE, Setup, World, world
from tests.fakes.kubernetes import Counts, Latency
from tests.fakes.registry import MODELS

PAGE = 100
"""Items on a page of the registry: what those of early 2025 give at most."""
LISTS = 5
"""Lists that a poll reads: models, versions, artifacts, inference services, serving environments."""
CARD = "# A model\n\n" + "What it was trained on, and what it is good for.\n" * 100
"""A model card of 5 kB."""
WRITES = ("create", "update", "patch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """What one sync cost."""

    started: float
    served: float
    kept: float
    requests: float
    idle_requests: float
    api: Counts
    idle_api: Counts
    change_requests: float
    change_api: Counts
    list_bytes: int


async def measure(
    sizes: Sequence[int], runs: int, *, setup: Setup = HERE, latency: Latency | None = None, cards: bool = False
) -> AsyncIterator[Figure]:
    """Yield the figures of each size."""
    for size in sizes:
        syncs = [await one(size, setup=setup, latency=latency, cards=cards) for _ in range(runs)]
        for figure in _figures(_Case(size, cards, latency is not None), syncs):
            yield figure


async def one(size: int, *, setup: Setup = HERE, latency: Latency | None = None, cards: bool = False) -> Sync:
    """Sync so many models once."""
    # Long enough for the first poll's counts to be read before the second begins.
    variables = {"POLLING_INTERVAL": f"{5 + size // 500}s"}
    async with world(setup, latency=latency, variables=variables, cards=cards) as place:
        await place.registry.registry("populate", size)
        for number in range(1, size + 1) if cards else ():
            await place.registry.catalog("put_card", "curated", f"example/model-{number:04}", CARD)
        await place.pod.start(STORAGE, LOCATION, ready=False)
        await place.pod.ready(STORAGE)
        await _restart_counts(place)
        start = time.perf_counter()
        await place.pod.start(NORMALIZER, ready=False)
        began = await _first_request(place)
        seen = await place.until_served(size)
        kept = await place.until_kept(size) - began
        requests = await place.until_polled()
        api = await place.cluster.counts()
        _, listed = await place.feed.get("/list")
        await _restart_counts(place)
        idle_requests, idle_api = await place.until_polled(), await place.cluster.counts()
        await _restart_counts(place)
        await place.registry.registry("edit", MODELS, "7", description="What it is good for, in other words")
        change_requests = await place.until_polled()
        await place.until_kept(size + 1)
        return Sync(
            started=seen - start,
            served=seen - began,
            kept=kept,
            requests=requests,
            idle_requests=idle_requests,
            api=api,
            idle_api=idle_api,
            change_requests=change_requests,
            change_api=await place.cluster.counts(),
            list_bytes=len(listed),
        )


async def _restart_counts(place: World) -> None:
    await place.asked(reset=True)
    await place.cluster.reset_counts()


async def _first_request(place: World) -> float:
    async def asked() -> bool:
        return await place.asked() > 0

    return await until(asked, timeout=60, what="a request to the registry", share=0)


def pages(size: int) -> int:
    """Return on how many pages the five lists of a registry with so many models fit, one version each, none served."""
    return 3 * max(1, math.ceil(size / PAGE)) + (LISTS - 3)


@dataclass(frozen=True, slots=True)
class _Case:
    """So many models, and what is special about them."""

    size: int
    cards: bool
    slow: bool

    @property
    def special(self) -> str:
        return (", with cards" if self.cards else "") + (", API server as slow as a real one" if self.slow else "")

    @property
    def name(self) -> str:
        return f"{self.size:,} models{self.special}"


def _figures(case: _Case, syncs: Sequence[Sync]) -> list[Figure]:
    size, name, plain = case.size, case.name, not case.special
    target = published.sync_target(size)
    original = published.SYNC_SECONDS.get(size)
    asked = published.registry_requests(size, cards=case.cards)
    most = Target(size + pages(size) + (size if case.cards else 0))
    calls, writes = published.api_calls(size), published.configmap_writes(size)

    def figure(group: str, what: str, values: Sequence[float], *, unit: str = "", **others: Any) -> Figure:
        return Figure(group=group, name=what, unit=unit, samples=tuple(values), **others)

    def time_(what: str, values: Sequence[float]) -> Figure:
        group, series = f"full sync, {what}", f"{what}{case.special}"
        return figure(group, name, values, unit="s", original=original, target=target, size=size, series=series)

    times = [
        time_("served", [s.served for s in syncs]),
        time_("kept", [s.kept for s in syncs]),
        figure("full sync, from the start of the normalizer", name, [s.started for s in syncs], unit="s"),
    ]
    if case.slow:
        return times
    idle = Target(published.UNCHANGED_REQUESTS + pages(size))
    counts = [
        figure("registry requests", f"first, {name}", [s.requests for s in syncs], original=asked, target=most),
        figure(
            "registry requests", f"unchanged, {name}", [s.idle_requests for s in syncs], original=asked, target=idle
        ),
    ]
    if plain:
        nothing = Target(0)
        first, later = [s.api for s in syncs], [s.idle_api for s in syncs]
        group = "API server, sync without changes"
        counts += [
            figure(group, f"calls, {name}", _calls(later), original=calls, target=nothing),
            figure(group, f"ConfigMap writes, {name}", _writes(later), original=writes, target=nothing),
        ]
        group = "one model changed"
        changed = [s.change_api for s in syncs]
        counts += [
            figure(group, f"registry requests, {name}", [s.change_requests for s in syncs]),
            figure(group, f"API server calls, {name}", _calls(changed), target=Target(1)),
            figure(group, f"patched, {name}", [api.patched_bytes for api in changed], unit="bytes"),
        ]
        group = "API server, first sync"
        counts += [
            figure(group, f"calls, {name}", _calls(first)),
            figure(group, f"ConfigMap writes, {name}", _writes(first)),
            figure(group, f"written, {name}", [api.request_bytes for api in first], unit="bytes"),
            figure("feed", f"/list, {name}", [s.list_bytes for s in syncs], unit="bytes"),
        ]
    return times + [replace(count, exact=True) for count in counts]


def _calls(counts: Sequence[Counts]) -> list[float]:
    return [sum(each.requests.values()) for each in counts]


def _writes(counts: Sequence[Counts]) -> list[float]:
    return [sum(each.of(verb, "configmaps") for verb in WRITES) for each in counts]
