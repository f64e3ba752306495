import asyncio
import dataclasses
import time

import pytest

from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from tests.common.kube.recorder import FAST, Change, Fact, Recorder, following
from tests.fakes.kubernetes import FakeCluster
from tests.objects import isvc
from tests.waiting import eventually

ISVC = "InferenceService"


def noted(name: str, note: str) -> dict[str, object]:
    return isvc(name, annotations={"note": note})


async def watching(cluster: FakeCluster) -> None:
    await eventually(lambda: cluster.watches("inferenceservices") == 1, what="the watch is open")


async def test_what_is_there_is_listed_and_what_happens_is_reported(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(noted("a", "1"))
    async with following(client, kube_metrics) as it:
        await eventually(lambda: it.reflector.synced)
        await watching(cluster)
        assert it.seen.syncs == 1
        assert it.seen.kinds == ["ok"]
        cluster.apply(noted("b", "1"))
        cluster.apply(noted("a", "2"))
        cluster.delete(ISVC, "models", "b")
        await eventually(lambda: len(it.seen.changes) == 4)
    assert it.seen.changes == [
        Change(("models", "a"), None, Fact("a", "1"), explicit=False),
        Change(("models", "b"), None, Fact("b", "1"), explicit=True),
        Change(("models", "a"), Fact("a", "1"), Fact("a", "2"), explicit=True),
        Change(("models", "b"), Fact("b", "1"), None, explicit=True),
    ]
    assert dict(it.reflector.store) == {("models", "a"): Fact("a", "2")}
    assert cluster.counts.of("list", "inferenceservices") == 1


async def test_a_change_that_the_transform_does_not_see_is_none(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        cluster.apply(isvc("a"))
        cluster.apply(isvc("a", labels={"nobody": "cares"}))
        cluster.apply(isvc("b"))
        await eventually(lambda: len(it.seen.changes) >= 2)
    assert [change.key[1] for change in it.seen.changes] == ["a", "b"]


async def test_of_what_no_one_needs_nothing_is_kept(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    for name in ("a", "b"):
        cluster.apply(noted(name, "unneeded"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        assert (dict(it.reflector.store), it.seen.changes, it.seen.invalid) == ({}, [], [])
        cluster.apply(noted("a", "1"))
        await eventually(lambda: it.names == {"a"})
        cluster.apply(noted("a", "unneeded"))
        await eventually(lambda: it.names == set())
        cluster.apply(noted("a", "bad"))
        await eventually(lambda: it.seen.invalid)
        cluster.apply(noted("a", "unneeded"))
        await eventually(lambda: len(it.seen.changes) == 3)
        assert it.reflector.store == {}
    assert it.seen.changes[:2] == [
        Change(("models", "a"), None, Fact("a", "1"), explicit=True),
        Change(("models", "a"), Fact("a", "1"), None, explicit=True),
    ]


async def test_only_what_was_selected_is_followed(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    async with following(client, kube_metrics, namespace="one", label_selector="team=x") as it:
        await watching(cluster)
        cluster.apply(isvc("a", "two", labels={"team": "x"}))
        cluster.apply(isvc("b", "one"))
        cluster.apply(isvc("c", "one", labels={"team": "x"}))
        await eventually(lambda: it.names == {"c"})
        cluster.apply(isvc("c", "one"))
        await eventually(lambda: it.names == set(), what="an object that is selected no longer is gone")


async def test_what_happened_between_lists_is_found_by_comparing(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    for name in ("kept", "changed", "deleted"):
        cluster.apply(noted(name, "1"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        it.seen.changes.clear()
        cluster.fault("hang", verb="watch", times=None)
        cluster.disturb_watches("gone")
        await eventually(lambda: cluster.watches() == 0)
        cluster.apply(noted("changed", "2"))
        cluster.delete(ISVC, "models", "deleted")
        cluster.apply(noted("new", "1"))
        await eventually(lambda: len(it.seen.changes) == 3)
        assert sorted(it.seen.changes) == sorted(
            [
                Change(("models", "changed"), Fact("changed", "1"), Fact("changed", "2"), explicit=False),
                Change(("models", "deleted"), Fact("deleted", "1"), None, explicit=False),
                Change(("models", "new"), None, Fact("new", "1"), explicit=False),
            ],
            key=lambda change: change.key,
        )
        assert it.seen.syncs == 2


async def test_an_unreadable_object_is_reported_and_the_others_go_on(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics
) -> None:
    cluster.apply(noted("a", "bad"))
    cluster.apply(noted("b", "1"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        assert it.seen.invalid == [(("models", "a"), "a bad note")]
        assert it.names == {"b"}
        assert sample(metrics, "rhoai_connector_reflector_invalid_objects") == 1
        cluster.apply(noted("b", "bad"))
        await eventually(lambda: len(it.seen.invalid) == 2)
        assert it.names == {"b"}, "what was known is kept"
        cluster.apply(noted("b", "1"))
        cluster.apply(noted("a", "1"))
        await eventually(lambda: len(it.seen.changes) == 3)
        assert it.seen.changes[1:] == [
            Change(("models", "b"), Fact("b", "1"), Fact("b", "1"), explicit=True),
            Change(("models", "a"), None, Fact("a", "1"), explicit=True),
        ]
        assert sample(metrics, "rhoai_connector_reflector_invalid_objects") == 0


async def test_an_object_that_was_never_readable_is_reported_when_it_goes(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(noted("a", "bad"))
    cluster.apply(noted("b", "bad"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        cluster.delete(ISVC, "models", "a")
        await eventually(lambda: it.seen.changes == [Change(("models", "a"), None, None, explicit=True)])
        cluster.fault("hang", verb="watch", times=None)
        cluster.disturb_watches("gone")
        await eventually(lambda: cluster.watches() == 0)
        cluster.delete(ISVC, "models", "b")
        await eventually(lambda: it.seen.changes[1:] == [Change(("models", "b"), None, None, explicit=False)])


async def test_relist_asks_at_once_and_many_wishes_are_one(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        for _ in range(100):
            it.reflector.relist()
        await eventually(lambda: it.seen.syncs == 2)
        await watching(cluster)
        assert cluster.counts.of("list", "inferenceservices") == 2
        it.reflector.relist()
        await eventually(lambda: it.seen.syncs == 3)


async def test_everything_is_listed_again_now_and_then(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    async with following(client, kube_metrics, options=dataclasses.replace(FAST, resync=0.1)) as it:
        await eventually(lambda: it.seen.syncs >= 4)
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
    assert it.seen.kinds == ["ok"]


async def test_the_first_list_alone_may_come_from_the_cache(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    def listed() -> list[str]:
        return [record.path for record in cluster.counts.recent if record.verb == "list"]

    async with following(client, kube_metrics, options=dataclasses.replace(FAST, first_list_from_cache=True)) as it:
        await watching(cluster)
        it.reflector.relist()
        await eventually(lambda: it.seen.syncs == 2)
    assert "resourceVersion=0" in listed()[0]
    assert "resourceVersion" not in listed()[1]
    cluster.counts.reset()
    async with following(client, kube_metrics, name="others") as it:
        await eventually(lambda: it.seen.syncs == 1)
    assert "resourceVersion" not in listed()[0]


async def test_bookmarks_move_the_version_on(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        for number in range(5):
            cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number}"}})
        cluster.send_bookmarks("inferenceservices")
        labels = {"name": "isvcs", "type": "BOOKMARK"}
        await eventually(lambda: metrics.registry.get_sample_value("rhoai_connector_watch_events_total", labels) == 1)
        cluster.disturb_watches("close")
        await eventually(lambda: cluster.counts.of("watch", "inferenceservices") == 2)
        await watching(cluster)
    assert f"resourceVersion={cluster.revision}" in cluster.counts.recent[-1].path
    assert cluster.counts.of("list", "inferenceservices") == 1
    assert it.seen.changes == []


async def test_events_come_through_quickly(cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        started = time.process_time()
        for number in range(1000):
            cluster.apply(isvc(f"model-{number}"))
            if number % 50 == 0:
                await asyncio.sleep(0)
        await eventually(lambda: len(it.names) == 1000)
        assert time.process_time() - started < 5
    assert it.seen.syncs == 1


async def test_several_reflectors_share_client_and_metrics(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics
) -> None:
    cluster.apply(isvc("a", "one"))
    cluster.apply(isvc("b", "two"))
    async with (
        following(client, kube_metrics, name="one", namespace="one") as one,
        following(client, kube_metrics, name="two", namespace="two") as two,
    ):
        await eventually(lambda: one.reflector.synced and two.reflector.synced)
        assert (one.names, two.names) == ({"a"}, {"b"})
        for name in ("one", "two"):
            assert metrics.registry.get_sample_value("rhoai_connector_reflector_objects", {"name": name}) == 1


async def test_the_metrics(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics
) -> None:
    before = time.time()
    async with following(client, kube_metrics):
        assert state(metrics) == "starting"
        await watching(cluster)
        cluster.apply(isvc("a"))
        await eventually(lambda: sample(metrics, "rhoai_connector_reflector_objects") == 1)
    assert state(metrics) == "ok"
    assert sample(metrics, "rhoai_connector_reflector_lists_total") == 1
    assert metrics.registry.get_sample_value("rhoai_connector_watch_events_total", {"name": "isvcs", "type": "ADDED"})
    for name in ("watch_last_event", "reflector_last_sync"):
        assert before <= (sample(metrics, f"rhoai_connector_{name}_timestamp_seconds") or 0) <= time.time()


def sample(metrics: Metrics, name: str) -> float | None:
    return metrics.registry.get_sample_value(name, {"name": "isvcs"})


def state(metrics: Metrics) -> str:
    (family,) = (family for family in metrics.registry.collect() if family.name == "rhoai_connector_reflector_state")
    (kind,) = (sample.labels["state"] for sample in family.samples if sample.value)
    return kind


async def test_a_mistake_in_the_handler_is_not_hidden(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(isvc("a"))

    class Mistaken(Recorder):
        def on_change(self, *_: object) -> None:
            raise ZeroDivisionError

    async def follow() -> None:
        async with following(client, kube_metrics, seen=Mistaken()) as it:
            await it.task

    with pytest.raises(ZeroDivisionError):
        await follow()
