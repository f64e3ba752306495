"""A simulation that sets a seed sees every pause again."""

import asyncio

import pytest

from common import randomness
from common.backoff import spread
from common.clocks import loop_time
from common.http.client import HttpClient
from common.http.errors import Unreachable
from common.kube.client import KubeClient
from common.kube.credentials import Credentials
from common.kube.metrics import KubeMetrics
from common.kube.reflector import ReflectorOptions
from common.metrics import Metrics
from tests.common.kube.recorder import following
from tests.simulation.loop import simulate
from tests.simulation.network import Heard, Network

HOUR = 3600.0


async def one_hour(network: Network) -> list[Heard]:
    """Return when a reflector and a client that retries, which poll together, tried to connect within an hour."""
    nowhere = "http://192.0.2.1"
    credentials = Credentials(nowhere, token=None, ssl=True, namespace=None, origin="a test", refused="")
    metrics = KubeMetrics(Metrics("test", "1"))
    async with (
        KubeClient(credentials=credentials, metrics=metrics) as kube,
        HttpClient(name="registry", base_url=nowhere) as registry,
        following(kube, metrics, options=ReflectorOptions()),
    ):
        while loop_time() < HOUR:
            with pytest.raises(Unreachable):
                await registry.request("GET", "/models")
            await asyncio.sleep(spread(60))
    return network.heard


def test_a_seed_repeats_every_pause_of_an_hour_without_a_network() -> None:
    first = simulate(one_hour, seed=7)

    assert len(first) > 300
    assert simulate(one_hour, seed=7) == first
    assert simulate(one_hour, seed=8) != first


def test_identifiers_of_a_seed_are_the_same_and_differ_from_each_other() -> None:
    randomness.seed(7)
    first = [randomness.identifier(6) for _ in range(100)]
    randomness.seed(7)

    assert [randomness.identifier(6) for _ in range(100)] == first
    assert len(set(first)) == 100
    assert {len(each) for each in first} == {12}
