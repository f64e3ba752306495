"""The three services of the pod live through long times: outages that last for hours, and holds that end."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from common import LOCATION, NORMALIZER, STORAGE
from common.removals import HOLD
from tests.fakes.kubernetes import FakeCluster
from tests.fakes.registry import FakeRegistry
from tests.objects import isvc
from tests.simulation.loop import simulate, simulated
from tests.simulation.network import Heard, Network
from tests.simulation.pod import CONNECTOR_RUN, SERVICES, Pod, Program
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
async def world(*, programs: Mapping[str, Program] = SERVICES, **variables: str) -> AsyncIterator[World]:
    """A world in which all models are served."""
    async with FakeCluster() as cluster, FakeRegistry() as registry:
        for name in DEPLOYED:
            cluster.apply(isvc(name))
        registry.populate(len(REGISTERED))
        async with Pod(cluster, programs=programs, MODEL_REGISTRY_URLS=registry.url, **variables) as pod:
            it = World(cluster, registry, pod)
            await it.serves(EVERYTHING, within=MINUTE)
            yield it


@simulated
async def test_a_model_stays_while_the_api_server_hangs(network: Network) -> None:
    async with FakeCluster() as cluster:
        cluster.apply(isvc("iris"))
        async with Pod(cluster) as pod:
            await eventually(pod.uris, interval=1)
            network.silence(cluster.url)
            await asyncio.sleep(3600)
            assert await pod.uris() == {"/models/iris/model-catalog.json"}


@pytest.mark.parametrize("programs", [SERVICES, CONNECTOR_RUN], ids=["pod", "connector run"])
@simulated
async def test_models_that_a_list_lacks_stay_for_the_hold_and_leave_when_it_ends(
    programs: Mapping[str, Program],
) -> None:
    async with world(programs=programs) as it:
        await it.lose(*DEPLOYED[1:])
        due = now() + HOLD
        await it.still_serves(EVERYTHING, until=due - 10)
        await it.serves(uris(DEPLOYED[0]) | REGISTERED, within=MINUTE)
        assert due <= now() < due + 5


@pytest.mark.parametrize("name", [NORMALIZER, STORAGE, LOCATION])
@simulated
async def test_the_restart_of_a_service_neither_shortens_nor_prolongs_a_hold(name: str) -> None:
    async with world() as it:
        await it.lose(*DEPLOYED[1:])
        due = now() + HOLD
        await it.still_serves(EVERYTHING, until=due - HOLD / 2)
        await it.pod.stop(name)
        await asyncio.sleep(5)
        it.pod.start(name)
        await it.serves(EVERYTHING, within=MINUTE)
        await it.still_serves(EVERYTHING, until=due - 10)
        await it.serves(uris(DEPLOYED[0]) | REGISTERED, within=MINUTE)
        assert due <= now() < due + 5


@pytest.mark.parametrize("programs", [SERVICES, CONNECTOR_RUN], ids=["pod", "connector run"])
@simulated
async def test_nothing_leaves_while_the_api_server_is_down_and_changes_are_served_soon_after(
    programs: Mapping[str, Program],
) -> None:
    async with world(programs=programs) as it:
        await it.cluster.go_down()
        it.cluster.delete("InferenceService", "models", DEPLOYED[0])
        it.cluster.apply(isvc("new"))
        await it.still_serves(EVERYTHING, until=now() + 2 * HOLD)
        await it.cluster.come_back()
        await it.serves(uris("new", *DEPLOYED[1:]) | REGISTERED, within=2 * MINUTE)


@simulated
async def test_nothing_leaves_while_a_registry_hangs_and_changes_are_served_soon_after(network: Network) -> None:
    async with world() as it:
        network.silence(it.registry.url)
        it.registry.populate(1, prefix="new")
        await it.still_serves(EVERYTHING, until=now() + 2 * HOLD)
        network.resume(it.registry.url)
        await it.serves(EVERYTHING | {"/new-0001/v1/model-catalog.json"}, within=2 * MINUTE)


def test_a_seed_repeats_every_request() -> None:
    async def scenario(network: Network) -> list[Heard]:
        async with world() as it:
            network.silence(it.registry.url)
            await asyncio.sleep(10 * MINUTE)
            await it.lose(*DEPLOYED[1:])
            network.resume(it.registry.url)
            await asyncio.sleep(10 * MINUTE)
        return network.heard

    first = simulate(scenario, seed=7)
    assert len(first) > 100
    assert simulate(scenario, seed=7) == first
    assert simulate(scenario, seed=8) != first
