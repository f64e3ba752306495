"""Faults on command, outages, delays and counters of the fake API server."""

import asyncio
import time

import aiohttp
import pytest

from tests import objects
from tests.fakes.kubernetes import FakeCluster, Latency
from tests.fakes_selftest.kubernetes_client import CONFIG_MAPS, ISVCS, KSERVE, Client
from tests.waiting import eventually

MAP = f"{CONFIG_MAPS}/cache"


async def test_a_status_fault_hits_the_next_matching_requests(client: Client, cluster: FakeCluster) -> None:
    fault = cluster.fault("status", status=429, retry_after=3, times=2, verb="list", resource="configmaps")
    assert (await client.get(ISVCS)).status == 200
    for _ in range(2):
        answer = await client.get(CONFIG_MAPS)
        assert (answer.status, answer.json["reason"], answer.headers["Retry-After"]) == (429, "TooManyRequests", "3")
    assert (await client.get(CONFIG_MAPS)).status == 200
    assert fault.hits == 2


async def test_a_fault_can_answer_anything(client: Client, cluster: FakeCluster) -> None:
    cluster.fault("status", status=502, body="<html>Bad Gateway</html>", path="limit=1$", times=None)
    answer = await client.get(f"{ISVCS}?limit=1")
    assert (answer.status, answer.headers["Content-Type"]) == (502, "text/html")
    assert answer.text == "<html>Bad Gateway</html>"
    assert (await client.get(f"{ISVCS}?limit=10")).status == 200
    cluster.clear_faults()
    assert (await client.get(f"{ISVCS}?limit=1")).status == 200


async def test_a_watch_can_be_answered_410(client: Client, cluster: FakeCluster) -> None:
    cluster.fault("status", status=410, verb="watch")
    answer = await client.get(f"{ISVCS}?watch=1")
    assert (answer.status, answer.json["reason"]) == (410, "Expired")


@pytest.mark.parametrize(("action", "applied"), [("drop", None), ("drop_after", {"a": "1"})])
async def test_a_write_can_be_lost_before_or_after_it_is_done(
    client: Client, cluster: FakeCluster, action: str, applied: dict[str, str] | None
) -> None:
    cluster.apply(objects.configmap("cache"))
    cluster.fault(action, method="PATCH", name="cache")
    with pytest.raises(aiohttp.ClientError):
        await client.patch(MAP, {"data": {"a": "1"}})
    stored = cluster.get("ConfigMap", "rhdh", "cache")
    assert stored is not None
    assert stored.get("data") == applied


async def test_an_answer_can_be_cut_off(client: Client, cluster: FakeCluster) -> None:
    cluster.fault("truncate", verb="list")
    with pytest.raises(aiohttp.ClientPayloadError):
        await client.get(ISVCS)
    assert (await client.get(ISVCS)).status == 200


async def test_a_hanging_request_gets_no_answer(client: Client, cluster: FakeCluster) -> None:
    fault = cluster.fault("hang", verb="list")
    hanging = asyncio.create_task(client.get(ISVCS))
    await eventually(lambda: fault.hits == 1, what="the request hangs")
    assert (await client.get(ISVCS)).status == 200
    assert not hanging.done()
    hanging.cancel()
    await asyncio.wait([hanging])


async def test_a_delay(client: Client, cluster: FakeCluster) -> None:
    cluster.fault("delay", seconds=0.2)
    start = time.monotonic()
    assert (await client.get(ISVCS)).status == 200
    assert time.monotonic() - start >= 0.2


async def test_latency_follows_the_size_of_the_object(client: Client, cluster: FakeCluster) -> None:
    seen: list[tuple[str, int]] = []

    def latency(verb: str, size: int) -> float:
        seen.append((verb, size))
        return 0.0

    cluster.apply(objects.configmap("cache", data={"a": "x" * 5000}))
    cluster.set_latency(latency)
    await client.patch(MAP, {"data": {"b": "1"}})
    assert seen[0][0] == "patch"
    assert seen[0][1] > 5000
    assert Latency(write=1, write_per_kib=2)("patch", 2048) == 5
    assert Latency(read=1, read_per_kib=2)("list", 512) == 2


async def test_faults_of_a_watch_about_to_open(client: Client, cluster: FakeCluster) -> None:
    cluster.apply(objects.isvc("a"))
    cluster.fault("garbage", verb="watch")
    async with client.watch(ISVCS, f"resourceVersion={cluster.revision}") as watch:
        assert b"<html>" in await watch.line()
        cluster.apply(objects.isvc("b"))
        assert await watch.brief() == ("ADDED", "b")
    for action, code in (("error", 500), ("gone", 410)):
        cluster.fault(action)
        async with client.watch(ISVCS, f"resourceVersion={cluster.revision}") as watch:
            kind, status = await watch.event()
            assert (kind, status["code"]) == ("ERROR", code)
            assert await watch.line() == b""
    cluster.fault("close")
    async with client.watch(ISVCS) as watch:
        assert await watch.line() == b""


async def test_a_silent_watch_sends_no_byte(client: Client, cluster: FakeCluster) -> None:
    fault = cluster.fault("silent")
    async with client.watch(ISVCS, "timeoutSeconds=1") as silent, client.watch(ISVCS) as other:
        cluster.apply(objects.isvc("a"))
        assert await other.brief() == ("ADDED", "a")
        assert fault.hits == 1
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.2):
                await silent.line()


async def test_open_watches_can_be_disturbed(client: Client, cluster: FakeCluster) -> None:
    async with client.watch(ISVCS) as silent, client.watch(CONFIG_MAPS) as closed:
        await eventually(lambda: cluster.watches() == 2, what="watches are open")
        assert cluster.disturb_watches("silent", "inferenceservices") == 1
        assert cluster.disturb_watches("close", "configmaps") == 1
        assert await closed.line() == b""
        cluster.apply(objects.isvc("a"))
        async with client.watch(ISVCS) as other:
            assert await other.brief() == ("ADDED", "a")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await silent.line()
    with pytest.raises(ValueError, match="unknown order"):
        cluster.disturb_watches("explode")
    with pytest.raises(ValueError, match="unknown fault"):
        cluster.fault("explode")


@pytest.mark.parametrize("lose_history", [False, True])
async def test_a_restart_breaks_connections_and_may_lose_history(
    client: Client, cluster: FakeCluster, lose_history: bool
) -> None:
    cluster.apply(objects.isvc("a"))
    version, port = cluster.revision, cluster.port
    async with client.watch(ISVCS, f"resourceVersion={version}") as watch:
        await cluster.restart(lose_history=lose_history)
        with pytest.raises(aiohttp.ClientError):
            await watch.line()
    assert cluster.port == port
    cluster.apply(objects.isvc("b"))
    async with client.watch(ISVCS, f"resourceVersion={version}") as watch:
        assert (await watch.event())[0] == ("ERROR" if lose_history else "ADDED")
    assert (await client.get(ISVCS)).names == ["a", "b"]


async def test_a_server_that_is_down_refuses_connections(client: Client, cluster: FakeCluster) -> None:
    await cluster.go_down()
    with pytest.raises(aiohttp.ClientConnectorError):
        await client.get(ISVCS)
    await cluster.come_back()
    assert (await client.get(ISVCS)).status == 200


async def test_requests_and_bytes_are_counted(client: Client, cluster: FakeCluster) -> None:
    cluster.apply(objects.configmap("cache"))
    cluster.counts.reset()
    answer = await client.patch(MAP, b'{"data":{"a":"b"}}')
    await client.get(f"{KSERVE}/inferenceservices")
    await client.get(f"{MAP}-2")
    counts = cluster.counts
    assert counts.requests == {("patch", "configmaps"): 1, ("list", "inferenceservices"): 1, ("get", "configmaps"): 1}
    assert counts.answers == {200: 2, 404: 1}
    assert (counts.patches, counts.patched_bytes, counts.request_bytes) == (1, 18, 18)
    assert counts.response_bytes > len(answer.text)
    assert (counts.of("list"), counts.of("list", "configmaps")) == (1, 0)
    assert [record.path for record in counts.recent][1:] == [f"{KSERVE}/inferenceservices", f"{MAP}-2"]
    before = counts.response_bytes
    async with client.watch(ISVCS) as watch:
        cluster.apply(objects.isvc("a"))
        line = await watch.line()
    assert counts.response_bytes == before + len(line)
    assert (counts.recent[-1].verb, counts.recent[-1].status) == ("watch", 0)
