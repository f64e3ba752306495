"""The errors of requests to the Kubernetes API, with what people can do about them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from common.faults import Fault, FaultKind
from common.http.errors import NoCredentials, NotTrusted, RemoteError, StatusError, Unreachable
from common.kube.resources import CONFIG_MAPS, PODS, SECRETS, Resource
from common.texts import parse_json

ROLE = "rhdh-rhoai-connector"
"""Name of the connector's ClusterRole and Role (deploy/rbac)."""


_OF_STATUS: Mapping[int, FaultKind] = {401: "unauthorized", 403: "forbidden", 404: "absent"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asked for; `verb` is a verb of RBAC: get, list, watch, create, patch."""

    verb: str
    resource: Resource
    namespace: str | None = None
    name: str | None = None

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource}{' ' + self.name if self.name else ''} {where}"


@dataclass(frozen=True, slots=True)
class Cause:
    """A cause in a Status, such as `FieldValueTooLong` of field `data`."""

    reason: str
    field: str
    message: str


class KubeError(RemoteError):
    """The API server's answer to a request that it refused.

    `status` is the HTTP status, `reason` the Kubernetes API's reason (`Expired`, `Invalid`, `AlreadyExists`), empty if
    the answer is not from the API server but, for example, from a proxy. `retry_after` is in seconds.
    """

    def __init__(
        self,
        asked: Asked,
        *,
        status: int,
        reason: str,
        message: str,
        causes: tuple[Cause, ...] = (),
        retry_after: float | None = None,
        remedy: str = "",
    ) -> None:
        super().__init__(f"cannot {asked}: {status} {message or reason}".rstrip())
        self.status = status
        self.reason = reason
        self.message = message
        self.causes = causes
        self.retry_after = retry_after
        self.remedy = remedy

    def caused_by(self, reason: str) -> bool:
        """Return whether the causes of the Status contain this reason."""
        return any(cause.reason == reason for cause in self.causes)


class GarbledAnswer(RemoteError):
    """An answer with a successful status that is not valid in the Kubernetes API."""


def from_answer(error: StatusError, asked: Asked, *, refused: str) -> KubeError:
    """Return the KubeError of a refused request; `refused` is the remedy for a 401."""
    try:
        body = parse_json(error.body)
    except ValueError:
        body = None
    if not isinstance(body, dict) or body.get("kind") != "Status":
        body = {"message": error.reason}
    return from_status({**body, "code": error.status}, asked, refused=refused, retry_after=error.retry_after)


def from_status(
    status: Mapping[str, Any], asked: Asked, *, refused: str, retry_after: float | None = None
) -> KubeError:
    """Return the KubeError of a Status object, such as the one in a watch's ERROR event."""
    given = status.get("details")
    details = given if isinstance(given, Mapping) else {}
    code = status.get("code")
    code = code if isinstance(code, int) else 500
    asked_for = details.get("retryAfterSeconds") if retry_after is None else retry_after
    return KubeError(
        asked,
        status=code,
        reason=str(status.get("reason") or ""),
        message=str(status.get("message") or ""),
        causes=_causes(details.get("causes")),
        retry_after=asked_for if isinstance(asked_for, int | float) else None,
        remedy=_remedy(code, asked, refused),
    )


def _causes(given: Any) -> tuple[Cause, ...]:
    return tuple(
        Cause(*(str(cause.get(name, "")) for name in ("reason", "field", "message")))
        for cause in (given if isinstance(given, list) else ())
        if isinstance(cause, Mapping)
    )


def fault_of(error: RemoteError) -> Fault:
    """Return the fault that an error of this package's requests shows; `absent`: the server has no such resource."""
    kind: FaultKind = "error"
    if isinstance(error, KubeError):
        kind = _OF_STATUS.get(error.status, "error")
    elif isinstance(error, NoCredentials):
        kind = "unauthorized"
    elif isinstance(error, Unreachable):
        kind = "unreachable"
    return Fault(kind=kind, reason=str(error), remedy=remedy_of(error))


def remedy_of(error: RemoteError) -> str:
    """Return what to do about a failed request to the Kubernetes API; empty if that is unknown."""
    if isinstance(error, KubeError | NoCredentials):
        return error.remedy
    if isinstance(error, NotTrusted):
        return (
            "the certificate of the API server is not signed by the given authority: give that of this API server, in "
            "ca.crt of the service account, in the kubeconfig, or in caFile of CLUSTERS_FILE"
        )
    if isinstance(error, Unreachable) and error.is_unknown_name:
        host = urlsplit(error.url).hostname
        return f"the name {host} is unknown here: correct the address of the API server, or the DNS of this machine"
    if isinstance(error, Unreachable) and not error.expects:
        return (
            "check that the API server runs, and that no network policy or firewall blocks the way to it; "
            "the connector keeps trying"
        )
    if isinstance(error, StatusError) and (error.status == 429 or error.status >= 500):
        return "the API server is overloaded, starting or being updated: wait a minute, and then look at its own state"
    return "correct the address of the API server: another program seems to answer there"


def _remedy(status: int, asked: Asked, refused: str) -> str:
    if status == 401:
        return refused
    if status == 403:
        return _missing_rule(asked)
    if status == 404 and not asked.name:
        if asked.resource.provided_by:
            return f"install {asked.resource.provided_by}, which provides {asked.resource}; no restart is needed then"
        if asked.namespace:
            return f"the namespace {asked.namespace} does not exist: create it, or correct its name in the settings"
        return "correct the address of the API server: what answers there is no Kubernetes API"
    return ""


def _missing_rule(asked: Asked) -> str:
    resource = asked.resource
    listed = asked.verb in ("get", "list", "watch") and resource not in (SECRETS, PODS)
    verbs = "get, list, watch" if listed else asked.verb
    rule = f'apiGroups ["{resource.group}"], resources [{resource.plural}], verbs [{verbs}]'
    if resource == CONFIG_MAPS:
        role = f"the Role {ROLE} in namespace {asked.namespace}"
    elif asked.namespace:
        role = f"the ClusterRole {ROLE}, or a Role in namespace {asked.namespace},"
    else:
        role = f"the ClusterRole {ROLE}"
    return f"{role} lacks a rule, or is not bound to the connector's service account; add or bind it: {rule}"
