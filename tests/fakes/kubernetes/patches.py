"""The patch formats: JSON merge patch (RFC 7386), JSON patch (RFC 6902), strategic merge patch of maps."""

import copy
from collections.abc import Callable
from typing import Any

from tests.fakes.kubernetes.resources import ResourceType
from tests.fakes.kubernetes.status import ApiError, bad_request

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def patcher(content_type: str, patch: Any, resource: ResourceType) -> Callable[[Any], Any]:
    """The function that applies a patch of a media type to an object; it makes a new one.

    Raises:
        ApiError: 400 for a patch of the wrong shape, 415; custom resources know no strategic merge patch.
    """
    functions: dict[str, Callable[[Any, Any], Any]] = {JSON: json_patch, MERGE: merge_patch}
    if not resource.custom:
        functions[STRATEGIC] = strategic_patch
    if content_type not in functions:
        accepted = ", ".join(functions)
        message = f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        raise ApiError(415, message)
    if content_type == JSON and not (isinstance(patch, list) and all(isinstance(item, dict) for item in patch)):
        raise bad_request("json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    if content_type != JSON and not isinstance(patch, dict):
        raise bad_request("json: cannot unmarshal array into Go value of type map[string]interface {}")
    return lambda target: functions[content_type](target, patch)


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply an RFC 7386 patch: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_patch(target: Any, patch: Any) -> Any:
    """Apply a strategic merge patch to maps; lists are replaced as if all of them were atomic."""
    if not isinstance(patch, dict):
        return patch
    directive = patch.get("$patch", "merge")
    changes = {key: value for key, value in patch.items() if not key.startswith("$")}
    if directive == "delete":
        return {}
    if directive == "replace" or not isinstance(target, dict):
        return merge_patch({}, changes)
    kept = patch.get("$retainKeys", target)
    merged = {key: value for key, value in target.items() if key in kept}
    for key, value in changes.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = strategic_patch(merged.get(key), value)
    return merged


def json_patch(target: Any, operations: list[dict[str, Any]]) -> Any:
    """Apply the operations of an RFC 6902 patch.

    Raises:
        ApiError: 422 when one of them cannot be applied.
    """
    document = {"": copy.deepcopy(target)}
    for operation in operations:
        try:
            _apply(document, operation)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            message = "the server rejected our request due to an error in our request"
            raise ApiError(422, message) from error
    return document[""]


def _apply(document: dict[str, Any], operation: dict[str, Any]) -> None:
    name = operation["op"]
    parent, key = _locate(document, operation["path"])
    if name == "test":
        if _read(parent, key) != operation["value"]:
            raise ValueError("test failed")
    elif name == "remove":
        _remove(parent, key)
    elif name == "replace":
        _read(parent, key)
        parent[_index(parent, key)] = operation["value"]
    elif name == "add":
        _add(parent, key, operation["value"])
    elif name in ("move", "copy"):
        source, source_key = _locate(document, operation["from"])
        value = copy.deepcopy(_read(source, source_key))
        if name == "move":
            _remove(source, source_key)
        _add(*_locate(document, operation["path"]), value)
    else:
        raise ValueError(f"unknown operation {name}")


def _locate(document: Any, pointer: str) -> tuple[Any, str]:
    """The container a JSON pointer ends in, and the last token."""
    *parents, last = [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")]
    container = document
    for token in parents:
        container = _read(container, token)
    return container, last


def _index(container: Any, key: str) -> Any:
    return int(key) if isinstance(container, list) else key


def _read(container: Any, key: str) -> Any:
    return container[_index(container, key)]


def _remove(container: Any, key: str) -> None:
    del container[_index(container, key)]


def _add(container: Any, key: str, value: Any) -> None:
    if isinstance(container, list):
        container.insert(len(container) if key == "-" else int(key), value)
    else:
        container[key] = value
