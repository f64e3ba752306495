"""Where everything is measured: the fakes and the services, each a process of its own."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.patience import until
from benchmarks.probe import Probe
from tests.fakes.kubernetes import Latency, ProcessCluster, Rule, documented_rules
from tests.fakes.registry import ProcessRegistry
from tests.process.pod import LOCATION, NAMESPACE, NORMALIZER, STORAGE, Pod
from tests.process.service import BIN

TOKEN = "benchmark-token"
USER = f"system:serviceaccount:{NAMESPACE}:rhdh-rhoai-connector"
READING_LLMS = Rule(
    api_groups=("serving.kserve.io",), resources=("llminferenceservices",), verbs=("get", "list", "watch")
)
NEVER = "24h"
"""A polling interval that no measurement lives to see the end of."""
DOCUMENT = b"/model-catalog.json"
TOLERATED = ("Fatal error on SSL protocol",)
"""What uvloop logs when a TLS connection is closed under its feet, at the end of a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What is measured: storage-rest with this store, and the services whose console entry points are `programs`."""

    store: str = "ConfigMap"
    programs: Path = BIN


HERE = Setup()
"""The services as they are installed where this runs."""


@dataclass(frozen=True)
class World:
    """An API server, a registry with its catalog, and the documented pod, which no one has started yet."""

    setup: Setup
    cluster: ProcessCluster
    registry: ProcessRegistry
    pod: Pod
    feed: Probe
    directory: Path

    async def served(self) -> int:
        """Return how many documents /list names; 0 while it is not shown."""
        try:
            status, body = await self.feed.get("/list")
        except (OSError, EOFError):
            return 0
        return body.count(DOCUMENT) if status == 200 else 0

    async def until_served(self, count: int, *, timeout: float = 120) -> float:
        """Wait until /list names so many, and return the moment at which it did."""

        async def served() -> bool:
            return await self.served() == count

        return await until(served, timeout=timeout, what=f"{count} models served")

    async def until_kept(self, upserts: int, *, timeout: float = 120) -> float:
        """Wait until storage has confirmed so many documents to the normalizer, and return the moment."""

        async def kept() -> bool:
            return await self.published() >= upserts

        return await until(kept, timeout=timeout, what=f"{upserts} documents kept")

    async def published(self) -> float:
        """Return how many documents the normalizer has sent and seen confirmed."""
        return await self.pod.metric(NORMALIZER, 'rhoai_connector_published_total{kind="upsert"}')

    async def until_polled(self, *, quiet: float = 1.5) -> int:
        """Wait until registry and catalog have been asked, and no more for a while; return the requests."""
        async with asyncio.timeout(120):
            before, since = 0, time.perf_counter()
            while not before or time.perf_counter() - since < quiet:
                await asyncio.sleep(0.02)
                now = await self.asked()
                if now != before:
                    before, since = now, time.perf_counter()
        return before

    async def asked(self, *, reset: bool = False) -> int:
        """Return how many requests the registry and the catalog have got; then count again if told to."""
        counted = (self.registry.registry, self.registry.catalog)
        return sum([sum((await count("counted", reset=reset)).values()) for count in counted])

    async def until_idle(self, *pids: int, quiet: float = 1.0, timeout: float = 120) -> None:
        """Wait until the services, or these processes, have used next to no processor time for a while."""
        pids = pids or tuple(service.pid for service in self.pod.services.values() if service.wanted)
        async with asyncio.timeout(timeout):
            before = sum(map(_cpu, pids))
            while True:
                await asyncio.sleep(quiet)
                now = sum(map(_cpu, pids))
                if now - before < 0.03 * quiet + 0.01:  # processor time is counted in hundredths of a second
                    return
                before = now

    def memory(self) -> dict[str, float]:
        """Return the resident memory of each running service, in MiB."""
        return {name: resident(self.pod[name].pid) for name in self.pod.services if self.pod[name].wanted}


def resident(pid: int) -> float:
    """Return a process's resident memory in MiB, with its share of what several processes map."""
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


@asynccontextmanager
async def world(
    setup: Setup = HERE,
    *,
    variables: Mapping[str, str] | None = None,
    latency: Latency | None = None,
    cards: bool = False,
    llms: bool = False,
) -> AsyncIterator[World]:
    """Make a world; `variables` are further ones of the pod, `latency` is the API server's, `cards` adds a catalog.

    `llms`: the cluster has LLMInferenceServices, and the connector may read them.
    """
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="benchmark-")))
        cluster = await stack.enter_async_context(ProcessCluster(tls_dir=directory / "authority"))
        rules = [*documented_rules(NAMESPACE), *([READING_LLMS] if llms else [])]
        await cluster.grant(TOKEN, USER, rules)
        if llms:
            await cluster.install("llminferenceservices")
        if latency is not None:
            await cluster.set_latency(latency)
        registry = await stack.enter_async_context(ProcessRegistry())
        settings = {
            "STORAGE_TYPE": setup.store,
            "MODEL_REGISTRY_URLS": registry.url,
            "POLLING_INTERVAL": NEVER,
            "REMOVAL_GUARD": "off",
            **({"MODEL_CATALOG_URL": registry.catalog_url} if cards else {}),
            **(variables or {}),
        }
        pod = Pod(cluster=cluster, token=TOKEN, directory=directory, overrides=settings, programs=setup.programs)
        pod.tolerate(*TOLERATED)
        await stack.enter_async_context(pod)
        feed = await stack.enter_async_context(Probe(pod[LOCATION].url))
        yield World(setup, cluster, registry, pod, feed, directory)


__all__ = ["HERE", "LOCATION", "NAMESPACE", "NORMALIZER", "STORAGE", "Setup", "World", "resident", "world"]
