"""LLMInferenceServices are followed in whichever version a cluster serves; without them nothing fails."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from common.faults import Fault, kind_of
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.source import News, Sink
from services.normalizer.sources.kserve.collection import Scope
from services.normalizer.sources.kserve.llm import LlmSource
from tests.common.kube.conftest import credentials_for
from tests.common.kube.recorder import FAST
from tests.fakes.kubernetes import INFERENCE_SERVICES, LLM_INFERENCE_SERVICES, FakeCluster, Rule
from tests.objects import llm_isvc
from tests.waiting import eventually

PLURAL = "llminferenceservices"
LLM = "LLMInferenceService"


class Recorder(Sink):
    """What a source tells."""

    def __init__(self) -> None:
        self.facts: dict[Ref, Deployment] = {}
        self.gone: list[Ref] = []
        self.faults: list[Fault | None] = []
        self.listings = 0

    def changed(self, news: News) -> None:
        for ref, fact in news.items():
            if isinstance(fact, Deployment):
                self.facts[ref] = fact
            else:
                assert isinstance(fact, Gone | Missing)
                self.facts.pop(ref, None)
                self.gone.append(ref)

    def listed(self, *, lacking: Fault | None = None) -> None:
        self.listings += 1

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        self.faults.append(fault)

    @property
    def remedy(self) -> str:
        """What helps against the last fault."""
        return next(fault.remedy for fault in reversed(self.faults) if fault is not None)

    @property
    def kinds(self) -> list[str]:
        return [kind_of(fault) for fault in self.faults]


def llm(name: str) -> Ref:
    return Ref.deployment("LLMInferenceService", "local", "models", name)


@asynccontextmanager
async def following(cluster: FakeCluster, *, token: str = "") -> AsyncIterator[Recorder]:
    told, metrics = Recorder(), KubeMetrics(Metrics("test", "1"))
    async with KubeClient(credentials=credentials_for(cluster, token), metrics=metrics) as client:
        options = dataclasses.replace(FAST, slow=0.05)
        source = LlmSource(Scope(cluster="local", client=client, metrics=metrics, options=options))
        running = asyncio.create_task(source.run(told))
        try:
            yield told
        finally:
            running.cancel()
            await asyncio.wait([running])


@pytest.mark.parametrize("versions", [("v1alpha1",), ("v1alpha2",), ("v1alpha1", "v1alpha2")])
async def test_whichever_version_is_served_is_followed(versions: tuple[str, ...]) -> None:
    resource = dataclasses.replace(LLM_INFERENCE_SERVICES, versions=versions)
    async with FakeCluster(resources=(INFERENCE_SERVICES, resource)) as cluster:
        cluster.apply(llm_isvc("qwen", version=versions[-1]))
        async with following(cluster) as told:
            await eventually(lambda: told.listings > 0)
            assert told.facts[llm("qwen")].addresses.external == "https://qwen-models.apps.example.com/v1"
            await eventually(lambda: cluster.watches(PLURAL) == 1)
            cluster.delete(LLM, "models", "qwen")
            await eventually(lambda: told.gone == [llm("qwen")])
        assert cluster.counts.of("list", PLURAL) == 1
        assert told.kinds == ["ok"]


async def test_a_cluster_without_them_is_reported_once_and_they_are_found_when_they_come() -> None:
    async with FakeCluster(resources=(INFERENCE_SERVICES,)) as cluster:
        async with following(cluster) as told:
            await eventually(lambda: told.kinds == ["absent"])
            cluster.install(LLM_INFERENCE_SERVICES)
            cluster.apply(llm_isvc("qwen"))
            await eventually(lambda: llm("qwen") in told.facts)
            assert told.kinds == ["absent", "ok"]
            cluster.uninstall(LLM)
            await eventually(lambda: told.kinds == ["absent", "ok", "absent"])
        assert told.gone == [] or told.gone == [llm("qwen")]


async def test_a_version_that_is_served_no_more_is_left_for_another() -> None:
    newer, older = (dataclasses.replace(LLM_INFERENCE_SERVICES, versions=(v,)) for v in ("v1alpha2", "v1alpha1"))
    async with FakeCluster(resources=(INFERENCE_SERVICES, newer)) as cluster:
        cluster.apply(llm_isvc("qwen", version="v1alpha2"))
        async with following(cluster) as told:
            await eventually(lambda: told.listings == 1)
            cluster.uninstall(LLM)
            cluster.install(older)
            cluster.apply(llm_isvc("granite"))
            await eventually(lambda: told.facts.keys() == {llm("granite")})
        assert told.gone == [llm("qwen")]


async def test_without_the_right_one_state_says_what_is_missing() -> None:
    async with FakeCluster(resources=(INFERENCE_SERVICES, LLM_INFERENCE_SERVICES)) as cluster:
        cluster.grant("token", "someone", [Rule(api_groups=("",), resources=("pods",), verbs=("get",))])
        async with following(cluster, token="token") as told:
            await eventually(lambda: "forbidden" in told.kinds)
            assert PLURAL in told.remedy
            cluster.grant(
                "token",
                "someone",
                [Rule(api_groups=("serving.kserve.io",), resources=(PLURAL,), verbs=("get", "list", "watch"))],
            )
            await eventually(lambda: told.listings > 0)
        assert set(told.kinds) <= {"forbidden", "ok"}
