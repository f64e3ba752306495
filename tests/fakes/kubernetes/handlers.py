"""The verbs as HTTP handlers: bodies in, objects, pages and Status objects out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from tests.fakes.kubernetes import lists, managers, patches, selectors, status, validation
from tests.fakes.kubernetes.history import Entry, dump
from tests.fakes.kubernetes.operations import Operations
from tests.fakes.kubernetes.requests import RequestInfo, View, view_for
from tests.fakes.kubernetes.resources import InstalledTypes, ResourceType
from tests.fakes.kubernetes.store import Store

MAX_REQUEST_BYTES = 3_145_728


@dataclass(frozen=True)
class Call:
    """A permitted request for objects of an installed type."""

    info: RequestInfo
    resource: ResourceType
    view: View
    query: Any
    content_type: str
    body: bytes
    manager: str = ""
    """Who writes: the parameter fieldManager, else the client's name."""

    @property
    def namespace(self) -> str:
        """The namespace of the object; empty for types without."""
        return self.info.namespace if self.resource.namespaced else ""

    @property
    def key(self) -> tuple[str, str]:
        """The object asked for."""
        return self.namespace, self.info.name


Verb = Callable[[Call], web.Response]


class Handlers:
    """Answers calls from the store; `present_size` tells what a call will cost."""

    def __init__(self, *, store: Store, types: InstalledTypes, operations: Operations) -> None:
        self._store = store
        self._types = types
        self._operations = operations
        self._verbs: dict[str, Verb] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "update": self._update,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_collection,
        }

    def resolve(self, info: RequestInfo) -> ResourceType:
        """The installed type of a request.

        Raises:
            PageNotFoundError: when the group, version, type or subresource is not served.
        """
        resource = self._types.find(info.group, info.version, info.resource)
        if resource is None or (info.subresource and not (info.subresource == "status" and resource.has_status)):
            raise status.PageNotFoundError
        if (info.namespace and not resource.namespaced and info.resource != "namespaces") or (
            info.name and resource.namespaced and not info.namespace
        ):
            raise status.PageNotFoundError
        return resource

    def call(self, request: web.Request, info: RequestInfo, body: bytes) -> Call:
        """The request as the verbs take it.

        Raises:
            PageNotFoundError: see `resolve`.
            ApiError: 406.
        """
        resource = self.resolve(info)
        view = view_for(request.headers.get("Accept", ""), resource, info.version)
        client = request.headers.get("User-Agent", "").partition("/")[0]
        manager = request.query.get("fieldManager", client)
        return Call(info, resource, view, request.query, request.content_type, body, manager)

    def answer(self, call: Call) -> web.Response:
        """Carry out a call.

        Raises:
            ApiError: when it is refused.
        """
        handler = self._verbs.get(call.info.verb)
        if handler is None:
            message = "the server does not allow this method on the requested resource"
            raise status.ApiError(405, message)
        self._store.rehearsing = _is_dry_run(call)
        try:
            return handler(call)
        finally:
            self._store.rehearsing = False

    def present_size(self, call: Call) -> int:
        """Bytes of the objects that a call is about: what is stored or what is sent, the larger."""
        if call.info.verb == "list":
            entries = self._store.table(call.resource).now(call.namespace)
            return sum(len(entry.bare) for entry in entries)
        entry = self._store.find(call.resource, call.key)
        return max(len(entry.bare) if entry else 0, len(call.body))

    def _get(self, call: Call) -> web.Response:
        return self._answer(call, self._operations.get(call.resource, call.key))

    def _list(self, call: Call) -> web.Response:
        page = lists.read(self._store, call.resource, call.namespace, call.query)
        return json_response(page.encode(call.view))

    def _create(self, call: Call) -> web.Response:
        if call.info.name or (call.resource.namespaced and not call.namespace):
            raise status.ApiError(405, "the server does not allow this method on the requested resource")
        body = _object_of(call)
        entry = self._operations.create(call.resource, call.namespace, body, manager=call.manager)
        return self._answer(call, entry, code=201)

    def _update(self, call: Call) -> web.Response:
        body = _object_of(call)
        how = {"subresource": call.info.subresource, "manager": call.manager}
        return self._answer(call, self._operations.update(call.resource, call.key, body, **how))

    def _patch(self, call: Call) -> web.Response:
        if call.content_type == managers.APPLY:
            return self._apply(call)
        patch = patches.patcher(call.content_type, _json(call.body), call.resource)
        kind = {"kind": call.resource.kind, "apiVersion": call.resource.api_version(call.info.version)}

        def apply(body: dict[str, Any]) -> dict[str, Any]:
            patched = patch({**kind, **body})
            return {key: value for key, value in patched.items() if key not in kind}

        how = {"subresource": call.info.subresource, "manager": call.manager}
        return self._answer(call, self._operations.patch(call.resource, call.key, apply, **how))

    def _apply(self, call: Call) -> web.Response:
        """Server-side apply, of custom resources that exist."""
        if not call.resource.custom:
            raise status.ApiError(415, f"this server knows no server-side apply of {call.resource.qualified}")
        config = yaml.safe_load(call.body)
        force = call.query.get("force") == "true"

        def apply(body: dict[str, Any]) -> dict[str, Any]:
            return managers.applied(call.resource, body, config, call.manager, force=force)

        return self._answer(call, self._operations.patch(call.resource, call.key, apply))

    def _delete(self, call: Call) -> web.Response:
        options = _json(call.body) if call.body else {}
        entry = self._operations.get(call.resource, call.key)
        marked = self._operations.delete(call.resource, call.key, options.get("preconditions"))
        if marked is not None:
            return self._answer(call, marked)
        return json_response(dump(status.success(call.resource, call.info.name, entry.body["metadata"]["uid"])))

    def _delete_collection(self, call: Call) -> web.Response:
        query = call.query
        selector = selectors.parse(
            query.get("labelSelector", ""), query.get("fieldSelector", ""), call.resource.selectable
        )
        removed = self._operations.delete_collection(call.resource, call.namespace, selector)
        return json_response(lists.Page(removed, self._store.revision).encode(call.view))

    def _answer(self, call: Call, entry: Entry, *, code: int = 200) -> web.Response:
        return json_response(call.view.encode(entry) + b"\n", code)


def _is_dry_run(call: Call) -> bool:
    """Whether the server only says what it would do; of deletions this one cannot."""
    given = call.query.getall("dryRun", [])
    if not given:
        return False
    if given != ["All"]:
        raise status.bad_request(f'invalid dryRun: Unsupported value: "{given[-1]}": supported values: "All"')
    if call.info.verb not in ("create", "update", "patch"):
        raise status.bad_request("this server has no dryRun of deletions: the request would change its objects")
    return True


def json_response(body: bytes, code: int = 200) -> web.Response:
    """An answer of encoded JSON."""
    return web.Response(body=body, status=code, content_type="application/json")


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise status.bad_request(f"error decoding the body: {error}") from error


def _object_of(call: Call) -> dict[str, Any]:
    """The object in the body, without apiVersion and kind, which must be those of the path."""
    if call.content_type not in ("application/json", "application/octet-stream"):
        message = "the body of the request was in an unknown format - accepted media types include: application/json"
        raise status.ApiError(415, message)
    body = _json(call.body)
    if not isinstance(body, dict):
        raise status.bad_request("couldn't get version/kind; json parse error: the body is no object")
    expected = {"kind": call.resource.kind, "apiVersion": call.resource.api_version(call.info.version)}
    for field, wanted in expected.items():
        if call.resource.custom and field not in body:
            raise status.bad_request(f"Object '{field.capitalize()}' is missing in the body")
        if body.get(field, wanted) != wanted:
            message = f"the {field} in the data ({body[field]}) does not match the expected {field} ({wanted})"
            raise status.bad_request(message)
    metadata = body.get("metadata") or {}
    validation.check_types(call.resource, metadata)
    if call.namespace and metadata.get("namespace", call.namespace) != call.namespace:
        raise status.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return {**{key: value for key, value in body.items() if key not in expected}, "metadata": metadata}
