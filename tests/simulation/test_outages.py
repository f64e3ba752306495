"""Outages that last for hours: nothing leaves, and what was missed is there soon after."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from common.removals import HOLD
from tests.fakes.kubernetes import FakeCluster
from tests.objects import isvc
from tests.simulation.loop import simulate, simulated
from tests.simulation.network import Heard, Network
from tests.simulation.pod import CONNECTOR_RUN, SERVICES, Pod
from tests.simulation.world import DEPLOYED, EVERYTHING, MINUTE, REGISTERED, now, uris, world
from tests.waiting import eventually


@simulated
async def test_a_model_stays_while_the_api_server_hangs(network: Network) -> None:
    async with FakeCluster() as cluster:
        cluster.apply(isvc("iris"))
        async with Pod(cluster) as pod:
            await eventually(pod.uris, interval=1)
            network.silence(cluster.url)
            await asyncio.sleep(3600)
            assert await pod.uris() == uris("iris")


@pytest.mark.parametrize("programs", [SERVICES, CONNECTOR_RUN], ids=["pod", "connector run"])
@simulated
async def test_nothing_leaves_while_the_api_server_is_down_and_changes_are_served_soon_after(
    programs: Mapping[str, Sequence[str]],
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
