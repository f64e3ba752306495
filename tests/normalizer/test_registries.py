"""Registries found in a cluster, read, and shown: discovery, polling and controller together, in simulated time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

import services.normalizer.registries as registries_module
from common.health import Health
from common.kube.client import KubeClient
from common.kube.credentials import Credentials
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from common.secrets import StaticToken
from services.normalizer.connectors import own_connector
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.registries import POLLING_FLOOR, Registries, discovery_settings
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.sources.kubeflow.discovery import Discovery
from services.normalizer.sources.kubeflow.search import TRANSIENT
from services.normalizer.sources.refs import SourceRef
from services.normalizer.telemetry import CONTROLLER
from tests import objects
from tests.fakes.kubernetes import Rule
from tests.fakes.kubernetes.cluster import FakeCluster
from tests.fakes.kubernetes.resources import GATEWAYS, HTTP_ROUTES
from tests.fakes.registry import FakeCatalog, FakeRegistry
from tests.normalizer.memory_storage import MemoryStorage
from tests.simulation.loop import simulated
from tests.waiting import eventually

NAMESPACE = "rhoai-model-registries"
MINUTE, HOUR = 60.0, 3600.0


@dataclass
class Setting:
    cluster: FakeCluster
    storage: MemoryStorage
    health: Health
    metrics: Metrics
    intake: Intake

    async def compared(self) -> None:
        """Wait until the controller has compared everything with what is known now, and again after what it sent."""
        for _ in range(3):
            before = self._rounds
            self.intake.remove_sources(())
            await eventually(lambda: self._rounds > before, what="a round")  # noqa: B023 - it is awaited here

    @property
    def _rounds(self) -> float:
        labels = {"controller": CONTROLLER}
        return self.metrics.registry.get_sample_value("controller_runtime_reconcile_time_seconds_count", labels) or 0

    def stale(self, source: str) -> float | None:
        return self.metrics.registry.get_sample_value("rhoai_connector_source_stale", {"source": source})

    def condition(self, name: str) -> dict[str, Any]:
        found = [c for c in self.health.report()["conditions"] if c["name"] == name]
        return dict(found[0]) if found else {}

    def well(self, name: str) -> bool:
        return bool(self.condition(name).get("ok"))

    def unreachable(self, name: str) -> bool:
        return "unreach" in self.condition(name).get("reason", "")


@asynccontextmanager
async def running(
    cluster: FakeCluster,
    *,
    patience: float = TRANSIENT,
    floor: float = POLLING_FLOOR,
    chosen: NormalizerSettings | None = None,
    **settings: Any,
) -> AsyncIterator[Setting]:
    """A controller with registries of that cluster, without InferenceServices."""
    chosen = chosen or NormalizerSettings.load(**settings)
    metrics, health, storage = Metrics("test", "0"), Health(), MemoryStorage()
    kube_metrics = KubeMetrics(metrics)
    credentials = Credentials(
        server=cluster.url, token=StaticToken(cluster.token), ssl=True, namespace=None, origin="test", refused="test"
    )
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(KubeClient(credentials=credentials, metrics=kube_metrics))
        controller = Controller(create_context(settings=chosen, storage=storage, health=health, metrics=metrics))
        connector = own_connector(chosen, token=None, metrics=metrics, environ={})
        registries = Registries(
            intake=controller.intake,
            connector=connector,
            settings=chosen,
            discovery=discovery_settings(chosen),
            namespaces=chosen.watch_namespaces,
            polling_floor=floor,
        )
        tasks = [*registries.follow_cluster(client, kube_metrics, patience=patience), registries.run, controller.run]
        async with asyncio.TaskGroup() as group:
            started = [group.create_task(task()) for task in tasks]
            yield Setting(cluster, storage, health, metrics, controller.intake)
            for task in started:
                task.cancel()


async def within_hours(check: Callable[[], object], *, what: str) -> None:
    """Wait for what only happens after a grace, or when something is asked again."""
    await eventually(check, timeout=2 * HOUR, interval=1, what=what)


@pytest.fixture
def cluster() -> FakeCluster:
    return FakeCluster()


@simulated
async def test_a_registry_without_an_address_keeps_nothing_back(cluster: FakeCluster) -> None:
    cluster.apply(objects.route("pending", NAMESPACE, admitted=False))
    async with running(cluster) as setting:
        await eventually(lambda: setting.storage.complete, what="completeness")
        assert setting.condition(f"registry:{NAMESPACE}/pending")["ok"]


@pytest.mark.parametrize(("models", "grace"), [(0, 0), (1, 300)])
@simulated
async def test_a_registry_that_is_down_keeps_a_new_feed_back_for_the_grace_and_an_empty_one_for_ever(
    cluster: FakeCluster, models: int, grace: float
) -> None:
    async with FakeRegistry() as registry:
        registry.populate(models)
        urls = ["http://127.0.0.1:9", registry.url]
        async with running(cluster, model_registry_urls=urls, first_sync_grace=grace) as setting:
            await eventually(lambda: not setting.condition("registry:127.0.0.1:9").get("ok", True))
            await eventually(lambda: len(setting.storage.entries) == models)
            assert not setting.storage.complete
            if models:
                await asyncio.sleep(grace - MINUTE)
                assert not setting.storage.complete
                await eventually(lambda: setting.storage.complete, what="the end of the grace")
            else:
                await setting.compared()
                assert not setting.storage.complete


@simulated
async def test_registries_and_catalogs_have_a_condition_and_a_metric_whether_they_answer_or_not(
    cluster: FakeCluster,
) -> None:
    async with FakeRegistry() as registry, FakeCatalog() as catalog:
        registry.populate(1)  # no model names a card: no catalog is needed
        urls: dict[str, Any] = {
            "model_registry_urls": [f"up={registry.url}", "down=http://127.0.0.1:9"],
            "model_catalog_url": [f"up={catalog.url}", "down=http://127.0.0.1:9"],
        }
        async with running(cluster, **urls) as setting:
            for kind in ("registry", "catalog"):
                await eventually(partial(setting.well, f"{kind}:up"), what=f"{kind} up")
                await eventually(partial(setting.unreachable, f"{kind}:down"), what=f"{kind} down")
                condition = setting.condition(f"{kind}:down")
                assert not condition["ok"]
                assert "http://127.0.0.1:9/" in condition["reason"]
                assert f"check that model {kind} down runs" in condition["reason"]
                assert datetime.fromisoformat(condition["since"]).tzinfo is UTC
                assert (setting.stale(f"{kind}:up"), setting.stale(f"{kind}:down")) == (0, 1)


@simulated
async def test_a_catalog_that_no_model_needs_is_found_down_later_and_up_again(cluster: FakeCluster) -> None:
    async with FakeCatalog() as catalog:
        settings: dict[str, Any] = {"model_catalog_url": [f"cards={catalog.url}"]}
        async with running(cluster, **settings) as setting:
            await eventually(lambda: setting.condition("catalog:cards").get("ok"))
            await catalog.down()
            await within_hours(lambda: not setting.condition("catalog:cards")["ok"], what="a catalog that is down")
            assert setting.stale("catalog:cards") == 1
            await catalog.up()
            await within_hours(lambda: setting.condition("catalog:cards")["ok"], what="a catalog that is up")
            assert setting.stale("catalog:cards") == 0


@pytest.mark.parametrize("entry", ["nowhere", f"{NAMESPACE}:nowhere", "a:b:c", "https://host/path"])
@simulated
async def test_an_entry_of_mr_route_that_names_nothing_is_a_failing_condition(cluster: FakeCluster, entry: str) -> None:
    async with running(cluster, model_registry_routes=[entry]) as setting:
        await eventually(lambda: setting.condition("MR_ROUTE"), what="the condition")
        condition = setting.condition("MR_ROUTE")
        assert not condition["ok"]
        assert f"MR_ROUTE {entry}: there is no such Route" in condition["reason"]
        assert "write namespace:name of an existing Route" in condition["reason"]


@simulated
async def test_models_of_a_registry_that_is_taken_away_leave_after_a_grace(cluster: FakeCluster) -> None:
    async with FakeRegistry() as registry:
        registry.populate(2)
        async with running(cluster, model_registry_urls=[registry.url], source_gone_grace=HOUR) as setting:
            await eventually(lambda: len(setting.storage.entries) == 2)
        stored = setting.storage
    async with running(cluster, source_gone_grace=HOUR) as later:
        later.storage.entries.update(stored.entries)
        later.storage.touch()
        await asyncio.sleep(HOUR - MINUTE)
        assert len(later.storage.entries) == 2
        await within_hours(lambda: not later.storage.entries, what="the models to leave")


@simulated
async def test_while_a_registry_may_be_named_by_what_cannot_be_used_nothing_of_it_leaves(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeRegistry() as registry:
        registry.populate(2)
        async with running(cluster, model_registry_urls=[registry.url]) as setting:
            await eventually(lambda: len(setting.storage.entries) == 2)
        stored = setting.storage
        monkeypatch.setenv("MODEL_REGISTRY_URLS", f"{registry.url} http://further")
        chosen = NormalizerSettings.load_usable(source_gone_grace=0, removal_hold=0)
    assert chosen.model_registry_urls == ()
    async with running(cluster, chosen=chosen) as later:
        later.storage.entries.update(stored.entries)
        later.storage.touch()
        await eventually(lambda: later.condition("storage").get("ok"), what="the first round")
        await later.compared()
        assert len(later.storage.entries) == 2


def reached(name: str, registry: FakeRegistry) -> dict[str, Any]:
    """A Service that names the address of a fake registry as its own outside."""
    service = objects.service(name, NAMESPACE, ports={"http": 80}, labels={"component": "model-registry"})
    address = registry.url.removeprefix("http://")
    service["metadata"]["annotations"] = {"routing.opendatahub.io/external-address-rest": address}
    return service


@simulated
async def test_a_deleted_service_is_the_end_of_its_registry_though_routes_may_not_be_read(cluster: FakeCluster) -> None:
    cluster.fault("status", status=403, resource="routes", times=None)
    settings: dict[str, Any] = {
        "model_registry_insecure": ["deleted", "relabelled"],
    }
    async with FakeRegistry() as one, FakeRegistry() as other:
        one.populate(2, prefix="one")
        other.populate(3, prefix="other")
        cluster.apply(reached("deleted", one))
        cluster.apply(reached("relabelled", other))
        async with running(cluster, **settings) as setting:
            await eventually(lambda: len(setting.storage.entries) == 5)
            service = reached("relabelled", other)
            del service["metadata"]["labels"]
            cluster.apply(service)
            cluster.delete("Service", NAMESPACE, "deleted")
            await other.down()
            await one.down()
            await within_hours(lambda: len(setting.storage.entries) == 3, what="the end of what was deleted")
            await eventually(lambda: not setting.condition(f"registry:{NAMESPACE}/deleted"))
            await setting.compared()  # a Service that lost its label is no proof
            assert len(setting.storage.entries) == 3
            assert "forbidden" in setting.condition("discovery")["reason"]
            reasons = {reason for batch in setting.storage.batches for reason in batch.removals.values()}
            assert reasons == {"source-gone"}


@simulated
async def test_a_deletion_that_cannot_be_proven_at_once_is_proven_later(cluster: FakeCluster) -> None:
    cluster.fault("status", status=403, resource="routes", times=None)
    settings: dict[str, Any] = {"source_gone_grace": 0, "removal_hold": 0, "model_registry_insecure": ["deleted"]}
    async with FakeRegistry() as registry:
        registry.populate(2)
        cluster.apply(reached("deleted", registry))
        async with running(cluster, **settings) as setting:
            await eventually(lambda: len(setting.storage.entries) == 2)
            cluster.fault("status", status=500, verb="get", resource="services", times=2)
            with capture_logs() as logs:
                cluster.delete("Service", NAMESPACE, "deleted")
                await registry.down()
                await within_hours(lambda: not setting.storage.entries, what="the end of what was deleted")
    unproven = [line["object"] for line in logs if line["event"] == "removal_not_proven"]
    assert unproven == [f"services {NAMESPACE}/deleted"] * 2


@pytest.mark.parametrize(("further", "left"), [([], 0), ([f"{NAMESPACE}:misspelt"], 2)])
@simulated
async def test_a_deleted_route_is_the_end_of_what_mr_route_names_by_it(
    cluster: FakeCluster, further: list[str], left: int
) -> None:
    async with FakeRegistry() as registry:
        registry.populate(2)
        async with running(cluster, model_registry_urls=[f"{NAMESPACE}/public={registry.url}"]) as setting:
            await eventually(lambda: len(setting.storage.entries) == 2)
    cluster.apply(objects.route("public", NAMESPACE, service="public"))
    routes = [f"{NAMESPACE}:public", *further]
    async with running(cluster, model_registry_routes=routes, source_gone_grace=0, removal_hold=0) as later:
        later.storage.entries.update(setting.storage.entries)
        later.storage.touch()
        await eventually(lambda: later.condition(f"registry:{NAMESPACE}/public").get("reason", "").startswith("dns"))
        assert len(later.storage.entries) == 2
        cluster.delete("Route", NAMESPACE, "public")
        await eventually(lambda: "there is no such Route" in later.condition("MR_ROUTE")["reason"])
        if left:
            await later.compared()  # what is misspelt may name it
        await eventually(lambda: len(later.storage.entries) == left)


@simulated
async def test_a_cluster_without_routes_is_looked_at_completely(cluster: FakeCluster) -> None:
    cluster.uninstall("routes")
    async with running(cluster) as setting:
        await eventually(lambda: setting.storage.complete)
        assert setting.condition("discovery")["ok"]


@pytest.mark.parametrize("resource", ["routes", "services"])
@simulated
async def test_what_may_not_be_read_is_said_and_not_waited_for(cluster: FakeCluster, resource: str) -> None:
    cluster.fault("status", status=403, resource=resource, times=None)
    async with running(cluster, first_sync_grace=3600) as setting:
        await eventually(lambda: "forbidden" in setting.condition("discovery").get("reason", ""))
        await eventually(lambda: setting.storage.complete, what="completeness")
        assert not setting.condition("discovery")["ok"]


@simulated
async def test_a_refusal_that_passes_is_no_missing_rule(cluster: FakeCluster) -> None:
    cluster.fault("status", status=403, resource="routes", times=None)
    async with running(cluster, patience=3600, first_sync_grace=3600) as setting:
        await eventually(lambda: "refused: reading routes" in setting.condition("discovery").get("reason", ""))
        assert "lacks a rule" not in setting.condition("discovery")["reason"]
        assert not setting.storage.complete


@simulated
async def test_with_watched_namespaces_registries_are_looked_for_where_they_are_trusted(cluster: FakeCluster) -> None:
    read = ("get", "list", "watch")
    rules = [
        Rule(api_groups=("", "route.openshift.io"), resources=("services", "routes"), verbs=read, namespace=namespace)
        for namespace in ("models", NAMESPACE)
    ]
    cluster.grant(cluster.token, "narrow", rules)
    ports = {"http-api": 8080}
    cluster.apply(objects.service("public", NAMESPACE, ports=ports, labels={"component": "model-registry"}))
    async with running(cluster, watch_namespaces=["models"], first_sync_grace=3600) as setting:
        await eventually(lambda: setting.condition(f"registry:{NAMESPACE}/public"), what="the Service's registry")
        await eventually(lambda: setting.condition("discovery")["ok"], what="discovery")
        assert "namespace kubeflow" in setting.condition("discovery")["reason"]
    assert all(access.namespace for access in cluster.used), "something was asked of all namespaces"


@simulated
async def test_a_registry_outside_trusted_namespaces_is_reported_and_not_read(cluster: FakeCluster) -> None:
    ports = {"http-api": 8080}
    cluster.apply(objects.service("trap", "tenant", ports=ports, labels={"component": "model-registry"}))
    cluster.apply(objects.route("trap", "tenant"))
    with capture_logs() as logs:
        async with running(cluster, model_registry_routes=["trap"]) as setting:
            await eventually(lambda: setting.condition("MR_ROUTE"), what="the condition for MR_ROUTE")
            assert not setting.condition("MR_ROUTE")["ok"]
            assert "no such Route in a trusted namespace" in setting.condition("MR_ROUTE")["reason"]
        async with running(cluster) as setting:
            await eventually(lambda: setting.condition("registry:tenant/trap"), what="the condition")
            assert setting.condition("registry:tenant/trap")["ok"]
            assert "add tenant to MODEL_REGISTRY_NAMESPACES" in setting.condition("registry:tenant/trap")["reason"]
            await eventually(lambda: setting.storage.complete, what="completeness")
            cluster.delete("Service", "tenant", "trap")
            cluster.delete("Route", "tenant", "trap")
            await eventually(lambda: not setting.condition("registry:tenant/trap"), what="the end of the condition")
    assert any("MODEL_REGISTRY_NAMESPACES" in line.get("remedy", "") for line in logs)


@simulated
async def test_registries_behind_a_gateway_are_found_where_that_is_wanted(cluster: FakeCluster) -> None:
    for resource in (HTTP_ROUTES, GATEWAYS):
        cluster.install(resource)
    gateway = {"metadata": {"name": "data-science-gateway", "namespace": "openshift-ingress"}}
    listeners = [{"name": "https", "protocol": "HTTPS", "port": 443, "hostname": "rh-ai.apps.example.com"}]
    group = "gateway.networking.k8s.io"
    cluster.apply({"apiVersion": f"{group}/v1", "kind": "Gateway", **gateway, "spec": {"listeners": listeners}})
    labels = {"app.kubernetes.io/managed-by": "model-registry-operator", "component": "model-registry"}
    spec = {
        "parentRefs": [{"group": group, "kind": "Gateway", **gateway["metadata"]}],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/model-registry/public/"}}],
                "backendRefs": [{"kind": "Service", "name": "public", "namespace": NAMESPACE, "port": 8443}],
            }
        ],
    }
    name = {"name": "model-registry-public", "namespace": "openshift-ingress", "labels": labels}
    cluster.apply({"apiVersion": f"{group}/v1", "kind": "HTTPRoute", "metadata": name, "spec": spec})
    trusted = [NAMESPACE, "openshift-ingress"]
    url = "https://rh-ai.apps.example.com/model-registry/public"
    async with running(cluster, model_registry_gateways=True, model_registry_namespaces=trusted) as setting:
        await eventually(lambda: url in setting.condition(f"registry:{NAMESPACE}/public").get("reason", ""))
    async with running(cluster, model_registry_gateways=True) as setting:
        reason = "add openshift-ingress to MODEL_REGISTRY_NAMESPACES"
        await eventually(lambda: reason in setting.condition(f"registry:{NAMESPACE}/public").get("reason", ""))


@simulated
async def test_a_route_with_a_host_that_is_none_ends_nothing(cluster: FakeCluster) -> None:
    cluster.apply(objects.route("bad", NAMESPACE, host="[bad"))
    cluster.apply(objects.route("good", NAMESPACE, host="127.0.0.1"))
    with capture_logs() as logs:
        async with running(cluster) as setting:
            await eventually(lambda: setting.condition(f"registry:{NAMESPACE}/good").get("reason"))
            bad = f"registry:{NAMESPACE}/bad"
            await eventually(lambda: "no-address" in setting.condition(bad).get("reason", ""))
    assert [line["object"] for line in logs if line.get("problem") == "route_invalid"] == [f"Route {NAMESPACE}/bad"]


@simulated
async def test_a_registry_that_is_gone_is_not_said_to_be_down(cluster: FakeCluster) -> None:
    ports = {"http-api": 8080}
    cluster.apply(objects.service("public", NAMESPACE, ports=ports, labels={"component": "model-registry"}))
    condition = f"registry:{NAMESPACE}/public"
    async with running(cluster) as setting:
        await eventually(lambda: setting.condition(condition).get("reason"))
        with capture_logs() as logs:
            cluster.delete("Service", NAMESPACE, "public")
            await eventually(lambda: not setting.condition(condition), what="the end of the registry")
    (line,) = [line for line in logs if line["event"] == "source_gone"]
    assert line["named_by"] == f"Service {NAMESPACE}/public"
    assert "SOURCE_GONE_GRACE" in line["consequence"]


@simulated
async def test_an_interval_that_would_flood_registries_is_raised_and_that_is_reported(cluster: FakeCluster) -> None:
    async with FakeRegistry() as registry:
        urls = [registry.url]
        with capture_logs() as logs:
            async with running(cluster, model_registry_urls=urls, polling_interval=0, floor=3600) as setting:
                await eventually(lambda: setting.storage.complete, what="the first poll")
                asked = registry.counted()
                await setting.compared()
                assert registry.counted() == asked
                assert "raised to 3600 s" in setting.condition("POLLING_INTERVAL")["reason"]
    assert any(line["event"] == "polling_interval_raised" and line["log_level"] == "warning" for line in logs)


@simulated
async def test_a_registry_that_nothing_names_any_more_and_that_still_answers_is_not_gone(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeRegistry() as registry:
        registry.populate(2)
        ref = SourceRef(id=f"{NAMESPACE}/public", kind="registry", url=registry.url, origin="a Service", trusted=True)
        found = [ref]
        monkeypatch.setattr(registries_module, "discover", lambda *_: Discovery(refs=tuple(found)))
        async with running(cluster, source_gone_grace=0) as setting:
            await eventually(lambda: len(setting.storage.entries) == 2)
            found.clear()
            cluster.apply(objects.service("any", NAMESPACE, ports={"http": 80}, labels={"component": "model-registry"}))
            registry.counted(reset=True)
            await within_hours(lambda: registry.counted().get("GET registered_models", 0) > 2, what="further polls")
            assert len(setting.storage.entries) == 2
            assert setting.condition(f"registry:{ref.id}")["ok"]
            registry.fail("status", status=503)
            await within_hours(lambda: not setting.storage.entries, what="the models of a registry that is gone")
