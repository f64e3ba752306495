from collections.abc import AsyncIterator

import pytest

from common.kube.client import KubeClient
from common.kube.credentials import Credentials
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from common.secrets import StaticToken
from tests.fakes.kubernetes import FakeCluster

REFUSED = "get a new token"


def credentials_for(cluster: FakeCluster, token: str = "", *, server: str = "") -> Credentials:
    return Credentials(
        server=server or cluster.url,
        token=StaticToken(token or cluster.token),
        ssl=True,
        namespace="rhdh",
        origin="the test",
        refused=REFUSED,
    )


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as cluster:
        yield cluster


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("test", "1")


@pytest.fixture
def kube_metrics(metrics: Metrics) -> KubeMetrics:
    return KubeMetrics(metrics)


@pytest.fixture
async def client(cluster: FakeCluster, kube_metrics: KubeMetrics) -> AsyncIterator[KubeClient]:
    async with KubeClient(credentials=credentials_for(cluster), metrics=kube_metrics) as client:
        yield client
