from pathlib import Path

import pytest
import yaml

from tests.deploy.kustomize import ROOT, Object, render
from tests.deploy.rbac import Permission, foreign_roles, granted

OVERLAYS = sorted((ROOT / "rbac/overlays").iterdir())
READ = ("get", "list", "watch")
READS = {
    Permission("", group, resource, verb)
    for group, resource in (("serving.kserve.io", "inferenceservices"), ("", "services"), ("", "serviceaccounts"))
    for verb in READ
}
ROUTES = {Permission("", "route.openshift.io", "routes", verb) for verb in READ}
CACHE = {Permission("ai-rhdh", "", "configmaps", verb) for verb in (*READ, "create", "patch")}
GATEWAYS = {
    Permission("", "gateway.networking.k8s.io", resource, verb)
    for resource in ("httproutes", "gateways")
    for verb in READ
}
DOCUMENTED = (
    READS
    | ROUTES
    | CACHE
    | {
        Permission("", "apiextensions.k8s.io", "customresourcedefinitions", "get"),
        Permission("ai-rhdh", "", "configmaps", "update"),
    }
)


OPTIONAL = (
    {
        Permission("", "serving.kserve.io", resource, verb)
        for resource in ("llminferenceservices", "servingruntimes", "clusterservingruntimes")
        for verb in READ
    }
    | {Permission("", "", "namespaces", verb) for verb in READ}
    | {Permission("", "", "secrets", "get"), Permission("", "", "pods", "list")}
    | {Permission("", "", "events", verb) for verb in ("create", "patch")}
)


def with_components(tmp_path: Path, *components: str) -> list[Object]:
    """The base with `components`, as an administrator's own kustomization would have them."""
    lines = [
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"resources: [{ROOT}/rbac/base]",
        f"components: [{', '.join(f'{ROOT}/rbac/components/{component}' for component in components)}]",
    ]
    (tmp_path / "kustomization.yaml").write_text("\n".join(lines), encoding="utf-8")
    return render(tmp_path)


def test_plain_kubernetes_grants_reading_models_and_keeping_the_cache() -> None:
    assert granted(render(ROOT / "kubernetes")) == READS | CACHE


@pytest.mark.parametrize(
    ("overlay", "namespace"), [("rhoai", "rhoai-model-registries"), ("odh", "odh-model-registries")]
)
def test_openshift_adds_routes_and_the_registries(overlay: str, namespace: str) -> None:
    objects = render(ROOT / "rbac/overlays" / overlay)

    assert granted(objects) == READS | ROUTES | CACHE
    assert {
        (o["kind"], o["metadata"]["namespace"]) for o in objects if o["metadata"].get("namespace") == namespace
    } == {("RoleBinding", namespace)}
    assert foreign_roles(objects) == {(namespace, "registry-user-modelregistry-public")}


def test_openshift_without_registries_needs_no_other_namespace() -> None:
    objects = render(ROOT / "rbac/overlays/openshift")

    assert granted(objects) == READS | ROUTES | CACHE
    assert {o["metadata"].get("namespace", "ai-rhdh") for o in objects} == {"ai-rhdh"}


def test_watched_namespaces_need_no_right_in_the_whole_cluster(tmp_path: Path) -> None:
    overlay = ROOT / "rbac/overlays/namespaced"
    objects = render(overlay)

    finding = {p for p in READS | ROUTES if p.resource in ("services", "routes")}
    assert granted(objects) == CACHE | {p._replace(namespace="models") for p in READS} | {
        p._replace(namespace="ai-rhdh") for p in finding
    }
    assert not {o["kind"] for o in objects} & {"ClusterRole", "ClusterRoleBinding"}

    registries = list(yaml.safe_load_all((overlay / "registries.yaml").read_text(encoding="utf-8")))
    assert granted(registries) == {p._replace(namespace="rhoai-model-registries") for p in finding}
    assert foreign_roles(registries) == {("rhoai-model-registries", "registry-user-modelregistry-public")}


def test_the_way_back_grants_exactly_what_is_documented(tmp_path: Path) -> None:
    assert granted(with_components(tmp_path, "openshift", "original")) == DOCUMENTED


def test_no_component_grants_more(tmp_path: Path) -> None:
    """What nothing uses is not offered either; tests/process/test_rights.py holds the rest to what is used."""
    every = sorted(path.name for path in (ROOT / "rbac/components").iterdir())

    assert granted(with_components(tmp_path, *every)) == DOCUMENTED | GATEWAYS | OPTIONAL


def test_what_is_optional_is_granted_by_its_own_component(tmp_path: Path) -> None:
    assert (
        granted(
            with_components(
                tmp_path, "llm-inference-services", "connections", "pods", "runtimes", "namespaces", "events"
            )
        )
        == READS | CACHE | OPTIONAL
    )


@pytest.mark.parametrize("overlay", ["kubernetes", *(f"rbac/overlays/{path.name}" for path in OVERLAYS)])
def test_no_default_grants_secrets_pods_or_deleting(overlay: str) -> None:
    permissions = granted(render(ROOT / overlay))

    assert not {p for p in permissions if p.resource in ("secrets", "pods") or p.verb in ("delete", "*") or "*" in p}
    assert {p.resource for p in permissions if p.verb not in READ} == {"configmaps"}


def test_a_further_cluster_grants_reading_models_and_nothing_else() -> None:
    objects = render(ROOT / "clusters/account")

    assert granted(objects) == READS | ROUTES
    assert {obj["kind"] for obj in objects} == {"ServiceAccount", "Secret", "ClusterRole", "ClusterRoleBinding"}
