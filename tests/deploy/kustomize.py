"""The part of kustomize that deploy/ keeps to, in Python: it renders on machines that have no kubectl.

What is not understood raises, so that nothing in a kustomization is silently left out. Where kubectl is installed, a
test holds this rendering against its.
"""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

ROOT = Path(__file__).parents[2] / "deploy"
_FIELDS = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "components",
    "patches",
    "images",
    "configMapGenerator",
    "generatorOptions",
}


def render(directory: Path) -> list[Object]:
    """The objects that `kubectl apply -k directory` would apply; their order is not kubectl's.

    Raises:
        ValueError: naming what this module does not understand.
    """
    return _customize(directory, [])


def key(obj: Object) -> tuple[str, str, str]:
    """Kind, namespace and name: what tells one object of a rendering from another."""
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def directories() -> list[Path]:
    """Every directory of deploy/ that can be applied by itself."""
    return sorted(path.parent for path in ROOT.rglob("kustomization.yaml") if _load(path)["kind"] == "Kustomization")


def containers_in(node: Any) -> Iterator[Object]:
    """Every container of a pod template anywhere below `node`."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "containers" and isinstance(value, list):
                yield from value
            else:
                yield from containers_in(value)
    elif isinstance(node, list):
        for item in node:
            yield from containers_in(item)


def _customize(directory: Path, inherited: list[Object]) -> list[Object]:
    spec = _load(directory / "kustomization.yaml")
    if unknown := spec.keys() - _FIELDS:
        raise ValueError(f"{directory}: fields that the renderer does not know: {sorted(unknown)}")
    objects = list(inherited)
    for resource in spec.get("resources", []):
        path = directory / resource
        objects += _customize(path, []) if path.is_dir() else _documents(path)
    objects += [_config_map(directory, spec, entry) for entry in spec.get("configMapGenerator", [])]
    for component in spec.get("components", []):
        objects = _customize(directory / component, objects)
    for patch in spec.get("patches", []):
        _patch(objects, patch)
    for image in spec.get("images", []):
        for container in containers_in(objects):
            _retag(container, image)
    if "namespace" in spec:
        for obj in objects:
            obj["metadata"]["namespace"] = spec["namespace"]
    return objects


def _config_map(directory: Path, spec: Object, entry: Object) -> Object:
    options = spec.get("generatorOptions", {}) | entry.get("options", {})
    if not options.get("disableNameSuffixHash"):
        raise ValueError(f"{directory}: {entry['name']} would get a hash in its name")
    metadata = {"name": entry["name"]}
    if "namespace" in entry:
        metadata["namespace"] = entry["namespace"]
    if "labels" in options:
        metadata["labels"] = options["labels"]
    files = {name: (directory / name).read_text(encoding="utf-8") for name in entry["files"]}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": files}


def _patch(objects: list[Object], patch: Object) -> None:
    target = patch["target"]
    chosen = [o for o in objects if o["kind"] == target["kind"] and o["metadata"]["name"] == target["name"]]
    if not chosen:
        raise ValueError(f"a patch has no target {target}")
    for obj in chosen:
        for operation in yaml.safe_load(patch["patch"]):
            _add(obj, operation)


def _add(obj: Object, operation: Object) -> None:
    *way, last = operation["path"].lstrip("/").split("/")
    if operation["op"] != "add" or last != "-":
        raise ValueError(f"the renderer knows only patches that append to a list, not {operation}")
    node: Any = obj
    for step in way:
        node = node[int(step) if isinstance(node, list) else step]
    node.append(copy.deepcopy(operation["value"]))


def _retag(container: Object, image: Object) -> None:
    name, _, tag = container["image"].rpartition(":")
    if name == image["name"]:
        container["image"] = f"{image.get('newName', name)}:{image.get('newTag', tag)}"


def _documents(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def _load(path: Path) -> Object:
    (document,) = _documents(path)
    return document
