"""Events for problems: one each, at the deployment, again while the problem lasts, and never in a rush."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from common.problems import Problem
from services.normalizer.facts import Gone, Ref, Unusable
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.sources.kserve import event_writer
from services.normalizer.sources.kserve.event_writer import EventWriter, event_for
from tests import objects
from tests.common.kube.conftest import credentials_for
from tests.fakes.kubernetes import FakeCluster, Rule
from tests.fakes.kubernetes.resources import LLM_INFERENCE_SERVICES
from tests.normalizer.sources.scripted import Recorder, Script, running
from tests.waiting import eventually

REF = Ref.isvc("local", "models", "iris")
OWNER = Problem("owner_changed", "warning", REF.label, "the owner is not a name", "write a user or a group")
REMARK = Problem("owner_changed", "info", REF.label, "the owner is written differently", "nothing")
READING = Rule(api_groups=("serving.kserve.io",), resources=("*",), verbs=("get",))
WRITING = (Rule(api_groups=("",), resources=("events",), verbs=("create", "patch")), READING)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "PACE", 0.01)


def iris() -> Deployment:
    return read_isvc(objects.isvc("iris"))


@asynccontextmanager
async def announcing(token: str = "") -> AsyncIterator[tuple[FakeCluster, Script, EventWriter]]:
    metrics = KubeMetrics(Metrics("test", "0"))
    async with FakeCluster() as cluster:
        cluster.add_namespace("models")
        cluster.grant("writer", "writer", WRITING)
        cluster.grant("nobody", "nobody", ())
        async with KubeClient(credentials=credentials_for(cluster, token or "writer"), metrics=metrics) as client:
            script = Script()
            source = EventWriter(script, client=client)
            async with running(source, Recorder(), script=script):
                yield cluster, script, source


def events(cluster: FakeCluster) -> list[dict[str, Any]]:
    return cluster.objects("Event", "models")


async def test_a_problem_is_reported_at_its_deployment() -> None:
    async with announcing() as (cluster, script, source):
        source.on_problems({str(REF): (OWNER, REMARK)})
        script.tell(REF, iris())
        await eventually(lambda: events(cluster))
        [event] = events(cluster)

    assert event["involvedObject"] == {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "namespace": "models",
        "name": "iris",
        "uid": iris().uid,
    }
    assert (event["type"], event["reason"]) == ("Warning", "OwnerChanged")
    assert event["message"] == "the owner is not a name. To do: write a user or a group"


@pytest.mark.parametrize("kind", ["InferenceService", "LLMInferenceService"])
async def test_an_object_that_cannot_be_read_is_reported_with_its_uid(kind: str) -> None:
    """By which kubectl describe finds it."""
    is_llm = kind == "LLMInferenceService"
    async with announcing() as (cluster, script, source):
        if is_llm:
            cluster.install(LLM_INFERENCE_SERVICES)
        stored = cluster.apply(objects.llm_isvc("iris") if is_llm else objects.isvc("iris"))
        ref = Ref.deployment("LLMInferenceService" if is_llm else "InferenceService", "local", "models", "iris")
        unreadable = Problem("object_unreadable", "error", ref.label, "it cannot be read", "compare it")
        source.on_problems({str(ref): (unreadable,)})
        assert script.sink
        script.sink.changed({ref: Unusable(unreadable)})
        await eventually(lambda: events(cluster))
        [event] = events(cluster)
        gets = cluster.counts.of("get", "llminferenceservices" if is_llm else "inferenceservices")

    assert (event["involvedObject"]["kind"], event["involvedObject"]["uid"]) == (kind, stored["metadata"]["uid"])
    assert (event["reason"], gets) == ("ObjectUnreadable", 1)


async def test_one_that_lasts_is_one_event_that_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "REPEAT", 0.05)
    async with announcing() as (cluster, script, source):
        script.tell(REF, iris())
        source.on_problems({str(REF): (OWNER,)})
        await eventually(lambda: cluster.counts.of("patch", "events") >= 2)
        assert len(events(cluster)) == 1


@pytest.mark.parametrize("end", ["solved", "gone"])
async def test_one_that_is_over_is_no_longer_reported(end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_writer, "REPEAT", 0.05)
    other = Ref.isvc("local", "models", "wine")
    async with announcing() as (cluster, script, source):
        script.tell(REF, iris())
        script.tell(other, read_isvc(objects.isvc("wine")))
        source.on_problems({str(REF): (OWNER,), str(other): (OWNER,)})
        await eventually(lambda: len(events(cluster)) == 2)
        if end == "gone":
            script.tell(REF, Gone())
        else:
            source.on_problems({str(other): (OWNER,)})
        for event in events(cluster):
            cluster.delete("Event", "models", event["metadata"]["name"])
        await eventually(lambda: [e["involvedObject"]["name"] for e in events(cluster)] == ["wine"])
        written = cluster.counts.of("create", "events") + cluster.counts.of("patch", "events")
        await eventually(
            lambda: cluster.counts.of("patch", "events") + cluster.counts.of("create", "events") > written + 2
        )
        assert [e["involvedObject"]["name"] for e in events(cluster)] == ["wine"]


async def test_without_the_right_it_is_said_once_and_tried_seldom() -> None:
    async with announcing("nobody") as (cluster, script, source):
        with structlog.testing.capture_logs() as logs:
            source.on_problems({str(REF): (OWNER, Problem("owner_changed", "error", REF.label, "another", ""))})
            script.tell(REF, iris())
            await eventually(lambda: cluster.counts.of("create", "events") == 2)
            script.tell(Ref.isvc("local", "models", "wine"), read_isvc(objects.isvc("wine")))
            source.on_problems({"isvc:local:models/wine": (OWNER,)})
            await eventually(lambda: cluster.counts.of("create", "events") == 3)
        assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["event_not_written"]


def test_the_name_depends_on_deployment_and_problem_alone() -> None:
    at = datetime(2026, 11, 26, tzinfo=UTC)
    first, later = (event_for(REF, "u", OWNER, at=moment) for moment in (at, at.replace(hour=9)))
    other = event_for(REF, "u", Problem("owner_changed", "warning", REF.label, "another", ""), at=at)

    assert first["metadata"] == later["metadata"]
    assert first["metadata"]["name"] != other["metadata"]["name"]
    assert len(event_for(REF, "u", Problem("owner_changed", "error", "x", "y" * 5000, ""), at=at)["message"]) == 1024
