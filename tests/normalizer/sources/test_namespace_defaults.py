"""What deployments do not say themselves they have from their namespaces, where these may be read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from common.faults import Fault, kind_of
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from services.normalizer.facts import Gone, Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.stated import NOTHING, read_namespace
from services.normalizer.source import News, Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.kserve.collection import Scope
from services.normalizer.sources.namespace_defaults import PART, NamespaceDefaults, Namespaces
from tests import objects
from tests.common.kube.conftest import credentials_for
from tests.common.kube.recorder import FAST
from tests.fakes.kubernetes import FakeCluster, Rule
from tests.waiting import eventually

IRIS = Ref.isvc("local", "models", "iris")


def namespace(*, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None) -> dict[str, Any]:
    metadata = {"name": "models", "labels": labels or {}, "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def said(deployment: Deployment) -> dict[str, str]:
    return deployment.stated.texts


OF_TEAM = namespace(
    labels={"team": "vision", "rhdh.io/system": "shop", "rhdh.io/owner": "nobody"},
    annotations={"rhdh.io/owner": "group:default/vision", "rhdh.io/lifecycle": "production", "rhdh.io/usage": "x"},
)


def test_owner_system_lifecycle_and_labels_are_inherited() -> None:
    given = read_namespace(OF_TEAM).added_to(read_isvc(objects.isvc("iris", labels={"stage": "beta"})).stated)
    assert given.texts == {"owner": "group:default/vision", "lifecycle": "production", "system": "shop"}
    assert given.tags() == ("onnx", "stage-beta", "team-vision")


def test_what_a_deployment_says_goes_before() -> None:
    own = objects.isvc("iris", labels={"team": "audio"}, annotations={"modelcatalogbridge.rhdh.io/owner": "ada"})
    given = read_namespace(OF_TEAM).added_to(read_isvc(own).stated)
    assert given.texts == {"owner": "ada", "lifecycle": "production", "system": "shop"}
    assert given.tags() == ("onnx", "team-audio")


def test_a_problem_of_an_inherited_field_names_the_namespace() -> None:
    given = read_namespace(OF_TEAM).added_to(read_isvc(objects.isvc("iris")).stated)
    assert given.place("owner") == "the annotation rhdh.io/owner of namespace models"
    assert given.place("system") == "the label rhdh.io/system of namespace models"


@pytest.mark.parametrize(
    "obj", [{}, {"metadata": None}, namespace(), {"metadata": {"labels": [], "annotations": "none"}}]
)
def test_a_namespace_that_says_nothing_changes_nothing(obj: dict[str, Any]) -> None:
    deployment = read_isvc(objects.isvc("iris"))
    assert read_namespace(obj) == NOTHING
    assert NOTHING.added_to(deployment.stated) is deployment.stated


class Script:
    """A source with one deployment that a test may have told again."""

    id = "script"
    kind: SourceKind = "kserve"
    namespaces: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.sink: Sink | None = None

    async def run(self, sink: Sink) -> None:
        self.sink = sink
        sink.changed({IRIS: read_isvc(objects.isvc("iris"))})
        sink.listed()
        await asyncio.Event().wait()

    def relist(self) -> None:
        pass


class Told(Sink):
    def __init__(self) -> None:
        self.facts: list[object] = []
        self.faults: list[tuple[str, Fault | None]] = []

    def changed(self, news: News) -> None:
        self.facts += news.values()

    def listed(self, *, lacking: Fault | None = None) -> None:
        pass

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        self.faults.append((part, fault))

    def owners(self) -> list[str]:
        return [said(fact).get("owner", "") for fact in self.facts if isinstance(fact, Deployment)]


@asynccontextmanager
async def running(cluster: FakeCluster) -> AsyncIterator[tuple[Script, Told]]:
    metrics, script, told = KubeMetrics(Metrics("test", "0")), Script(), Told()
    async with (
        KubeClient(credentials=credentials_for(cluster), metrics=metrics) as client,
        asyncio.TaskGroup() as group,
    ):
        namespaces = Namespaces(Scope(cluster="local", client=client, metrics=metrics, options=FAST))
        source = NamespaceDefaults(script, namespaces)
        tasks = [group.create_task(work) for work in (namespaces.run(), source.run(told))]
        yield script, told
        for task in tasks:
            task.cancel()


async def test_a_deployment_is_reported_with_what_its_namespace_says_and_again_when_that_changes() -> None:
    async with FakeCluster() as cluster:
        cluster.apply(OF_TEAM)
        async with running(cluster) as (script, told):
            await eventually(lambda: told.owners() == ["group:default/vision"])
            cluster.apply(namespace(annotations={"rhdh.io/owner": "ada"}))
            await eventually(lambda: told.owners() == ["group:default/vision", "ada"])

            assert script.sink is not None
            script.sink.changed({IRIS: Gone()})
            cluster.apply(OF_TEAM)
            script.sink.changed({IRIS: read_isvc(objects.isvc("iris"), planned=True)})
            await eventually(lambda: any(fact.planned for fact in told.facts if isinstance(fact, Deployment)))
            assert [fact.planned for fact in told.facts if isinstance(fact, Deployment)][:3] == [False, False, True]
            assert told.owners()[2] in told.owners()[:2]


async def test_without_the_right_deployments_are_reported_as_they_are_and_the_right_is_named() -> None:
    async with FakeCluster() as cluster:
        cluster.apply(OF_TEAM)
        cluster.grant(cluster.token, "someone", [Rule(api_groups=("",), resources=("services",), verbs=("list",))])
        async with running(cluster) as (_, told):
            await eventually(lambda: told.owners() == [""])
            [(part, fault), *_] = told.faults
            assert (part, kind_of(fault)) == (PART, "forbidden")
