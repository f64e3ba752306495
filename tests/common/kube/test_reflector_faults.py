import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from common import randomness
from common.clocks import loop_time
from common.faults import Fault, kind_of
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from common.secrets import FileToken
from tests.common.kube.conftest import REFUSED, credentials_for
from tests.common.kube.recorder import FAST, Following, following
from tests.fakes.kubernetes import INFERENCE_SERVICES, FakeCluster, Rule
from tests.objects import isvc
from tests.waiting import eventually

ISVCS = "inferenceservices"
LOGIN = "<html><body>Please log in</body></html>"


def lists(cluster: FakeCluster) -> int:
    return cluster.counts.of("list", ISVCS)


async def watching(cluster: FakeCluster) -> None:
    await eventually(lambda: cluster.watches(ISVCS) == 1, what="the watch is open")


def remedy(fault: Fault | None) -> str:
    assert fault is not None
    return fault.remedy


async def settled(it: Following, kind: str) -> None:
    await eventually(lambda: kind_of(it.reflector.fault) == kind, what=f"state {kind}")


def restarts(metrics: Metrics, reason: str) -> float:
    labels = {"name": "isvcs", "reason": reason}
    return metrics.registry.get_sample_value("rhoai_connector_watch_restarts_total", labels) or 0


@pytest.mark.parametrize(
    ("order", "reason"), [("garbage", "garbled"), ("error", "refused"), ("close", "closed"), ("drop", "unreachable")]
)
async def test_a_watch_that_worked_goes_on_from_where_it_broke(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics, order: str, reason: str
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        cluster.apply(isvc("before"))
        await eventually(lambda: it.names == {"before"})
        if order == "drop":
            cluster.drop_connections()
        else:
            cluster.disturb_watches(order)
        cluster.apply(isvc("meanwhile"))
        await eventually(lambda: it.names == {"before", "meanwhile"})
    assert lists(cluster) == 1
    assert restarts(metrics, reason) == 1
    assert it.seen.kinds == ["ok"], "a watch that breaks and goes on is not reported"
    assert all(change.explicit for change in it.seen.changes)


@pytest.mark.parametrize("form", ["event", "status"])
async def test_an_expired_version_is_listed_again(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics, form: str
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        if form == "status":
            cluster.fault("status", verb="watch", status=410)
            cluster.disturb_watches("close")
        else:
            cluster.disturb_watches("gone")
        await eventually(lambda: it.seen.syncs == 2)
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
    assert restarts(metrics, "expired") == 1
    assert it.seen.kinds == ["ok"]


async def test_a_restart_that_forgets_history_loses_nothing(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(isvc("deleted"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        await cluster.go_down()
        cluster.delete("InferenceService", "models", "deleted")
        cluster.apply(isvc("new"))
        cluster.compact()
        await cluster.come_back()
        await eventually(lambda: it.names == {"new"})
    assert [change.explicit for change in it.seen.changes[1:]] == [False, False]


async def test_a_server_that_is_away_at_the_start(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(isvc("a"))
    await cluster.go_down()
    async with following(client, kube_metrics) as it:
        await settled(it, "unreachable")
        assert not it.reflector.synced
        assert "keeps trying" in remedy(it.reflector.fault)
        await cluster.come_back()
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")


async def test_a_server_that_goes_away_later(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(isvc("a"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        await cluster.go_down()
        await settled(it, "unreachable")
        assert it.names == {"a"}
        cluster.apply(isvc("b"))
        await cluster.come_back()
        await eventually(lambda: it.names == {"a", "b"})
        await settled(it, "ok")
    assert lists(cluster) == 1, "the version was known"
    assert it.seen.kinds == ["ok", "unreachable", "ok"]


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503, "body": LOGIN}, {"status": 429}])
async def test_errors_of_the_server_are_waited_out_without_listing(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, fault: dict[str, Any]
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        failing = cluster.fault("status", verb="watch", times=6, **fault)
        cluster.disturb_watches("close")
        await settled(it, "error")
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")
        assert failing.hits == 6
    assert lists(cluster) == 1


async def test_a_server_that_asks_for_patience_gets_it(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.fault("status", verb="list", status=429, retry_after=1)
    loop = asyncio.get_running_loop()
    before = loop.time()
    async with following(client, kube_metrics) as it:
        await eventually(lambda: it.reflector.synced)
        assert loop.time() - before >= 0.9
    assert lists(cluster) == 2


async def test_a_half_open_connection_is_noticed_by_its_silence(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, metrics: Metrics
) -> None:
    async with following(client, kube_metrics, options=dataclasses.replace(FAST, idle=0.5)) as it:
        await watching(cluster)
        silent = cluster.fault("silent")
        cluster.disturb_watches("close")
        await eventually(lambda: silent.hits == 1)
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
    assert restarts(metrics, "unreachable") >= 1
    assert lists(cluster) == 1
    assert it.seen.kinds == ["ok"]


async def test_a_request_that_hangs_is_given_up(cluster: FakeCluster, kube_metrics: KubeMetrics) -> None:
    async with (
        KubeClient(credentials=credentials_for(cluster), metrics=kube_metrics, timeout=1) as client,
        following(client, kube_metrics) as it,
    ):
        await watching(cluster)
        cluster.fault("hang", verb="watch")
        cluster.disturb_watches("close")
        await settled(it, "unreachable")
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "close"},
        {"action": "error"},
        {"action": "gone"},
        {"action": "status", "status": 410},
        {"action": "status", "status": 200, "body": LOGIN},
    ],
)
async def test_watches_that_never_bring_anything_slow_down_and_are_shown(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, fault: dict[str, Any]
) -> None:
    randomness.seed(1)
    options = dataclasses.replace(FAST, backoff=(0.05, 0.5))
    async with following(client, kube_metrics, options=options) as it:
        await watching(cluster)
        cluster.fault(verb="watch", times=None, **fault)
        cluster.disturb_watches("close")
        await settled(it, "error")
        began, requests = loop_time(), cluster.counts.of("watch", ISVCS)
        await eventually(lambda: cluster.counts.of("watch", ISVCS) >= requests + 10, what="ten watches")
        assert loop_time() - began > 0.4, "there is no pause between them"
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"}, what="lists make up for the watch")
        assert kind_of(it.reflector.fault) == "error", "a list does not hide that watching fails"
        cluster.clear_faults()
        await settled(it, "ok")


async def test_lists_never_follow_each_other_at_once(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.fault("gone", verb="watch", times=None)
    options = dataclasses.replace(FAST, list_gap=0.2, backoff=(0.01, 0.01))
    async with following(client, kube_metrics, options=options) as it:
        await eventually(lambda: it.seen.syncs >= 2)
        began, counted = loop_time(), lists(cluster)
        await eventually(lambda: lists(cluster) >= counted + 4, what="four lists")
        assert loop_time() - began > 3 * 0.2


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "truncate"},
        {"action": "drop"},
        {"action": "status", "status": 500},
        {"action": "status", "status": 200, "body": "{}"},
        {"action": "status", "status": 200, "body": LOGIN},
        {"action": "status", "status": 302, "body": LOGIN},
    ],
)
async def test_a_list_that_fails_takes_nothing_away(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics, fault: dict[str, Any]
) -> None:
    for number in range(5):
        cluster.apply(isvc(f"model-{number}"))
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        failing = cluster.fault(verb="list", times=None, **fault)
        it.reflector.relist()
        await eventually(lambda: failing.hits >= 3)
        assert it.reflector.fault is not None
        assert len(it.names) == 5
        assert it.seen.syncs == 1
        cluster.apply(isvc("new"))
        cluster.clear_faults()
        await eventually(lambda: it.seen.syncs == 2)
        await settled(it, "ok")
        assert len(it.names) == 6
    assert all(change.new for change in it.seen.changes)


async def test_a_missing_permission_is_shown_and_its_arrival_noticed(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.apply(isvc("a"))
    cluster.grant(cluster.token, "sidecar", ())
    async with following(client, kube_metrics) as it:
        await settled(it, "forbidden")
        assert "ClusterRole rhdh-rhoai-connector" in remedy(it.reflector.fault)
        assert it.names == set()
        allow(cluster, "list", "watch")
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")
        allow(cluster)
        cluster.drop_connections()
        await settled(it, "forbidden")
        assert it.names == {"a"}, "what was known is kept"
        allow(cluster, "list", "watch")
        await settled(it, "ok")


def allow(cluster: FakeCluster, *verbs: str) -> None:
    rule = Rule(api_groups=("serving.kserve.io",), resources=(ISVCS,), verbs=verbs)
    cluster.grant(cluster.token, "sidecar", (rule,))


async def test_without_the_permission_to_watch_it_polls(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    allow(cluster, "list")
    async with following(client, kube_metrics) as it:
        await settled(it, "forbidden")
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
        cluster.delete("InferenceService", "models", "a")
        await eventually(lambda: it.names == set())
        assert it.seen.kinds == ["ok", "forbidden"]


async def test_a_revoked_token_is_shown(cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        cluster.revoke(cluster.token)
        cluster.drop_connections()
        await settled(it, "unauthorized")
        assert remedy(it.reflector.fault) == REFUSED
        allow(cluster, "list", "watch")
        await settled(it, "ok")


@pytest.mark.parametrize("former", [b"expired", b"t\xffken"])
async def test_a_new_token_ends_the_pause_after_one_that_was_refused_or_unreadable(
    cluster: FakeCluster, kube_metrics: KubeMetrics, tmp_path: Path, former: bytes
) -> None:
    file = tmp_path / "token"
    file.write_bytes(former)
    credentials = dataclasses.replace(credentials_for(cluster), token=FileToken(file))
    async with (
        KubeClient(credentials=credentials, metrics=kube_metrics) as client,
        following(client, kube_metrics, options=dataclasses.replace(FAST, slow=3600)) as it,
    ):
        await settled(it, "unauthorized")
        file.write_text(cluster.token)
        await settled(it, "ok")


async def test_a_type_that_is_not_installed_yet(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    cluster.uninstall("InferenceService")
    async with following(client, kube_metrics) as it:
        await settled(it, "absent")
        assert "install KServe" in remedy(it.reflector.fault)
        assert not it.reflector.synced
        cluster.install(INFERENCE_SERVICES)
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")


async def test_a_type_that_goes_and_comes_back(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        cluster.uninstall("InferenceService")
        await settled(it, "absent")
        cluster.install(INFERENCE_SERVICES)
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")


async def test_a_version_that_the_server_does_not_have_yet_is_listed_again(
    cluster: FakeCluster, client: KubeClient, kube_metrics: KubeMetrics
) -> None:
    body = {
        "kind": "Status",
        "code": 504,
        "reason": "Timeout",
        "message": "Too large resource version: 900, current: 7",
        "details": {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]},
    }
    async with following(client, kube_metrics) as it:
        await watching(cluster)
        cluster.fault("status", verb="watch", status=504, body=json.dumps(body), content_type="application/json")
        cluster.disturb_watches("close")
        await eventually(lambda: it.seen.syncs == 2)


async def test_a_storage_that_was_set_back_is_noticed_by_the_next_resync(kube_metrics: KubeMetrics) -> None:
    async with FakeCluster() as former:
        for number in range(20):
            former.apply(isvc(f"model-{number}"))
        port = former.port
        async with (
            KubeClient(credentials=credentials_for(former), metrics=kube_metrics) as client,
            following(client, kube_metrics, options=dataclasses.replace(FAST, resync=1)) as it,
        ):
            await watching(former)
            await former.go_down()
            async with FakeCluster(port=port) as restored:
                restored.apply(isvc("model-0"))
                await eventually(lambda: it.names == {"model-0"})


BREAKS = [b"zzz\r\n", b"5\r\nabc", b'5\r\n{"ty\r\n0\r\n\r\n', b"0\r\n\r\n", b""]


@pytest.mark.parametrize("rest", BREAKS)
async def test_answers_broken_below_http_never_end_it(
    cluster: FakeCluster, kube_metrics: KubeMetrics, rest: bytes
) -> None:
    """Between the reflector and the server stands something that answers watches with broken framing for a while."""
    broken = 0

    async def meddle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal broken
        head = await reader.readuntil(b"\r\n\r\n")
        if b"watch=true" in head and broken < 4:
            broken += 1
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + rest
            )
            await writer.drain()
        else:
            upstream_reader, upstream = await asyncio.open_connection("127.0.0.1", cluster.port)
            upstream.write(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            while piece := await upstream_reader.read(65536):
                writer.write(piece)
            upstream.close()
        writer.close()

    server = await asyncio.start_server(meddle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    credentials = credentials_for(cluster, server=f"http://127.0.0.1:{port}")
    async with (
        server,
        KubeClient(credentials=credentials, metrics=kube_metrics) as meddled,
        following(meddled, kube_metrics) as it,
    ):
        await eventually(lambda: broken == 4)
        cluster.apply(isvc("a"))
        await eventually(lambda: it.names == {"a"})
        await settled(it, "ok")
