"""Watches of the fake API server."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests import objects
from tests.fakes.kubernetes import INFERENCE_SERVICES, FakeCluster
from tests.fakes_selftest.kubernetes_client import CONFIG_MAPS, CORE, ISVCS, KSERVE, PARTIAL, Client, client_of
from tests.waiting import eventually


async def test_a_watch_tells_changes_since_a_version(client: Client, cluster: FakeCluster) -> None:
    cluster.apply(objects.isvc("before"))
    version = (await client.get(ISVCS)).version
    cluster.apply(objects.isvc("a"))
    async with client.watch(ISVCS, f"resourceVersion={version}") as watch:
        assert await watch.brief() == ("ADDED", "a")
        stored = cluster.apply(objects.not_ready(objects.isvc("a")))
        assert await watch.event() == ("MODIFIED", stored)
        cluster.apply(objects.isvc("other", "elsewhere"))
        cluster.delete("InferenceService", "models", "a")
        kind, last = await watch.event()
        assert kind == "DELETED"
        assert last["metadata"]["resourceVersion"] == str(cluster.revision)
        assert last["status"] == stored["status"]


@pytest.mark.parametrize("query", ["", "resourceVersion=0"])
async def test_without_a_version_a_watch_begins_with_what_is_there(
    client: Client, cluster: FakeCluster, query: str
) -> None:
    for name in "ab":
        cluster.apply(objects.configmap(name))
    async with client.watch(CONFIG_MAPS, query) as watch:
        kind, obj = await watch.event()
        assert (kind, obj["kind"], obj["metadata"]["name"]) == ("ADDED", "ConfigMap", "a")
        assert await watch.brief() == ("ADDED", "b")
        cluster.apply(objects.configmap("c"))
        assert await watch.brief() == ("ADDED", "c")


async def test_a_selector_turns_changes_into_arrivals_and_departures(client: Client, cluster: FakeCluster) -> None:
    async with client.watch(ISVCS, "labelSelector=team%3Da&resourceVersion=0") as watch:
        cluster.apply(objects.isvc("m", labels={"team": "b"}))
        cluster.apply(objects.isvc("m", labels={"team": "a"}))
        assert await watch.brief() == ("ADDED", "m")
        cluster.apply(objects.isvc("m", labels={"team": "a"}, model_format="vllm"))
        assert await watch.brief() == ("MODIFIED", "m")
        cluster.apply(objects.isvc("m", labels={"team": "b"}))
        kind, last = await watch.event()
        assert (kind, last["metadata"]["labels"]) == ("DELETED", {"team": "a"})
        assert last["metadata"]["resourceVersion"] == str(cluster.revision)
        cluster.delete("InferenceService", "models", "m")
        cluster.apply(objects.isvc("n", labels={"team": "a"}))
        assert await watch.brief() == ("ADDED", "n")


async def test_bookmarks_on_command_and_before_the_time_is_up(client: Client, cluster: FakeCluster) -> None:
    async with AsyncExitStack() as stack:
        query = f"allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={cluster.revision}"
        watch = await stack.enter_async_context(client.watch(ISVCS, query))
        plain = await stack.enter_async_context(client.watch(ISVCS, query.replace("true", "false")))
        cluster.apply(objects.configmap("another-type"))
        await eventually(lambda: cluster.watches() == 2, what="watches are open")
        cluster.send_bookmarks()
        for _ in range(2):
            kind, obj = await watch.event()
            assert kind == "BOOKMARK"
            assert obj["kind"] == "InferenceService"
            assert obj["metadata"] == {"resourceVersion": str(cluster.revision), "creationTimestamp": None}
        assert await watch.line() == b""
        assert await plain.line() == b""


async def test_a_forgotten_version_is_an_error_event(client: Client, cluster: FakeCluster) -> None:
    version = (await client.get(ISVCS)).version
    cluster.compact()
    async with client.watch(ISVCS, f"resourceVersion={version}") as watch:
        kind, status = await watch.event()
        assert kind == "ERROR"
        assert (status["code"], status["reason"]) == (410, "Expired")
        assert status["message"].startswith(f"too old resource version: {version} (")
        assert await watch.line() == b""
    async with client.watch(ISVCS, f"resourceVersion={(await client.get(ISVCS)).version}") as watch:
        cluster.apply(objects.isvc("a"))
        assert await watch.brief() == ("ADDED", "a")


async def test_an_open_watch_outlives_a_compaction(client: Client, cluster: FakeCluster) -> None:
    async with client.watch(ISVCS, f"resourceVersion={cluster.revision}") as watch:
        cluster.compact()
        cluster.apply(objects.isvc("a"))
        assert await watch.brief() == ("ADDED", "a")


async def test_history_is_bounded() -> None:
    async with FakeCluster(history_limit=10) as cluster, client_of(cluster) as client:
        start = cluster.revision
        for number in range(30):
            cluster.apply(objects.isvc("a", labels={"n": str(number)}))
        async with client.watch(ISVCS, f"resourceVersion={start}") as watch:
            assert (await watch.event())[0] == "ERROR"
        async with client.watch(ISVCS, f"resourceVersion={cluster.revision - 9}") as watch:
            assert (await watch.event())[0] == "MODIFIED"


async def test_metadata_only_events(client: Client, cluster: FakeCluster) -> None:
    async with client.watch(ISVCS, "allowWatchBookmarks=1", Accept=PARTIAL) as watch:
        cluster.apply(objects.isvc("a"))
        kind, obj = await watch.event()
        assert (kind, set(obj)) == ("ADDED", {"kind", "apiVersion", "metadata"})
        cluster.send_bookmarks()
        kind, obj = await watch.event()
        assert (kind, obj["kind"]) == ("BOOKMARK", "PartialObjectMetadata")


async def test_uninstalling_a_type_ends_its_watches(client: Client, cluster: FakeCluster) -> None:
    version = cluster.apply(objects.isvc("a"))["metadata"]["resourceVersion"]
    async with client.watch(ISVCS, f"resourceVersion={version}") as watch:
        cluster.uninstall("inferenceservices")
        assert await watch.brief() == ("DELETED", "a")
        assert await watch.line() == b""
    cluster.install(INFERENCE_SERVICES)
    assert (await client.get(ISVCS)).names == []
    async with client.watch(ISVCS, f"resourceVersion={version}") as watch:
        assert (await watch.event())[0] == "ERROR"


@pytest.mark.parametrize(
    ("query", "status"), [("resourceVersion=x", 400), ("timeoutSeconds=x", 400), ("sendInitialEvents=true", 422)]
)
async def test_watch_parameters_that_cannot_be(client: Client, query: str, status: int) -> None:
    assert (await client.get(f"{ISVCS}?watch=true&{query}")).status == status


async def test_watches_are_counted_while_they_are_open(client: Client, cluster: FakeCluster) -> None:
    async with client.watch(ISVCS), client.watch(f"{CORE}/services"):
        await eventually(lambda: cluster.watches() == 2, what="both are open")
        assert cluster.watches("services") == 1
    await eventually(lambda: cluster.watches() == 0, what="clients left")


async def test_every_watch_gets_every_event_in_order(client: Client, cluster: FakeCluster) -> None:
    for number in range(20):
        cluster.apply(objects.isvc(f"m-{number:02}"))
    start = cluster.revision
    changes = 500

    async def versions() -> list[int]:
        async with client.watch(f"{KSERVE}/inferenceservices", f"resourceVersion={start}") as watch:
            return [int((await watch.event())[1]["metadata"]["resourceVersion"]) for _ in range(changes)]

    readers = [asyncio.create_task(versions()) for _ in range(5)]
    await eventually(lambda: cluster.watches() == 5, what="watches are open")
    for number in range(changes):
        cluster.apply(objects.isvc(f"m-{number % 20:02}", labels={"change": str(number)}))
        if number % 50 == 0:
            await asyncio.sleep(0)
    assert await asyncio.gather(*readers) == [list(range(start + 1, start + changes + 1))] * 5
