"""deploy/sidecars.py changes the containers of a resource that is the customer's, and nothing else in it."""

import copy
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.documented import containers as documented
from tests.deploy.kubectl import Kubectl, needs_kubectl
from tests.deploy.kustomize import ROOT, Object
from tests.deploy.sidecar_objects import PATCHES, PROXY, TEMPLATES, added, backstage, sidecars
from tests.fakes.kubernetes import FakeCluster
from tests.fakes.kubernetes.patches import json_patch, merge_patch
from tests.fakes.kubernetes.resources import BACKSTAGES, ResourceType

ORIGINAL = [copy.deepcopy(dict(spec.raw)) for spec in documented().values()]
DEPLOYMENTS = ResourceType(group="apps", versions=("v1",), plural="deployments", kind="Deployment", custom=True)


def names(containers: list[Any]) -> list[str]:
    return [container["name"] for container in containers]


def test_to_an_empty_list_the_containers_are_added_as_shipped() -> None:
    assert added([]) == [TEMPLATES["connector"]]
    assert added([], "sidecars") == [TEMPLATES[name] for name in sidecars.VARIANTS["sidecars"]]


@pytest.mark.parametrize("variant", sidecars.VARIANTS)
@pytest.mark.parametrize("before", [[], ORIGINAL, [TEMPLATES["connector"]]], ids=["none", "original", "connector"])
def test_a_container_of_ones_own_stays_and_stands_first(variant: str, before: list[Object]) -> None:
    main = {"name": "backstage-backend", "resources": {"limits": {"memory": "3Gi"}}}

    after = added([*before[:1], main, *before[1:], PROXY], variant)

    assert after[:2] == [main, PROXY]
    assert names(after[2:]) == list(sidecars.VARIANTS[variant])


def test_the_original_sidecars_are_taken_over_with_what_was_set_on_them() -> None:
    before = copy.deepcopy(ORIGINAL)
    before[2]["env"].append({"name": "MR_ROUTE", "value": "team"})
    before[2]["resources"] = {"limits": {"memory": "1Gi"}}

    after = {container["name"]: container for container in added(before, "sidecars")}

    assert {name: container["image"] for name, container in after.items()} == {
        name: TEMPLATES[name]["image"] for name in sidecars.VARIANTS["sidecars"]
    }
    normalizer = after["rhoai-normalizer"]
    assert {"name": "MR_ROUTE", "value": "team"} in normalizer["env"]
    assert len(names(normalizer["env"])) == len(set(names(normalizer["env"])))
    assert normalizer["resources"] == {"limits": {"memory": "1Gi"}}
    assert normalizer["livenessProbe"] == TEMPLATES["rhoai-normalizer"]["livenessProbe"]


def test_the_other_variant_makes_room_and_hands_its_settings_over() -> None:
    before = added([], "sidecars")
    before[2]["env"].append({"name": "WATCH_NAMESPACES", "value": "models"})
    before[2]["volumeMounts"].append({"name": "ca", "mountPath": "/etc/ca"})

    (connector,) = added(before, "connector")
    back = added([connector], "sidecars")

    assert connector["env"] == [{"name": "WATCH_NAMESPACES", "value": "models"}, *TEMPLATES["connector"]["env"]]
    assert connector["volumeMounts"] == [{"name": "ca", "mountPath": "/etc/ca"}]
    assert all({"name": "WATCH_NAMESPACES", "value": "models"} in container["env"] for container in back)


def test_adding_again_changes_nothing() -> None:
    for variant in sidecars.VARIANTS:
        once = added([PROXY], variant, variables={"MODEL_REGISTRY_NAMESPACES": "kubeflow"})

        assert added(once, variant) == once


def test_the_registries_namespace_is_set_where_registries_are_read() -> None:
    after = added([], "sidecars", variables={"MODEL_REGISTRY_NAMESPACES": "odh-model-registries", "BOTH_FEEDS": "true"})

    values = [v["value"] for c in after for v in c["env"] if v["name"] == "MODEL_REGISTRY_NAMESPACES"]
    assert values == ["odh-model-registries"]
    assert all({"name": "BOTH_FEEDS", "value": "true"} in container["env"] for container in after)


def test_a_foreign_container_of_the_same_name_is_refused() -> None:
    with pytest.raises(sidecars.Refusal, match=r"location \(image nginx\) is not the connector's"):
        added([{"name": "location", "image": "nginx"}], "sidecars")


def test_the_patch_touches_the_lists_alone_and_names_the_version_that_was_read() -> None:
    before = backstage(PROXY)

    patch = sidecars.patch_for(before, added([PROXY]), sidecars.app_configs_after(before, adding=True))
    after = merge_patch(before, patch)

    assert patch["metadata"] == {"resourceVersion": "7"}
    assert names(sidecars.at(after, sidecars.BACKSTAGE)) == ["oauth-proxy", "connector"]
    assert names(sidecars.at(after, sidecars.APP_CONFIGS)) == ["rhoai-connector-app-config", "app-config-rhdh"]
    after["spec"]["deployment"]["patch"]["spec"]["template"]["spec"]["containers"] = [PROXY]
    after["spec"]["application"]["appConfig"]["configMaps"].pop(0)
    assert after == before


@pytest.mark.parametrize("before", [backstage(), backstage(PROXY)], ids=["bare", "with a proxy"])
def test_removing_leaves_what_was_there_before(before: Object) -> None:
    present = sidecars.at(before, sidecars.BACKSTAGE, [])
    adding = sidecars.patch_for(before, added(present), sidecars.app_configs_after(before, adding=True))
    between = merge_patch(before, adding)
    kept = [c for c in sidecars.at(between, sidecars.BACKSTAGE) if not sidecars.is_ours(c)]

    removing = sidecars.patch_for(between, kept, sidecars.app_configs_after(between, adding=False))

    assert merge_patch(between, removing) == before
    assert sidecars.patch_for(before, kept, sidecars.app_configs_after(before, adding=False)) is None


def test_the_patch_for_deployments_appends() -> None:
    (operation,) = yaml.safe_load((ROOT / "kubernetes/sidecar.yaml").read_text(encoding="utf-8"))
    main = {"name": "backstage", "image": "x"}

    patched = json_patch({"spec": {"template": {"spec": {"containers": [main]}}}}, [operation])

    assert names(patched["spec"]["template"]["spec"]["containers"]) == ["backstage", "connector"]


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster(tls=True, resources=(BACKSTAGES, DEPLOYMENTS)) as cluster:
        cluster.add_namespace("ai-rhdh")
        yield cluster


@pytest.fixture
def kubectl(cluster: FakeCluster, tmp_path: Path) -> Kubectl:
    return Kubectl(tmp_path, cluster.kubeconfig(tmp_path / "config"))


def stored(cluster: FakeCluster) -> Object:
    found = cluster.get("Backstage", "ai-rhdh", "developer-hub")
    assert found is not None
    return found


TARGET = ("-n", "ai-rhdh", "backstage/developer-hub")


@needs_kubectl
@pytest.mark.parametrize("owned", [backstage(), backstage(PROXY)], ids=["bare", "with a proxy"])
async def test_what_client_side_apply_made_outlives_adding_and_removing(
    owned: Object, cluster: FakeCluster, kubectl: Kubectl
) -> None:
    """The usual way to make a Backstage resource, and the one that server-side apply has wiped."""
    await kubectl.apply(owned)
    before = stored(cluster)

    await kubectl.script("add", "connector", "--app-config", *TARGET)
    between = stored(cluster)
    assert names(sidecars.at(between, sidecars.BACKSTAGE))[-1] == "connector"
    assert sidecars.at(between, sidecars.APP_CONFIGS)[0] == {"name": "rhoai-connector-app-config"}
    await kubectl.script("add", "sidecars", *TARGET)
    await kubectl.script("remove", *TARGET)

    assert stored(cluster)["spec"] == before["spec"]
    assert "nothing to do" in await kubectl.script("remove", *TARGET)


@needs_kubectl
async def test_the_containers_stay_when_the_owner_applies_again(cluster: FakeCluster, kubectl: Kubectl) -> None:
    await kubectl.apply(backstage())
    assert "note:" not in await kubectl.script("add", "connector", *TARGET)

    await kubectl.apply(backstage(monitoring={"enabled": True}))

    after = stored(cluster)["spec"]
    assert names(after["deployment"]["patch"]["spec"]["template"]["spec"]["containers"]) == ["connector"]
    assert after["monitoring"] == {"enabled": True}
    assert after["database"] == backstage()["spec"]["database"]


@needs_kubectl
async def test_an_owner_whose_manifest_has_the_list_is_told_that_it_wins(
    cluster: FakeCluster, kubectl: Kubectl
) -> None:
    await kubectl.apply(backstage(PROXY))
    assert "the next kubectl apply would take them out" in await kubectl.script("add", "connector", *TARGET)

    changed = {**PROXY, "image": "registry.example.com/proxy:4"}
    await kubectl.apply(backstage(changed))

    assert sidecars.at(stored(cluster), sidecars.BACKSTAGE) == [changed]


@needs_kubectl
async def test_server_side_apply_would_wipe_what_client_side_apply_made(cluster: FakeCluster, kubectl: Kubectl) -> None:
    """Why the script exists: what the fake does here, kubectl and an API server did to a real resource."""
    await kubectl.apply(backstage())
    managers = [entry["manager"] for entry in stored(cluster)["metadata"]["managedFields"]]
    assert managers == ["kubectl-client-side-apply"]
    ours: Object = yaml.safe_load(PATCHES["connector"].read_text(encoding="utf-8"))
    identity = {key: value for key, value in backstage().items() if key != "spec"}

    await kubectl.apply(identity | ours, "--server-side", "--field-manager=rhoai-connector")

    assert stored(cluster)["spec"].keys() == {"deployment"}


@needs_kubectl
async def test_a_dry_run_prints_the_patch_and_changes_nothing(cluster: FakeCluster, kubectl: Kubectl) -> None:
    await kubectl.apply(backstage(PROXY))
    before = stored(cluster)

    said = await kubectl.script("add", "connector", "--dry-run", *TARGET)

    assert json.loads(said[said.index("{") : said.rindex("}") + 1])["metadata"]["resourceVersion"]
    assert stored(cluster) == before


@needs_kubectl
async def test_what_cannot_be_is_said_and_changes_nothing(cluster: FakeCluster, kubectl: Kubectl) -> None:
    await kubectl.apply(backstage({"name": "connector", "image": "kafka-connector"}))
    before = stored(cluster)
    cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "ai-rhdh"}})

    with pytest.raises(AssertionError, match=r"nothing was changed: .*connector \(image kafka-connector\)"):
        await kubectl.script("add", "connector", *TARGET)
    with pytest.raises(AssertionError, match=r'nothing was changed: .*"nowhere" not found'):
        await kubectl.script("add", "connector", "-n", "ai-rhdh", "backstage/nowhere")
    with pytest.raises(AssertionError, match=r"nothing was changed: ConfigMap has no containers"):
        await kubectl.script("remove", "-n", "ai-rhdh", "configmap/c")

    assert stored(cluster) == before


@needs_kubectl
async def test_a_deployment_gets_the_container_behind_its_own(cluster: FakeCluster, kubectl: Kubectl) -> None:
    main = {"name": "backstage", "image": "registry.example.com/backstage:1"}
    pod = {"containers": [main]}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "backstage", "namespace": "ai-rhdh"},
        "spec": {"template": {"metadata": {"labels": {"app": "backstage"}}, "spec": pod}},
    }
    before = cluster.apply(deployment)
    target = ("-n", "ai-rhdh", "deployment/backstage")

    await kubectl.script("add", "connector", "--registries", "kubeflow", "--env", "A=b=c", *target)
    between = cluster.get("Deployment", "ai-rhdh", "backstage")
    await kubectl.script("remove", *target)
    after = cluster.get("Deployment", "ai-rhdh", "backstage")

    assert between is not None
    assert names(between["spec"]["template"]["spec"]["containers"]) == ["backstage", "connector"]
    env = between["spec"]["template"]["spec"]["containers"][1]["env"]
    assert {"name": "A", "value": "b=c"} in env
    assert {"name": "MODEL_REGISTRY_NAMESPACES", "value": "kubeflow"} in env
    assert after is not None
    assert after["spec"] == before["spec"]


@needs_kubectl
async def test_the_patch_by_hand_is_enough_for_an_empty_list(cluster: FakeCluster, kubectl: Kubectl) -> None:
    await kubectl.apply(backstage())

    arguments = ("patch", "backstage", "developer-hub", "-n", "ai-rhdh", "--type", "merge")
    await kubectl(*arguments, "--patch-file", str(PATCHES["connector"]))

    assert sidecars.at(stored(cluster), sidecars.BACKSTAGE) == [TEMPLATES["connector"]]
    assert stored(cluster)["spec"]["application"] == backstage()["spec"]["application"]
