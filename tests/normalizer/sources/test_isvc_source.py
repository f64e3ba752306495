"""What the source of InferenceServices keeps of a cluster: no more than belongs to them."""

import asyncio

from common.faults import Fault
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from services.normalizer.facts import Gone, Ref
from services.normalizer.source import News, Sink
from services.normalizer.sources.kserve.collection import Scope
from services.normalizer.sources.kserve.isvc import KserveSource
from tests import objects
from tests.common.kube.conftest import credentials_for
from tests.fakes.kubernetes import FakeCluster
from tests.waiting import eventually


class Recorder(Sink):
    """What is there, by kind and name."""

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.complete = False

    def changed(self, news: News) -> None:
        for ref, fact in news.items():
            name = f"{ref.kind} {ref.ids[1]}"
            (self.there.discard if isinstance(fact, Gone) else self.there.add)(name)

    def listed(self, *, lacking: Fault | None = None) -> None:
        self.complete = True

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None: ...


async def test_services_and_accounts_that_belong_to_no_deployment_are_not_kept() -> None:
    metrics = Metrics("test", "1")
    kube_metrics, told = KubeMetrics(metrics), Recorder()

    def kept(kind: str) -> float | None:
        return metrics.registry.get_sample_value("rhoai_connector_reflector_objects", {"name": kind})

    async with (
        FakeCluster() as cluster,
        KubeClient(credentials=credentials_for(cluster), metrics=kube_metrics) as client,
    ):
        owner = cluster.apply(objects.isvc("m"))
        account = objects.service_account_for(owner)
        cluster.apply(account)
        for number in range(5):
            service = objects.service(f"s-{number}", "models", ports={"http": 80})
            cluster.apply(service)
            cluster.apply({**account, "metadata": {"name": f"a-{number}", "namespace": "models"}})
        source = KserveSource(Scope(cluster="local", client=client, metrics=kube_metrics))
        running = asyncio.create_task(source.run(told))
        try:
            await eventually(lambda: told.complete)
            assert told.there == {"isvc m", "serviceaccount m-sa"}
            assert (kept("services"), kept("serviceaccounts")) == (0, 1)
            service["metadata"]["ownerReferences"] = [objects.owner_reference(owner)]
            cluster.apply(service)
            await eventually(lambda: "service s-4" in told.there)
            del service["metadata"]["ownerReferences"]
            cluster.apply(service)
            await eventually(lambda: "service s-4" not in told.there and kept("services") == 0)
            assert await source.is_gone(Ref.isvc("local", "models", "other"))
        finally:
            running.cancel()
            await asyncio.wait([running])
