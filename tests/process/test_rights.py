"""What deploy/rbac grants is what the processes use: nothing is missing, nothing too much."""

import pytest
import yaml

from tests.deploy.kustomize import ROOT, render
from tests.deploy.rbac import Permission, granted
from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.conftest import TOKEN, USER, MakePod, rules_of
from tests.process.pod import NAMESPACE, STORAGE, Pod, isvc_uri

OVERLAYS = ROOT / "rbac" / "overlays"


async def used_by(cluster: ProcessCluster) -> set[Permission]:
    """What the connector's account asked for."""
    return {
        Permission(access.namespace, access.group, access.resource, access.verb)
        for access in await cluster.used()
        if access.user == USER
    }


async def live(pod: Pod, cluster: ProcessCluster) -> None:
    """Let the pod do all that it does with a cluster."""
    await cluster.apply(isvc("iris"))
    await pod.start()
    await pod.serving(isvc_uri("iris"))
    await cluster.delete("ConfigMap", NAMESPACE, "bac-import-model")
    await cluster.apply(isvc("wine"))
    await pod.serving(isvc_uri("iris"), isvc_uri("wine"))
    await pod.restart(STORAGE)


async def test_rights_used_are_rights_granted(pod: Pod, cluster: ProcessCluster) -> None:
    await live(pod, cluster)

    used, rights = await used_by(cluster), granted(render(OVERLAYS / "rhoai"))
    assert used - rights == set()
    assert {right for right in rights - used if right.verb != "get"} == set(), "get goes with list everywhere"
    assert not await cluster.denied()


@pytest.mark.parametrize("registries", ["rhoai-model-registries", NAMESPACE], ids=["registries", "no-registries"])
async def test_for_watched_namespaces_rights_there_are_enough(
    registries: str, make_pod: MakePod, cluster: ProcessCluster
) -> None:
    more = (OVERLAYS / "namespaced" / "registries.yaml").read_text() if registries != NAMESPACE else ""
    rights = granted([*render(OVERLAYS / "namespaced"), *yaml.safe_load_all(more)])
    await cluster.grant(TOKEN, USER, rules_of(rights))

    async with make_pod(overrides={"WATCH_NAMESPACES": "models", "MODEL_REGISTRY_NAMESPACES": registries}) as pod:
        await live(pod, cluster)

    used = await used_by(cluster)
    assert used - rights == set()
    assert {right for right in rights - used if right.verb != "get"} == set(), "get goes with list everywhere"
    assert not await cluster.denied()
