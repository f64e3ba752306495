"""Registries of several clusters: what they describe, and whose token they get."""

from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

from services.normalizer import clusters
from services.normalizer.connectors import registry_connector
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.addresses import read_service_address
from services.normalizer.sources.kubeflow.discovery import DiscoverySettings, discover
from tests import objects
from tests.fakes.registry import FakeRegistry
from tests.normalizer.fleet import Fleet, fleet, following
from tests.simulation.loop import simulated
from tests.waiting import eventually

__all__ = ["fleet"]

LABELS = {
    "modelregistry.opendatahub.io/registered-model-id": "1",
    "modelregistry.opendatahub.io/model-version-id": "1",
}


async def registries(stack: AsyncExitStack, *names: str) -> dict[str, FakeRegistry]:
    """Start registries with one version each, of the same ids."""
    found = {name: await stack.enter_async_context(FakeRegistry()) for name in names}
    for name, registry in found.items():
        model = registry.add_model(f"model-{name}", owner="someone")
        registry.add_version(model, "v1")
    return found


@simulated
async def test_a_token_goes_to_the_servers_of_its_own_cluster_only(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every token is one that is sent nowhere else; a single one at a foreign server fails this."""
    async with AsyncExitStack() as stack:
        found = await registries(stack, "hub", "a", "b", "c", "shared", "open")
        for name in ("hub", "a", "b", "c"):
            await fleet.add(name, models=1)
            if name != "c":
                fleet.registry(name, found[name].url)
        kubeconfig = fleet.clusters["hub"].kubeconfig(fleet.folder / "kubeconfig")
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
        (fleet.folder / "registry-b.token").write_text("token-of-registry-b")
        (fleet.folder / "shared.token").write_text("token-of-shared")
        fleet.write(
            {"name": "hub"},
            "a",
            fleet.entry("b", registryTokenFile="registry-b.token"),
            fleet.entry("c", registries=[f"own={found['c'].url}"]),
            sharedRegistries=[
                {"name": "shared", "url": found["shared"].url, "tokenFile": "shared.token"},
                {"name": "open", "url": found["open"].url},
            ],
        )
        settings: dict[str, Any] = {
            "model_registry_token": "token-of-registry-hub",
        }
        async with following(fleet, **settings) as it:
            await eventually(lambda: {f"model-{name}_v1" for name in found} <= set(it.keys))
        for name, cluster in fleet.clusters.items():
            assert cluster.authorizations == {f"Bearer token-of-{name}"}, name
        assert {name: registry.authorizations for name, registry in found.items()} == {
            "hub": {"Bearer token-of-registry-hub"},
            "a": {"Bearer token-of-a"},
            "b": {"Bearer token-of-registry-b"},
            "c": {"Bearer token-of-c"},
            "shared": {"Bearer token-of-shared"},
            "open": {""},
        }


@simulated
async def test_the_token_that_the_file_names_for_registries_goes_before_that_of_the_environment(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "hub")
        hub = await fleet.add("hub")
        fleet.registry("hub", found["hub"].url)
        monkeypatch.setenv("KUBECONFIG", str(hub.kubeconfig(fleet.folder / "kubeconfig")))
        (fleet.folder / "registry.token").write_text("token-of-the-file")
        fleet.write({"name": "hub", "registryTokenFile": "registry.token"})
        settings: dict[str, Any] = {
            "model_registry_token": "token-of-the-environment",
        }
        async with following(fleet, **settings) as it:
            await eventually(lambda: it.keys == ["model-hub_v1"])
        assert found["hub"].authorizations == {"Bearer token-of-the-file"}


def test_the_inner_address_of_another_clusters_service_is_never_asked() -> None:
    """The same name leads to another server here, which would get a token that is not for it."""
    labels = {"component": "model-registry"}
    service = objects.service("registry", "rhoai-model-registries", ports={"http-api": 8080}, labels=labels)
    address = read_service_address(service)
    settings = DiscoverySettings(trusted_namespaces=("rhoai-model-registries",))
    [here] = discover((), [address], settings).refs
    assert here.url == "http://registry.rhoai-model-registries.svc:8080"
    away = DiscoverySettings(trusted_namespaces=("rhoai-model-registries",), cluster="prod_6443", inside=False)
    [there] = discover((), [address], away).refs
    assert (there.url, there.id) == ("", "rhoai-model-registries/registry@prod_6443")


@simulated
async def test_versions_are_linked_to_deployments_of_their_own_cluster(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "a", "b")
        for name in ("a", "b"):
            cluster = await fleet.add(name)
            fleet.registry(name, found[name].url)
            cluster.apply(objects.isvc("served", labels=LABELS))
        fleet.write("a", "b")
        async with following(fleet) as it:
            await eventually(lambda: it.keys == ["model-a_v1", "model-b_v1"])
            for name in ("a", "b"):
                [ref] = {entry.server_ref for key, entry in it.storage.entries.items() if key == f"model-{name}_v1"}
                port = fleet.clusters[name].port
                assert ref == f"isvc:127.0.0.1_{port}:models/served"
                assert it.details(f"model-{name}_v1")["cluster"] == name


@simulated
async def test_a_version_of_another_cluster_is_never_a_deployments_own(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "a")
        for name in ("a", "b"):
            await fleet.add(name)
        fleet.registry("a", found["a"].url)
        fleet.clusters["b"].apply(objects.isvc("served", labels=LABELS))
        fleet.write("a", "b")
        async with following(fleet) as it:
            await eventually(lambda: it.keys == ["model-a_v1", "models_served"])
            assert "modelServer" not in it.document("model-a_v1")


@simulated
async def test_a_shared_registry_describes_deployments_of_all_clusters(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "shared")
        for name in ("a", "b"):
            await fleet.add(name)
        fleet.clusters["b"].apply(objects.isvc("served", labels=LABELS))
        fleet.write("a", "b", sharedRegistries=[{"url": found["shared"].url}])
        async with following(fleet) as it:
            await eventually(lambda: it.keys == ["model-shared_v1"])
            await eventually(lambda: it.details("model-shared_v1").get("cluster") == "b")


@simulated
async def test_registries_of_a_cluster_that_asks_for_none_are_not_read(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "a")
        await fleet.add("a", models=1)
        fleet.registry("a", found["a"].url)
        fleet.write(fleet.entry("a", registries="none"))
        async with following(fleet) as it:
            await eventually(lambda: it.keys == ["models_a-0"] and it.storage.complete)
            assert not found["a"].authorizations


@pytest.fixture
def endless_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request to a registry that hangs never time out, so that whatever waits for it never ends."""
    connector = registry_connector

    def endless(*args: Any, **kwargs: Any) -> Connector:
        return replace(connector(*args, **kwargs), timeout=3600)

    monkeypatch.setattr(clusters, "registry_connector", endless)


@pytest.mark.usefixtures("endless_requests")
@simulated
async def test_a_registry_that_hangs_keeps_no_one_in_another_cluster_waiting(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "a")
        for name in ("a", "b"):
            await fleet.add(name)
        fleet.registry("a", found["a"].url)
        fleet.write("a", "b")
        async with following(fleet) as it:
            await eventually(lambda: it.keys == ["model-a_v1"] and it.storage.complete)
        found["a"].fail("hang")
        async with following(fleet, it.storage) as it:
            fleet.clusters["b"].apply(objects.isvc("served", labels=LABELS))
            await eventually(lambda: it.keys == ["model-a_v1", "models_served"])


@pytest.mark.usefixtures("endless_requests")
@simulated
async def test_a_registry_that_begins_to_hang_keeps_no_deployment_of_its_own_cluster_waiting(fleet: Fleet) -> None:
    async with AsyncExitStack() as stack:
        found = await registries(stack, "a")
        await fleet.add("a")
        fleet.registry("a", found["a"].url)
        fleet.write("a")
        async with following(fleet) as it:
            await eventually(lambda: it.keys == ["model-a_v1"] and it.storage.complete)
            found["a"].fail("hang")
            found["a"].counted(reset=True)
            await eventually(found["a"].counted, timeout=3600, interval=1, what="a request that hangs")
            fleet.clusters["a"].apply(objects.isvc("other"))
            await eventually(lambda: it.keys == ["model-a_v1", "models_other"])
            fleet.clusters["a"].apply(objects.isvc("served", labels=LABELS))
            await eventually(lambda: "modelServer" in it.document("model-a_v1"))
