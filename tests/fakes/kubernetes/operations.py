"""Reads and writes of objects, with the rules the API server has for each verb."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from tests.fakes.kubernetes import managers, status, validation
from tests.fakes.kubernetes.history import Entry, Key
from tests.fakes.kubernetes.resources import (
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACES,
    InstalledTypes,
    ResourceType,
)
from tests.fakes.kubernetes.selectors import Selector
from tests.fakes.kubernetes.store import Store

Body = dict[str, Any]
_SERVER_FIELDS = ("uid", "creationTimestamp", "generation", "deletionTimestamp", "namespace", "name")


class Operations:
    """The verbs, over one store. All of them take and return objects without apiVersion and kind."""

    def __init__(self, *, store: Store, types: InstalledTypes) -> None:
        self._store = store
        self._types = types

    def get(self, resource: ResourceType, key: Key) -> Entry:
        """The object.

        Raises:
            ApiError: 404.
        """
        entry = self._store.find(resource, key)
        if entry is None:
            raise status.not_found(resource, key[1])
        return entry

    def create(
        self, resource: ResourceType, namespace: str, body: Body, *, as_given: bool = False, manager: str = ""
    ) -> Entry:
        """Store a new object; `as_given` keeps a status, uid and creationTimestamp it comes with.

        In all writes, `manager` is who owns what is written; only custom resources tell, here.

        Raises:
            ApiError: 404 without its namespace, 409 when the name is taken, 422 when it breaks a rule.
        """
        metadata = dict(body["metadata"])
        name = metadata.get("name") or _generated(metadata)
        if not name:
            cause = status.Cause(
                "FieldValueRequired", "Required value: name or generateName is required", "metadata.name"
            )
            raise status.invalid(resource.group, resource.kind, "", [cause])
        if metadata.pop("resourceVersion", ""):
            raise status.ApiError(500, "resourceVersion should not be set on objects to be created", "")
        if namespace and self._store.find(NAMESPACES, ("", namespace)) is None:
            raise status.not_found(NAMESPACES, namespace)
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        given = metadata if as_given else {}
        metadata |= {
            "name": name,
            "uid": given.get("uid") or str(uuid.uuid4()),
            "creationTimestamp": given.get("creationTimestamp") or created,
        }
        if namespace:
            metadata["namespace"] = namespace
        if resource.custom:
            metadata["generation"] = 1
        stored = {"metadata": metadata, **{key: value for key, value in body.items() if key != "metadata"}}
        if resource.custom and resource.has_status and not as_given:
            stored.pop("status", None)
        _manage(resource, {}, stored, manager)
        validation.check(resource, stored)
        if self._store.find(resource, (namespace, name)) is not None:
            raise status.already_exists(resource, name)
        entry = self._store.put(resource, stored)
        self._installed(resource, entry)
        return entry

    def update(
        self, resource: ResourceType, key: Key, body: Body, *, subresource: str = "", manager: str = ""
    ) -> Entry:
        """Replace an object, or only its status.

        Raises:
            ApiError: 404, 409 for a stale resourceVersion, 422.
        """
        present = self.get(resource, key)
        if not body["metadata"].get("resourceVersion") and resource.custom:
            rule = "Invalid value: 0x0: must be specified for an update"
            cause = status.Cause("FieldValueInvalid", rule, "metadata.resourceVersion")
            raise status.invalid(resource.group, resource.kind, key[1], [cause])
        return self._replace(resource, present, body, subresource, manager)

    def patch(
        self,
        resource: ResourceType,
        key: Key,
        apply: Callable[[Body], Body],
        *,
        subresource: str = "",
        manager: str = "",
    ) -> Entry:
        """Replace an object by what `apply` makes of it; unchanged content leaves the resourceVersion alone.

        Raises:
            ApiError: 404, 409 when the patch names another resourceVersion, 422.
        """
        present = self.get(resource, key)
        try:
            body = {"metadata": None} | apply({**present.body})
            return self._replace(resource, present, body, subresource, manager)
        except validation.UndecodableError as error:
            rule = f"Invalid value: {error.message}"
            raise status.invalid("", "", "", [status.Cause("FieldValueInvalid", rule, "patch")]) from error

    def replace(self, resource: ResourceType, key: Key, body: Body) -> Entry:
        """Put an object as it is, status included, whatever the version stored."""
        present = self.get(resource, key)
        metadata = {name: value for name, value in body["metadata"].items() if name != "resourceVersion"}
        return self._replace(resource, present, {**body, "metadata": metadata}, None)

    def delete(self, resource: ResourceType, key: Key, preconditions: Mapping[str, str] | None = None) -> Entry | None:
        """Remove an object; one with finalizers is only marked, and returned.

        Raises:
            ApiError: 404, 409 when a precondition fails.
        """
        present = self.get(resource, key)
        metadata = present.body["metadata"]
        for field, title in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            wanted = (preconditions or {}).get(field)
            if wanted and wanted != metadata[field]:
                why = f"{title} in precondition: {wanted}, {title} in object meta: {metadata[field]}"
                raise status.conflict(resource, key[1], f"Precondition failed: {why}")
        if metadata.get("finalizers"):
            if metadata.get("deletionTimestamp"):
                return present
            marked = {**metadata, "deletionTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
            return self._store.put(resource, {**present.body, "metadata": marked})
        self._remove(resource, present)
        return None

    def delete_collection(self, resource: ResourceType, namespace: str, selector: Selector) -> list[Entry]:
        """Remove what is selected; returns what it removed or marked."""
        selected = [entry for entry in self._store.table(resource).now(namespace) if entry.selected_by(selector)]
        for entry in selected:
            self.delete(resource, entry.key)
        return selected

    def _replace(
        self, resource: ResourceType, present: Entry, body: Body, subresource: str | None, manager: str = ""
    ) -> Entry:
        """Store the new state; subresource None writes everything, "" all but status, "status" status alone."""
        validation.check_types(resource, body["metadata"])
        before, metadata = present.body["metadata"], dict(body["metadata"])
        name = present.key[1]
        if metadata.get("resourceVersion", before["resourceVersion"]) != before["resourceVersion"]:
            raise status.conflict(resource, name)
        if metadata.get("uid", before["uid"]) != before["uid"]:
            why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {before['uid']}"
            raise status.conflict(resource, name, why)
        if metadata.get("name", name) != name:
            message = f"the name of the object ({metadata['name']}) does not match the name on the URL ({name})"
            raise status.bad_request(message)
        metadata |= {field: before[field] for field in _SERVER_FIELDS if field in before}
        metadata["resourceVersion"] = before["resourceVersion"]
        stored = _merged_parts(resource, present.body, {**body, "metadata": metadata}, subresource)
        _manage(resource, present.body, stored, manager)
        if stored == present.body:
            return present
        if resource.custom and _specified(stored) != _specified(present.body):
            stored["metadata"] = {**stored["metadata"], "generation": before.get("generation", 1) + 1}
        validation.check(resource, stored)
        entry = self._store.put(resource, stored)
        if before.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._remove(resource, entry)
        else:
            self._installed(resource, entry)
        return entry

    def _installed(self, resource: ResourceType, entry: Entry) -> None:
        """Serve the type that a new CustomResourceDefinition defines."""
        if resource.key == CUSTOM_RESOURCE_DEFINITIONS.key and not self._store.rehearsing:
            self._types.add(ResourceType.defined_by(entry.body))

    def _remove(self, resource: ResourceType, entry: Entry) -> None:
        """Remove an object, and what cannot exist without it: a namespace's content, a definition's objects."""
        if resource.key == NAMESPACES.key:
            for kind in self._types:
                if kind.namespaced:
                    self._clear(kind, entry.key[1])
        if resource.key == CUSTOM_RESOURCE_DEFINITIONS.key:
            defined = ResourceType.defined_by(entry.body)
            self._store.drop(defined)
            self._types.discard(defined)
        self._store.remove(resource, entry.key)

    def _clear(self, resource: ResourceType, namespace: str) -> None:
        for entry in self._store.table(resource).now(namespace):
            self._store.remove(resource, entry.key)


def _generated(metadata: Mapping[str, Any]) -> str:
    prefix = str(metadata.get("generateName", ""))
    return prefix and prefix + "".join(secrets.choice("bcdfghjklmnpqrstvwxz2456789") for _ in range(5))


def _merged_parts(resource: ResourceType, before: Mapping[str, Any], after: Body, subresource: str | None) -> Body:
    """What a write changes of an object: with a status subresource, status and the rest are written apart."""
    if subresource is None or not resource.has_status:
        return after
    kept, source = (after, before) if subresource == "" else (dict(before), after)
    merged = {key: value for key, value in kept.items() if key != "status"}
    if subresource == "status":
        merged["metadata"] = before["metadata"] | {"resourceVersion": after["metadata"]["resourceVersion"]}
    return merged | ({"status": source["status"]} if "status" in source else {})


def _manage(resource: ResourceType, before: Mapping[str, Any], after: Body, manager: str) -> None:
    if resource.custom and manager:
        fields = managers.recorded(resource, before, after, manager)
        after["metadata"] = {**after["metadata"], "managedFields": fields}


def _specified(body: Mapping[str, Any]) -> dict[str, Any]:
    """What `generation` counts the changes of."""
    return {key: value for key, value in body.items() if key not in ("metadata", "status")}
