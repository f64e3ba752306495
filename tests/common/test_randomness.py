"""A simulation that sets a seed sees every pause again."""

import asyncio
import ssl

import aiohttp
import pytest

from common import randomness
from common.backoff import spread
from common.http import transports
from common.http.client import HttpClient, Unreachable
from common.kube.client import KubeClient
from common.kube.credentials import Credentials
from common.kube.metrics import KubeMetrics
from common.kube.reflector import ReflectorOptions
from common.metrics import Metrics
from tests.common.kube.recorder import following

HOUR = 3600.0

pytestmark = pytest.mark.looptime


class Silence(aiohttp.BaseConnector):
    """A network in which nothing answers; notes at which second of the simulation something tried to connect."""

    def __init__(self, attempts: list[float], began: float) -> None:
        super().__init__()
        self._attempts = attempts
        self._began = began

    async def _create_connection(
        self, req: object, traces: object, timeout: object
    ) -> aiohttp.client_proto.ResponseHandler:
        self._attempts.append(round(asyncio.get_running_loop().time() - self._began, 6))
        raise OSError("nothing answers here")


async def simulate(seed: int) -> list[float]:
    """Return when a reflector and a client that retries, which poll together, tried to connect within an hour."""
    randomness.seed(seed)
    attempts: list[float] = []
    began = asyncio.get_running_loop().time()

    class Network(transports.Tcp):
        def connector(self, url: str, *, ssl: ssl.SSLContext | bool, limit: int) -> aiohttp.BaseConnector:
            return Silence(attempts, began)

    nowhere = "http://192.0.2.1"
    credentials = Credentials(nowhere, token=None, ssl=True, namespace=None, origin="a test", refused="")
    metrics = KubeMetrics(Metrics("test", "1"))
    with transports.using(Network()):
        async with (
            KubeClient(credentials=credentials, metrics=metrics) as kube,
            HttpClient(name="registry", base_url=nowhere) as registry,
            following(kube, metrics, options=ReflectorOptions()),
        ):
            while asyncio.get_running_loop().time() < began + HOUR:
                with pytest.raises(Unreachable):
                    await registry.request("GET", "/models")
                await asyncio.sleep(spread(60))
    return attempts


async def test_a_seed_repeats_every_pause_of_an_hour_without_a_network() -> None:
    first = await simulate(7)

    assert len(first) > 300
    assert await simulate(7) == first
    assert await simulate(8) != first


def test_identifiers_of_a_seed_are_the_same_and_differ_from_each_other() -> None:
    randomness.seed(7)
    first = [randomness.identifier(6) for _ in range(100)]
    randomness.seed(7)

    assert [randomness.identifier(6) for _ in range(100)] == first
    assert len(set(first)) == 100
    assert {len(each) for each in first} == {12}
