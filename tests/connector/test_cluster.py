"""All three services in one process, in a pod: the cluster is the source, ConfigMaps are the cache."""

from urllib.parse import urlsplit

from tests.connector.running import connector
from tests.fakes.kubernetes import FakeCluster, documented_rules
from tests.objects import isvc
from tests.waiting import eventually

NAMESPACE = "ai-rhdh"


async def test_a_cluster_is_followed_and_the_cache_kept_in_it() -> None:
    async with FakeCluster(tls=True) as cluster:
        cluster.grant("pod-token", "connector", documented_rules(NAMESPACE))
        cluster.apply(isvc("iris"))
        server = urlsplit(cluster.url)
        pod = {
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "token": "pod-token",
            "ca.crt": cluster.ca_pem,
            "POD_NAMESPACE": NAMESPACE,
        }
        for _ in range(2):  # the second time with what the first has kept
            async with connector("--cluster", env=pod) as running:
                await eventually(lambda: running.url and running.uris(), what="the model")
                assert await running.uris() == ["/models/iris/model-catalog.json"]
                assert "rest_client_requests_total" in (await running.get("/metrics"))[1]
        kept = cluster.get("ConfigMap", NAMESPACE, "bac-import-model")
        assert kept is not None
        assert list(kept["binaryData"]) == ["models_iris"]
