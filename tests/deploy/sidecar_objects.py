"""Objects that deploy/sidecars.py changes, and the script itself."""

import importlib.util
from typing import Any

import yaml

from tests.deploy.kubectl import SCRIPT
from tests.deploy.kustomize import ROOT, Object, containers_in

SPEC = importlib.util.spec_from_file_location("sidecars", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
sidecars = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(sidecars)

PATCHES = {variant: ROOT / "operator" / f"{variant}.yaml" for variant in sidecars.VARIANTS}
TEMPLATES = {
    container["name"]: container
    for file in PATCHES.values()
    for container in containers_in(yaml.safe_load(file.read_text(encoding="utf-8")))
}
PROXY = {"name": "oauth-proxy", "image": "registry.example.com/proxy:3", "args": ["--upstream=http://localhost:7007"]}


def backstage(*containers: Object, **spec: Any) -> Object:
    """A Backstage resource as customers have it; `spec` are fields in addition to those of every one."""
    fields: Object = {
        "application": {
            "appConfig": {"mountPath": "/opt/app-root/src", "configMaps": [{"name": "app-config-rhdh"}]},
            "dynamicPluginsConfigMapName": "dynamic-plugins-rhdh",
            "extraEnvs": {"secrets": [{"name": "secrets-rhdh"}]},
            "route": {"enabled": True},
        },
        "database": {"enableLocalDb": False, "authSecretName": "postgres"},
    }
    if containers:
        pod = {"volumes": [{"name": "own", "emptyDir": {}}], "containers": list(containers)}
        fields["deployment"] = {"patch": {"spec": {"replicas": 2, "template": {"spec": pod}}}}
    return {
        "apiVersion": "rhdh.redhat.com/v1alpha5",
        "kind": "Backstage",
        "metadata": {"name": "developer-hub", "namespace": "ai-rhdh", "resourceVersion": "7"},
        "spec": fields | spec,
    }


def added(present: list[Any], variant: str = "connector", **options: Any) -> list[Any]:
    result: list[Any] = sidecars.containers_after_adding(present, variant, TEMPLATES, **options)
    return result
