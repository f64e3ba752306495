"""From what went wrong with a request to what somebody has to do about it."""

from urllib.parse import urlsplit

from common.http.client import RemoteError, StatusError, Unreachable
from services.normalizer.sources.refs import Fault, SourceRef

ROLE_BINDING = "rhdh-rhoai-dashboard-permissions"
_DEFAULT_NAMESPACE = "rhoai-model-registries"
_DEFAULT_REGISTRY = "modelregistry-public"
_UNKNOWN_NAME = ("name or service not known", "nodename nor servname", "name resolution", "no address associated")


class BadAnswer(RemoteError):
    """An answer with 200 that is not what the API promises: `{}`, a login page, half a list."""


class Inconsistent(RemoteError):
    """Answers that contradict each other: something was deleted between them, or one of them is wrong."""


def fault_of(ref: SourceRef, error: RemoteError) -> Fault:
    """Return the fault that `error` shows, with the remedy for `ref`."""
    match error:
        case StatusError():
            return _of_status(ref, error)
        case Unreachable():
            return _of_transport(ref, error)
        case Inconsistent():
            return Fault(
                kind="inconsistent",
                reason=str(error),
                remedy=f"none when it was just edited; if it lasts, look for a proxy or a replica before {ref.label}",
            )
        case _:
            return Fault(
                kind="answer",
                reason=str(error),
                remedy=f"what answers at {ref.url} is not the API, or a proxy before it asks for a login: {_ways(ref)}",
            )


def _of_status(ref: SourceRef, error: StatusError) -> Fault:
    match error.status:
        case 401 if not ref.trusted:
            return Fault(
                kind="unauthorized",
                reason=str(error),
                remedy=f"it asks for a token, which goes to trusted namespaces only: if {ref.origin} is a registry of "
                f"yours, name {ref.namespace} in MODEL_REGISTRY_NAMESPACES",
            )
        case 401:
            return Fault(
                kind="unauthorized",
                reason=str(error),
                remedy="the token is not accepted: renew the service account's Secret, or set KFMR_TOKEN",
            )
        case 403:
            return Fault(kind="forbidden", reason=str(error), remedy=_role_binding(ref))
        case 404:
            return Fault(
                kind="absent",
                reason=str(error),
                remedy=f"no model {ref.kind} API below {ref.url}: {_ways(ref)}",
            )
        case 502 | 503 | 504:
            return Fault(
                kind="unavailable",
                reason=str(error),
                remedy=f"the server answers, what it needs does not: look at the database behind {ref.label}",
            )
        case status if 300 <= status < 400:
            return Fault(
                kind="answer",
                reason=str(error),
                remedy=f"{ref.url} sends elsewhere, perhaps to a login page: {_ways(ref)}",
            )
        case _:
            return Fault(kind="error", reason=str(error), remedy=f"look at the log of {ref.label}")


def _of_transport(ref: SourceRef, error: Unreachable) -> Fault:
    cause = error.cause.lower()
    host = urlsplit(ref.url).hostname
    if "certificate" in cause:
        return Fault(
            kind="certificate",
            reason=str(error),
            remedy=f"name a file with the authority's certificate in MODEL_REGISTRY_CA_FILE, or, without any check, "
            f"{host} in MODEL_REGISTRY_INSECURE",
        )
    if any(words in cause for words in _UNKNOWN_NAME):
        return Fault(
            kind="dns", reason=str(error), remedy=f"the name {host} is unknown here: check {ref.origin} and the DNS"
        )
    if cause == "no answer in time":
        return Fault(
            kind="timeout", reason=str(error), remedy=f"{ref.label} hangs or is cut off: look at its pods and network"
        )
    return Fault(
        kind="unreachable", reason=str(error), remedy=f"is {ref.label} running, and may it be reached from here?"
    )


def _role_binding(ref: SourceRef) -> str:
    namespace = ref.namespace or _DEFAULT_NAMESPACE
    if ref.kind == "catalog":
        return f"let the connector's service account read the catalog in namespace {namespace}"
    role = f"registry-user-{ref.name or _DEFAULT_REGISTRY}"
    return (
        f"create the RoleBinding {ROLE_BINDING} in namespace {namespace}: role {role}, subject the group of the "
        "service accounts in the connector's namespace"
    )


def _ways(ref: SourceRef) -> str:
    return f"the address comes from {ref.origin}"
