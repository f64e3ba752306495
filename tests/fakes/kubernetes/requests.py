"""What a request asks for: verb, type, namespace and name from the path; the form of the answer from Accept."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web

from tests.fakes.kubernetes import history
from tests.fakes.kubernetes.rbac import Access
from tests.fakes.kubernetes.resources import ResourceType
from tests.fakes.kubernetes.status import ApiError, bad_request

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "HEAD": "get"}
_SUBRESOURCES_OF_NAMESPACES = ("status", "finalize")


@dataclass(frozen=True, kw_only=True)
class RequestInfo:
    """A request for objects. `resource` is the plural as it stands in the path, installed or not."""

    verb: str
    group: str
    version: str
    namespace: str = ""
    resource: str = ""
    name: str = ""
    subresource: str = ""

    def access(self, user: str) -> Access:
        """What the user needs to be permitted."""
        return Access(user, self.verb, self.group, self.resource, self.subresource, self.namespace)


def parse(request: web.Request) -> RequestInfo | None:
    """The request's meaning, None when its path is not one of objects."""
    parts = [unquote(part) for part in request.rel_url.raw_path.strip("/").split("/")]
    if parts[0] == "api" and len(parts) > 2:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
        if len(rest) > 2 and rest[2] not in _SUBRESOURCES_OF_NAMESPACES:
            rest = rest[2:]
    resource, name, subresource = (*rest, "", "")[:3]
    return RequestInfo(
        verb=_verb(request, name),
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        name=name,
        subresource=subresource,
    )


def flag(query: Mapping[str, str], name: str) -> bool:
    """Whether a boolean parameter is set: as the server has it, by anything but 0 and false."""
    return query.get(name, "0").lower() not in ("0", "false")


def number(query: Mapping[str, str], name: str) -> int:
    """A parameter that is a whole number, 0 when it is absent or empty.

    Raises:
        ApiError: 400.
    """
    text = query.get(name, "") or "0"
    if not text.isdecimal():
        raise bad_request(f'{name}: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


def _verb(request: web.Request, name: str) -> str:
    if request.method == "GET":
        if name:
            return "get"
        return "watch" if flag(request.query, "watch") else "list"
    if request.method == "DELETE":
        return "delete" if name else "deletecollection"
    return _VERBS.get(request.method, request.method.lower())


@dataclass(frozen=True)
class View:
    """The form objects are answered in; `tag` tells encodings of the same event apart."""

    tag: str
    encode: history.Encode
    list_head: dict[str, str]
    encode_item: history.Encode


def view_for(accept: str, resource: ResourceType, version: str) -> View:
    """The first form of an Accept header that this server can give.

    Raises:
        ApiError: 406 when there is none (protobuf, tables alone).
    """
    for choice in (accept or "*/*").split(","):
        media_type, *parameters = [part.strip() for part in choice.split(";")]
        wanted = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media_type not in ("application/json", "application/*", "*/*"):
            continue
        if wanted.get("as", "").startswith("PartialObjectMetadata") and wanted.get("v") == "v1":
            return _PARTIAL
        if "as" not in wanted:
            head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version(version)}
            encode = history.full(resource, version)
            # Items of built-in types carry neither kind nor apiVersion.
            return View(version, encode, head, encode if resource.custom else lambda entry: entry.bare)
    raise ApiError(406, "only the following media types are accepted: application/json", "NotAcceptable")


_PARTIAL = View(
    "partial",
    history.partial,
    {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"},
    history.partial,
)
