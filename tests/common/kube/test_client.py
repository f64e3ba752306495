import asyncio
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from common.http.errors import Unreachable
from common.kube import answers
from common.kube.client import KubeClient
from common.kube.errors import GarbledAnswer, KubeError
from common.kube.metrics import KubeMetrics
from common.kube.resources import CONFIG_MAPS, INFERENCE_SERVICES, ROUTES, SERVICES, Resource
from common.metrics import Metrics
from tests.common.kube.conftest import REFUSED, credentials_for
from tests.fakes.kubernetes import INFERENCE_SERVICES as ISVC_TYPE
from tests.fakes.kubernetes import FakeCluster, Rule, documented_rules
from tests.objects import isvc
from tests.waiting import eventually


def config_map(name: str = "bac-import-model", **binary: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "binaryData": binary}


@pytest.fixture
async def sidecar(cluster: FakeCluster, kube_metrics: KubeMetrics) -> AsyncIterator[KubeClient]:
    """A client with the rights of the documented service account."""
    cluster.grant("sidecar", "system:serviceaccount:rhdh:rhdh-rhoai-connector", documented_rules("rhdh"))
    async with KubeClient(credentials=credentials_for(cluster, "sidecar"), metrics=kube_metrics) as client:
        yield client


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "path"),
    [
        (INFERENCE_SERVICES, None, None, "/apis/serving.kserve.io/v1beta1/inferenceservices"),
        (INFERENCE_SERVICES, "a", "b", "/apis/serving.kserve.io/v1beta1/namespaces/a/inferenceservices/b"),
        (CONFIG_MAPS, "rhdh", None, "/api/v1/namespaces/rhdh/configmaps"),
        (SERVICES, "a/b", "../c", "/api/v1/namespaces/a%2Fb/services/..%2Fc"),
    ],
)
def test_paths(resource: Resource, namespace: str | None, name: str | None, path: str) -> None:
    assert resource.path(namespace, name) == path


@pytest.mark.parametrize(("namespace", "name"), [("models", ".."), ("..", "a"), (".", None)])
def test_a_name_that_leads_to_another_path_is_refused(namespace: str, name: str | None) -> None:
    with pytest.raises(ValueError, match="cannot be the name of an object"):
        SERVICES.path(namespace, name)


async def test_create_get_and_patch(sidecar: KubeClient) -> None:
    created = await sidecar.create(CONFIG_MAPS, config_map(a="QQ=="), "rhdh")
    patched = await sidecar.patch(CONFIG_MAPS, "bac-import-model", {"binaryData": {"b": "Qg==", "a": None}}, "rhdh")
    assert patched["binaryData"] == {"b": "Qg=="}
    assert patched["metadata"]["resourceVersion"] != created["metadata"]["resourceVersion"]
    assert await sidecar.get(CONFIG_MAPS, "bac-import-model", "rhdh") == patched


async def test_a_patch_can_answer_with_metadata_alone(sidecar: KubeClient) -> None:
    await sidecar.create(CONFIG_MAPS, config_map(a="QQ=="), "rhdh")
    answer = await sidecar.patch(
        CONFIG_MAPS, "bac-import-model", {"binaryData": {"b": "Qg=="}}, "rhdh", metadata_only=True
    )
    assert answer["kind"] == "PartialObjectMetadata"
    assert "binaryData" not in answer


async def test_a_list_is_read_page_by_page(cluster: FakeCluster, client: KubeClient) -> None:
    for number in range(25):
        cluster.apply(isvc(f"model-{number:02}"))
    listing = await client.list_all(INFERENCE_SERVICES, convert=lambda obj: obj["metadata"]["name"], page_size=10)
    assert listing.items == [f"model-{number:02}" for number in range(25)]
    assert listing.version == str(cluster.revision)
    assert cluster.counts.of("list", "inferenceservices") == 3


async def test_a_continue_token_that_expires_starts_the_list_over(cluster: FakeCluster, client: KubeClient) -> None:
    for number in range(25):
        cluster.apply(isvc(f"model-{number:02}"))
    seen: list[str] = []

    def convert(obj: dict[str, dict[str, str]]) -> str:
        seen.append(obj["metadata"]["name"])
        if len(seen) == 10:
            cluster.delete("InferenceService", "models", "model-03")
            cluster.compact()
        return obj["metadata"]["name"]

    listing = await client.list_all(INFERENCE_SERVICES, convert=convert, page_size=10)
    assert listing.items == [f"model-{number:02}" for number in range(25) if number != 3]
    assert listing.version == str(cluster.revision)
    assert cluster.counts.of("list", "inferenceservices") == 3


async def test_a_list_from_the_cache_is_one_page(cluster: FakeCluster, client: KubeClient) -> None:
    for number in range(25):
        cluster.apply(isvc(f"model-{number:02}"))
    listing = await client.list_all(INFERENCE_SERVICES, convert=dict, page_size=10, from_cache=True)
    assert len(listing.items) == 25
    assert "resourceVersion=0" in cluster.counts.recent[-1].path
    assert "limit" not in cluster.counts.recent[-1].path


async def test_selectors_and_namespaces(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.apply(isvc("a", "one", labels={"team": "x"}))
    cluster.apply(isvc("b", "one"))
    cluster.apply(isvc("a", "two", labels={"team": "x"}))

    async def names(namespace: str | None = None, **selectors: Any) -> list[tuple[str, str]]:
        listing = await client.list_all(
            INFERENCE_SERVICES,
            namespace,
            convert=lambda obj: (obj["metadata"]["namespace"], obj["metadata"]["name"]),
            **selectors,
        )
        return listing.items

    assert await names(label_selector="team=x") == [("one", "a"), ("two", "a")]
    assert await names("one", label_selector="team=x") == [("one", "a")]
    assert await names(field_selector="metadata.name=b") == [("one", "b")]


async def test_a_missing_rule_is_named(cluster: FakeCluster, kube_metrics: KubeMetrics) -> None:
    cluster.grant("nobody", "nobody", ())
    async with KubeClient(credentials=credentials_for(cluster, "nobody"), metrics=kube_metrics) as client:
        with pytest.raises(KubeError) as everywhere:
            await client.list_all(INFERENCE_SERVICES, convert=dict)
        with pytest.raises(KubeError) as within:
            await client.list_all(INFERENCE_SERVICES, "models", convert=dict)
        with pytest.raises(KubeError) as writing:
            await client.patch(CONFIG_MAPS, "bac-import-model", {}, "rhdh")
    assert (everywhere.value.status, everywhere.value.reason) == (403, "Forbidden")
    assert "list inferenceservices.serving.kserve.io in all namespaces" in str(everywhere.value)
    for part in ("ClusterRole rhdh-rhoai-connector", '"serving.kserve.io"', "[inferenceservices]", "get, list, watch"):
        assert part in everywhere.value.remedy
    assert "Role in namespace models" in within.value.remedy
    assert "the Role rhdh-rhoai-connector in namespace rhdh" in writing.value.remedy
    assert "verbs [patch]" in writing.value.remedy


async def test_a_refused_token_says_which(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.revoke(cluster.token)
    with pytest.raises(KubeError) as caught:
        await client.list_all(INFERENCE_SERVICES, convert=dict)
    assert (caught.value.status, caught.value.remedy) == (401, REFUSED)


async def test_a_token_that_changed_while_the_former_one_was_refused_is_sent_at_once(
    cluster: FakeCluster, kube_metrics: KubeMetrics
) -> None:
    tokens = iter(["expired", "expired"])
    credentials = dataclasses.replace(credentials_for(cluster), token=lambda: next(tokens, cluster.token))
    async with KubeClient(credentials=credentials, metrics=kube_metrics) as client:
        await client.list_all(INFERENCE_SERVICES, convert=dict)
    assert cluster.counts.answers == {401: 1, 200: 1}


async def test_an_absent_type_says_what_to_install(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.uninstall("InferenceService")
    cluster.uninstall("Route")
    with pytest.raises(KubeError) as kserve:
        await client.list_all(INFERENCE_SERVICES, convert=dict)
    with pytest.raises(KubeError) as routes:
        await client.list_all(ROUTES, convert=dict)
    assert kserve.value.status == 404
    assert "install KServe" in kserve.value.remedy
    assert "install OpenShift" not in kserve.value.remedy
    assert "OpenShift" in routes.value.remedy


async def test_an_absent_object_is_no_matter_of_installing(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.add_namespace("rhdh")
    with pytest.raises(KubeError) as caught:
        await client.get(CONFIG_MAPS, "bac-import-model", "rhdh")
    assert (caught.value.status, caught.value.reason, caught.value.remedy) == (404, "NotFound", "")


async def test_a_namespace_that_does_not_exist_is_named(client: KubeClient) -> None:
    with pytest.raises(KubeError) as caught:
        await client.create(CONFIG_MAPS, config_map(), "nowhere")
    assert caught.value.status == 404
    assert "nowhere" in caught.value.message + caught.value.remedy


async def test_causes_of_a_refusal(sidecar: KubeClient) -> None:
    await sidecar.create(CONFIG_MAPS, config_map(), "rhdh")
    with pytest.raises(KubeError) as caught:
        await sidecar.patch(CONFIG_MAPS, "bac-import-model", {"data": {"big": "x" * 1_048_577}}, "rhdh")
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert caught.value.caused_by("FieldValueTooLong")
    assert not caught.value.caused_by("FieldValueInvalid")
    assert "1048576" in caught.value.message


async def test_a_write_whose_answer_is_lost_is_sent_again(cluster: FakeCluster, sidecar: KubeClient) -> None:
    await sidecar.create(CONFIG_MAPS, config_map(), "rhdh")
    cluster.fault("drop_after", verb="patch")
    patched = await sidecar.patch(CONFIG_MAPS, "bac-import-model", {"binaryData": {"b": "Qg=="}}, "rhdh")
    assert patched["binaryData"] == {"b": "Qg=="}
    cluster.fault("drop_after", verb="create")
    with pytest.raises(KubeError) as caught:
        await sidecar.create(CONFIG_MAPS, config_map("second"), "rhdh")
    assert (caught.value.status, caught.value.reason) == (409, "AlreadyExists")


async def test_a_server_that_asks_for_patience_gets_it(
    cluster: FakeCluster, kube_metrics: KubeMetrics, sidecar: KubeClient, metrics: Metrics
) -> None:
    cluster.add_namespace("rhdh")
    cluster.fault("status", verb="create", status=429, retry_after=1)
    before = asyncio.get_running_loop().time()
    await sidecar.create(CONFIG_MAPS, config_map(), "rhdh")
    assert asyncio.get_running_loop().time() - before >= 0.9
    host = cluster.url.removeprefix("http://")
    for code in ("429", "201"):
        labels = {"code": code, "host": host, "method": "POST"}
        assert metrics.registry.get_sample_value("rest_client_requests_total", labels) == 1


async def test_requests_without_an_answer_are_counted(
    cluster: FakeCluster, client: KubeClient, metrics: Metrics
) -> None:
    await cluster.go_down()
    with pytest.raises(Unreachable):
        await client.list_all(INFERENCE_SERVICES, convert=dict, attempts=1)
    labels = {"code": "<error>", "host": cluster.url.removeprefix("http://"), "method": "GET"}
    assert metrics.registry.get_sample_value("rest_client_requests_total", labels) == 1


@pytest.mark.parametrize(
    "body",
    [
        "<html><body>Log in</body></html>",
        "{}",
        "[]",
        '{"kind":"Status","metadata":{},"status":"Success"}',
        '{"kind":"InferenceServiceList","metadata":{"resourceVersion":"7"}}',
        '{"kind":"InferenceServiceList","metadata":{"resourceVersion":"7"},"items":{}}',
        '{"kind":"InferenceServiceList","metadata":{},"items":[]}',
        '{"kind":"InferenceService","metadata":{"resourceVersion":"7"},"items":[]}',
    ],
)
async def test_what_is_no_list_is_never_an_empty_list(cluster: FakeCluster, client: KubeClient, body: str) -> None:
    cluster.fault("status", verb="list", status=200, body=body, content_type="application/json")
    with pytest.raises(GarbledAnswer, match=r"cannot list inferenceservices"):
        await client.list_all(INFERENCE_SERVICES, convert=dict)


async def test_a_list_of_nothing_as_go_writes_it(cluster: FakeCluster, client: KubeClient) -> None:
    body = '{"kind":"InferenceServiceList","metadata":{"resourceVersion":"7"},"items":null}'
    cluster.fault("status", verb="list", status=200, body=body, content_type="application/json")
    assert (await client.list_all(INFERENCE_SERVICES, convert=dict)).items == []


async def test_half_a_list_is_an_error(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.apply(isvc("a"))
    cluster.fault("truncate", verb="list", times=None)
    with pytest.raises(Unreachable):
        await client.list_all(INFERENCE_SERVICES, convert=dict)


async def test_an_error_page_of_a_proxy_is_reported_in_words(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.fault("status", verb="list", times=None, status=502, body="<html><h1>502 Bad Gateway</h1></html>")
    with pytest.raises(KubeError) as caught:
        await client.list_all(INFERENCE_SERVICES, convert=dict, attempts=1)
    assert (caught.value.status, caught.value.reason, caught.value.message) == (502, "", "Bad Gateway")


async def test_a_watch_brings_events_from_a_version_on(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.apply(isvc("before"))
    version = str(cluster.revision)
    async with client.watch(INFERENCE_SERVICES, version=version, seconds=60, idle=60) as events:
        cluster.apply(isvc("a"))
        cluster.apply(isvc("a", annotations={"x": "y"}))
        cluster.delete("InferenceService", "models", "a")
        seen = [(await anext(events)) for _ in range(3)]
        await eventually(lambda: cluster.send_bookmarks("inferenceservices") == 1)
        bookmark = await anext(events)
    assert [(event.type, event.object["metadata"]["name"]) for event in seen] == [
        ("ADDED", "a"),
        ("MODIFIED", "a"),
        ("DELETED", "a"),
    ]
    assert (bookmark.type, bookmark.version) == ("BOOKMARK", str(cluster.revision))
    assert seen[-1].version == str(cluster.revision)
    await eventually(lambda: cluster.watches() == 0, what="the watch is closed")


async def test_a_watch_ends_with_the_time_that_was_asked_for(cluster: FakeCluster, client: KubeClient) -> None:
    async with client.watch(INFERENCE_SERVICES, version=str(cluster.revision), seconds=1, idle=60) as events:
        assert {event.type async for event in events} <= {"BOOKMARK"}


@pytest.mark.parametrize(("order", "status"), [("gone", 410), ("error", 500)])
async def test_an_error_event_is_raised(cluster: FakeCluster, client: KubeClient, order: str, status: int) -> None:
    async with client.watch(INFERENCE_SERVICES, version=str(cluster.revision), seconds=60, idle=60) as events:
        await eventually(lambda: cluster.disturb_watches(order) == 1)
        with pytest.raises(KubeError) as caught:
            await anext(events)
    assert caught.value.status == status


async def test_a_line_that_is_no_event_is_raised(cluster: FakeCluster, client: KubeClient) -> None:
    async with client.watch(INFERENCE_SERVICES, version=str(cluster.revision), seconds=60, idle=60) as events:
        await eventually(lambda: cluster.disturb_watches("garbage") == 1)
        with pytest.raises(GarbledAnswer, match="502 Bad Gateway"):
            await anext(events)


async def test_an_event_that_is_too_long_is_raised_before_all_of_it_is_read(
    cluster: FakeCluster, client: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LONGEST_LINE", 100_000)
    async with client.watch(INFERENCE_SERVICES, version=str(cluster.revision), seconds=60, idle=60) as events:
        cluster.apply(isvc("just-not", annotations={"note": "x" * 90_000}))
        assert (await anext(events)).object["metadata"]["name"] == "just-not"
        cluster.apply(isvc("too-long", annotations={"note": "x" * 110_000}))
        with pytest.raises(GarbledAnswer, match="an event is longer than 100000 bytes"):
            await anext(events)


async def test_a_silent_watch_is_given_up(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.fault("silent")
    with pytest.raises(Unreachable, match="no answer in time"):
        async with client.watch(INFERENCE_SERVICES, version=str(cluster.revision), seconds=60, idle=0.2) as events:
            await anext(events)


async def test_a_watch_that_does_not_open_is_given_up(cluster: FakeCluster, kube_metrics: KubeMetrics) -> None:
    cluster.fault("hang", verb="watch")
    async with KubeClient(credentials=credentials_for(cluster), metrics=kube_metrics, timeout=0.2) as client:
        with pytest.raises(Unreachable, match="no answer in time"):
            async with client.watch(INFERENCE_SERVICES, version="1", seconds=60, idle=60):
                pytest.fail("it opened")


async def test_more_watches_than_connections_usually_go(cluster: FakeCluster, client: KubeClient) -> None:
    async def hold() -> None:
        async with client.watch(INFERENCE_SERVICES, version=str(cluster.revision), seconds=60, idle=60) as events:
            await anext(events)

    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(hold())
        await eventually(lambda: cluster.watches() == 100)
        assert (await client.list_all(INFERENCE_SERVICES, convert=dict)).items == []
        cluster.apply(isvc("a"))


async def test_an_object_larger_than_any_buffer_is_one_event(cluster: FakeCluster, client: KubeClient) -> None:
    async with client.watch(CONFIG_MAPS, version=str(cluster.revision), seconds=60, idle=60) as events:
        large = config_map()
        large["metadata"] = {"name": "large", "namespace": "rhdh"}
        large["data"] = {"text": "x" * 1_000_000}
        cluster.apply(large)
        event = await anext(events)
        assert len(event.object["data"]["text"]) == 1_000_000


async def test_a_type_that_comes_back_is_found(cluster: FakeCluster, client: KubeClient) -> None:
    cluster.uninstall("InferenceService")
    with pytest.raises(KubeError):
        await client.list_all(INFERENCE_SERVICES, convert=dict)
    cluster.install(ISVC_TYPE)
    assert (await client.list_all(INFERENCE_SERVICES, convert=dict)).items == []


async def test_the_remedy_is_enough(cluster: FakeCluster, kube_metrics: KubeMetrics) -> None:
    cluster.grant("sidecar", "sidecar", ())
    async with KubeClient(credentials=credentials_for(cluster, "sidecar"), metrics=kube_metrics) as client:
        with pytest.raises(KubeError, match="403"):
            await client.list_all(INFERENCE_SERVICES, convert=dict)
        rule = Rule(api_groups=("serving.kserve.io",), resources=("inferenceservices",), verbs=("get", "list", "watch"))
        cluster.grant("sidecar", "sidecar", (rule,))
        listing = await client.list_all(INFERENCE_SERVICES, convert=dict)
        async with client.watch(INFERENCE_SERVICES, version=listing.version, seconds=60, idle=60):
            assert cluster.watches() == 1
