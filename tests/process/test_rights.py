"""What deploy/rbac grants is what the processes use: nothing is missing, nothing too much."""

from tests.deploy.kustomize import ROOT, render
from tests.deploy.rbac import Permission, granted
from tests.fakes.kubernetes import ProcessCluster
from tests.objects import isvc
from tests.process.conftest import USER
from tests.process.pod import NAMESPACE, STORAGE, Pod, isvc_uri


async def test_rights_used_are_rights_granted(pod: Pod, cluster: ProcessCluster):
    await cluster.apply(isvc("iris"))
    await pod.start()
    await pod.serving(isvc_uri("iris"))
    await cluster.delete("ConfigMap", NAMESPACE, "bac-import-model")
    await cluster.apply(isvc("wine"))
    await pod.serving(isvc_uri("iris"), isvc_uri("wine"))
    await pod.restart(STORAGE)

    used = {
        Permission(access.namespace, access.group, access.resource, access.verb)
        for access in await cluster.used()
        if access.user == USER
    }
    rights = granted(render(ROOT / "rbac" / "overlays" / "rhoai"))
    assert used - rights == set()
    assert {right for right in rights - used if right.verb != "get"} == set(), "get goes with list everywhere"
    assert not await cluster.denied()
