"""Paths that tell what is served: versions, groups, types, and an OpenAPI document without schemas."""

from typing import Any

from tests.fakes.kubernetes.resources import InstalledTypes, ResourceType
from tests.fakes.kubernetes.status import PageNotFoundError

_VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
_VERSION = {
    "major": "1",
    "minor": "32",
    "gitVersion": "v1.32.0",
    "gitCommit": "70d3cc986aa8221cd1dfb1121852688902d3bf53",
    "gitTreeState": "clean",
    "buildDate": "2024-12-11T17:59:15Z",
    "goVersion": "go1.23.3",
    "compiler": "gc",
    "platform": "linux/amd64",
}


def answer(types: InstalledTypes, path: str) -> dict[str, Any] | str:
    """The document (or plain text) at a path.

    Raises:
        PageNotFoundError: when nothing is served there.
    """
    if path in ("/healthz", "/livez", "/readyz"):
        return "ok"
    if path in ("/version", "/api", "/apis"):
        return _root(types, path)
    if path.startswith("/openapi/"):
        return _openapi(types, path.removeprefix("/openapi"))
    match path.strip("/").split("/"):
        case ["api", version]:
            return _resources(types, "", version)
        case ["apis", group] if group in _groups(types):
            return {"kind": "APIGroup", "apiVersion": "v1", **_group(types, group)}
        case ["apis", group, version]:
            return _resources(types, group, version)
    raise PageNotFoundError


def _root(types: InstalledTypes, path: str) -> dict[str, Any]:
    if path == "/version":
        return _VERSION
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(types, name) for name in _groups(types)]}


def _groups(types: InstalledTypes) -> list[str]:
    return sorted({resource.group for resource in types if resource.group})


def _group(types: InstalledTypes, name: str) -> dict[str, Any]:
    names = dict.fromkeys(version for resource in types if resource.group == name for version in resource.versions)
    versions = [{"groupVersion": f"{name}/{version}", "version": version} for version in names]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _group_paths(types: InstalledTypes) -> list[str]:
    served = {(resource.group, resource.api_version(version)) for resource in types for version in resource.versions}
    return sorted(f"/apis/{name}" if group else f"/api/{name}" for group, name in served)


def _openapi(types: InstalledTypes, path: str) -> dict[str, Any]:
    """What kubectl looks for before it applies: whether the server itself validates fields."""
    if path == "/v3":
        return {"paths": {name[1:]: {"serverRelativeURL": f"/openapi/v3{name}"} for name in _group_paths(types)}}
    group_path = path.removeprefix("/v3")
    if group_path not in _group_paths(types):
        raise PageNotFoundError
    paths = {}
    for resource in types:
        for version in resource.versions:
            name = resource.api_version(version)
            if group_path.split("/", 2)[2] == name:
                kind = {"group": resource.group, "version": version, "kind": resource.kind}
                parameters = [{"name": "fieldValidation", "in": "query"}]
                patch = {"parameters": parameters, "x-kubernetes-group-version-kind": kind}
                paths[f"{group_path}/{resource.plural}/{{name}}"] = {"patch": patch}
    return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.32.0"}, "paths": paths}


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
