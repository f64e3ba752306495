"""Who owns which field of an object: metadata.managedFields, and server-side apply with its conflicts and its pruning.

As the API server does it for custom resources whose schema says nothing about lists: maps merge field by field, a list
is one field. `kubectl apply --server-side` on an object made by `kubectl apply` hands all fields of the manager
`kubectl-client-side-apply` to the new one (client-go, csaupgrade) and applies again. That removes whatever the
applied configuration does not name: seen with an API server 1.36.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.fakes.kubernetes.resources import ResourceType
from tests.fakes.kubernetes.status import ApiError

APPLY = "application/apply-patch+yaml"

Path = tuple[str, ...]
_UNOWNED = {("apiVersion",), ("kind",)} | {
    ("metadata", name)
    for name in ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")
}


def recorded(
    resource: ResourceType, before: Mapping[str, Any], after: Mapping[str, Any], manager: str
) -> list[dict[str, Any]]:
    """The managedFields after a create, update or patch: what it changed is the manager's alone."""
    entries = after["metadata"].get("managedFields") or before.get("metadata", {}).get("managedFields") or []
    old, new = leaves(before), leaves(after)
    changed = {path for path in new if path not in old or old[path] != new[path]}
    kept = [(entry, _decoded(entry) & new.keys() - changed) for entry in entries]
    mine = (manager, "Update")
    held = next((fields for entry, fields in kept if _identity(entry) == mine), set())
    result = [(entry, fields) for entry, fields in kept if _identity(entry) != mine]
    result.append((_entry(resource, *mine), held | changed))
    return _encoded(entries, result)


def applied(
    resource: ResourceType, before: Mapping[str, Any], config: Mapping[str, Any], manager: str, *, force: bool
) -> dict[str, Any]:
    """The object after a server-side apply of `config`.

    Raises:
        ApiError: 409 for fields that others own and that have another value, unless forced.
    """
    entries = before["metadata"].get("managedFields") or []
    old, wanted = leaves(before), leaves(config)
    mine = (manager, "Apply")
    others = [(entry, _decoded(entry)) for entry in entries if _identity(entry) != mine]
    conflicts = {
        path: entry["manager"]
        for path in wanted
        for entry, fields in others
        if path in fields and old.get(path) != wanted[path]
    }
    if conflicts and not force:
        raise _conflict(conflicts)
    former = next((_decoded(entry) for entry in entries if _identity(entry) == mine), set())
    owned = {path for _, fields in others for path in fields}
    after = copy.deepcopy(dict(before))
    for path in former - wanted.keys() - owned:
        _drop(after, path)
    for path, value in wanted.items():
        _put(after, path, value)
    kept = [(entry, fields - conflicts.keys()) for entry, fields in others]
    kept.append((_entry(resource, *mine), set(wanted)))
    after["metadata"] = {**after["metadata"], "managedFields": _encoded(entries, kept)}
    return after


def leaves(body: Any, path: Path = ()) -> dict[Path, Any]:
    """The fields that can be owned, with their values: everything but maps, and maps that are empty."""
    if path in _UNOWNED:
        return {}
    if not isinstance(body, dict) or (path and not body):
        return {path: body}
    return {leaf: value for key, item in body.items() for leaf, value in leaves(item, (*path, key)).items()}


def _identity(entry: Mapping[str, Any]) -> tuple[str, str]:
    return entry["manager"], entry["operation"]


def _entry(resource: ResourceType, manager: str, operation: str) -> dict[str, Any]:
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    head = {"manager": manager, "operation": operation, "apiVersion": resource.api_version(), "time": time}
    return head | {"fieldsType": "FieldsV1"}


def _encoded(before: list[dict[str, Any]], entries: Iterable[tuple[dict[str, Any], set[Path]]]) -> list[dict[str, Any]]:
    """The entries with their fields; those that own the same as before keep their time, those without fields go."""
    known = {_identity(entry): entry for entry in before}
    result = []
    for entry, fields in entries:
        encoded: dict[str, Any] = {}
        for path in sorted(fields):
            node = encoded
            for key in path:
                node = node.setdefault(f"f:{key}", {})
        former = known.get(_identity(entry))
        if fields:
            unchanged = former is not None and former["fieldsV1"] == encoded
            result.append(former if former is not None and unchanged else {**entry, "fieldsV1": encoded})
    return result


def _decoded(entry: Mapping[str, Any]) -> set[Path]:
    def walk(node: Mapping[str, Any], path: Path) -> Iterable[Path]:
        names = [name for name in node if name.startswith("f:")]
        if not names:
            yield path
        for name in names:
            yield from walk(node[name], (*path, name.removeprefix("f:")))

    return set(walk(entry["fieldsV1"], ()))


def _put(body: dict[str, Any], path: Path, value: Any) -> None:
    *way, last = path
    for key in way:
        body[key] = dict(body.get(key) or {})
        body = body[key]
    body[last] = value


def _drop(body: dict[str, Any], path: Path) -> None:
    """Remove a field, and the maps around it that are empty then."""
    nodes = [body]
    for key in path[:-1]:
        if not isinstance(nodes[-1].get(key), dict):
            return
        nodes.append(nodes[-1][key])
    for node, key in zip(reversed(nodes), reversed(path), strict=True):
        node.pop(key, None)
        if node:
            return


def _conflict(conflicts: Mapping[Path, str]) -> ApiError:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {json.dumps(manager)}",
            "field": "." + ".".join(path),
        }
        for path, manager in sorted(conflicts.items())
    ]
    count = f"{len(causes)} conflict{'s' * (len(causes) > 1)}"
    lines = ", ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    return ApiError(409, f"Apply failed with {count}: {lines}", "Conflict", {"causes": causes})
