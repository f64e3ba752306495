"""A cluster with models, a registry with others, and the pod that follows both, in a simulation."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.fakes.kubernetes import FakeCluster
from tests.fakes.registry import FakeRegistry
from tests.objects import isvc
from tests.simulation.pod import SERVICES, Pod
from tests.waiting import eventually

MINUTE = 60.0
DEPLOYED = [f"model-{number}" for number in range(8)]


def uris(*names: str) -> frozenset[str]:
    return frozenset(f"/models/{name}/model-catalog.json" for name in names)


REGISTERED = frozenset(f"/model-{number:04}/v1/model-catalog.json" for number in range(1, 6))


EVERYTHING = uris(*DEPLOYED) | REGISTERED


def now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class World:
    """A cluster with models, a registry with others, and the pod that follows both."""

    cluster: FakeCluster
    registry: FakeRegistry
    pod: Pod

    async def serves(self, expected: frozenset[str], *, within: float) -> None:
        """Wait until exactly this is served."""

        async def so() -> bool:
            found = await self.pod.uris()
            assert found == expected, f"served are {sorted(found or ())}"
            return True

        await eventually(so, timeout=within, interval=1, what=f"{len(expected)} served")

    async def still_serves(self, expected: frozenset[str], *, until: float) -> None:
        """Read every ten seconds until a time: exactly this must be served."""
        while now() < until:
            assert await self.pod.uris() == expected, f"at {now()}"
            await asyncio.sleep(10)

    async def lose(self, *names: str) -> None:
        """Delete deployments so that no one sees it: what remains is a list without them."""
        await self.cluster.go_down()
        for name in names:
            self.cluster.delete("InferenceService", "models", name)
        self.cluster.compact()
        await self.cluster.come_back()


@asynccontextmanager
async def world(*, programs: Mapping[str, Sequence[str]] = SERVICES, **variables: str) -> AsyncIterator[World]:
    """A world in which all models are served."""
    async with FakeCluster() as cluster, FakeRegistry() as registry:
        for name in DEPLOYED:
            cluster.apply(isvc(name))
        registry.populate(len(REGISTERED))
        async with Pod(cluster, programs=programs, MODEL_REGISTRY_URLS=registry.url, **variables) as pod:
            it = World(cluster, registry, pod)
            await it.serves(EVERYTHING, within=MINUTE)
            yield it
