"""Paths that tell what is served: versions, groups, types, and an OpenAPI document without schemas."""

from typing import Any

from tests.fakes.kubernetes.resources import InstalledTypes, ResourceType
from tests.fakes.kubernetes.status import PageNotFoundError

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_VERSION = {"major": "1", "minor": "32", "gitVersion": "v1.32.0", "platform": "linux/amd64"}


def answer(types: InstalledTypes, path: str) -> dict[str, Any] | str:
    """The document (or plain text) at a path.

    Raises:
        PageNotFoundError: when nothing is served there.
    """
    parts = path.strip("/").split("/")
    if path in ("/healthz", "/livez", "/readyz"):
        return "ok"
    if path == "/version":
        return _VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(types, name) for name in _groups(types)]}
    if path == "/openapi/v2":
        return {"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.32.0"}, "paths": {}}
    if path == "/openapi/v3":
        return {"paths": {}}
    if parts[0] == "api" and len(parts) == 2:
        return _resources(types, "", parts[1])
    if parts[0] == "apis" and len(parts) == 3:
        return _resources(types, parts[1], parts[2])
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in _groups(types):
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(types, parts[1])}
    raise PageNotFoundError


def _groups(types: InstalledTypes) -> list[str]:
    return sorted({resource.group for resource in types if resource.group})


def _group(types: InstalledTypes, name: str) -> dict[str, Any]:
    names = dict.fromkeys(version for resource in types if resource.group == name for version in resource.versions)
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in names]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resources(types: InstalledTypes, group: str, version: str) -> dict[str, Any]:
    served = [resource for resource in types if resource.group == group and version in resource.versions]
    if not served:
        raise PageNotFoundError
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/{version}" if group else version,
        "resources": [entry for resource in served for entry in _entries(resource)],
    }


def _entries(resource: ResourceType) -> list[dict[str, Any]]:
    entry = {
        "name": resource.plural,
        "singularName": resource.kind.lower(),
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _VERBS,
        "shortNames": list(resource.short_names),
    }
    if not resource.has_status:
        return [entry]
    return [
        entry,
        {**entry, "name": f"{resource.plural}/status", "verbs": ["get", "patch", "update"], "shortNames": []},
    ]
