from collections.abc import AsyncIterator

import pytest

from tests.fakes.kubernetes import FakeCluster
from tests.fakes_selftest.kubernetes_client import Client, client_of


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster() as cluster:
        for namespace in ("rhdh", "models"):
            cluster.add_namespace(namespace)
        yield cluster


@pytest.fixture
async def client(cluster: FakeCluster) -> AsyncIterator[Client]:
    async with client_of(cluster) as client:
        yield client
