"""What a failed request to a server means, and what its administrator can do about it."""

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from common.faults import Fault, FaultKind
from common.http.client import NotTrusted, RemoteError, StatusError, TimedOut, Unreachable
from services.normalizer.sources.refs import ACCOUNT, SourceRef

_UNKNOWN_NAME = ("name or service not known", "nodename nor servname", "name resolution", "no address associated")


class BadAnswer(RemoteError):
    """An answer with 200 that is not what the API promises: `{}`, a login page, half a list."""


class Inconsistent(RemoteError):
    """Answers that contradict each other: something was deleted between them, or one of them is wrong."""


class TooLarge(RemoteError):
    """More came than is read of one server."""


def longest_wait(errors: Iterable[RemoteError]) -> float | None:
    """Return for how many seconds a server asks not to be asked again, None where it does not say."""
    waits = (error.retry_after for error in errors if isinstance(error, StatusError) and error.retry_after)
    return max(waits, default=None)


def fault_of(ref: SourceRef, error: RemoteError) -> Fault:
    """Return the fault that `error` shows, with the remedy for `ref`.

    What a server says of its own inner errors is not quoted: a registry whose database is away answers with the
    database's host, name and user.
    """
    match error:
        case StatusError():
            kind, remedy = _of_status(ref, error)
            reason = f"{error.url}: {error.status} {_phrase(error)}".rstrip()
            return Fault(kind=kind, reason=reason, remedy=remedy, url=ref.url)
        case Unreachable():
            kind, remedy = _of_transport(ref, error)
        case TooLarge():
            kind, remedy = "too-large", f"what was read is shown, and nothing of {ref.label} is removed: split it"
        case Inconsistent():
            kind = "inconsistent"
            remedy = f"none when it was just edited; if it lasts, look for a proxy or a replica before {ref.label}"
        case _:
            kind = "answer"
            remedy = f"what answers at {ref.url} is not the API, or a proxy before it asks for a login: {_ways(ref)}"
    return Fault(kind=kind, reason=str(error), remedy=remedy, url=ref.url)


def no_address(ref: SourceRef) -> Fault:
    """Return the fault of a server that exists and whose address is not known."""
    return Fault(
        kind="no-address",
        reason=f"{ref.origin} has no address",
        remedy="a Route needs a router that admits it (status.ingress), a Service a port named http… or https…",
    )


def internal(ref: SourceRef, error: Exception) -> Fault:
    """Return the fault of a server whose answers the connector failed to process: a defect of the connector."""
    return Fault(
        kind="internal",
        reason=f"{type(error).__name__} while {ref.label} was read",
        remedy="report it with the traceback in the log; it is tried again",
        url=ref.url,
    )


def _phrase(error: StatusError) -> str:
    """Return the reason in an answer, or the status's own phrase where the reason is about the server's internals."""
    if error.status < 500:
        return error.reason
    try:
        return HTTPStatus(error.status).phrase
    except ValueError:
        return ""


def _of_status(ref: SourceRef, error: StatusError) -> tuple[FaultKind, str]:
    if ref.api != "kubeflow" and (remedy := _of_credentials(ref, error.status)):
        return remedy
    match error.status:
        case 401:
            return "unauthorized", f"the token is not accepted by {ref.label}: {ref.settings.renewal}"
        case 403:
            return "forbidden", _role_binding(ref)
        case 404:
            starts = "one that starts answers so for a minute; if it lasts, there is " if ref.kind == "catalog" else ""
            return "absent", f"{starts}no model {ref.kind} API below {ref.url}: {_ways(ref)}"
        case 429:
            return "unavailable", f"{ref.label} limits how often it is asked: it is asked again later"
        case 502 | 503 | 504:
            return "unavailable", f"what {ref.label} needs does not answer: look at its pods and their database"
        case 500:
            return "error", f"{ref.label} answers so while its database is away: look at the database, then at its log"
        case status if 300 <= status < 400:
            return "answer", f"{ref.url} sends elsewhere, perhaps to a login page: {_ways(ref)}"
        case _:
            return "error", f"look at the log of {ref.label}"


def _of_credentials(ref: SourceRef, status: int) -> tuple[FaultKind, str] | None:
    """Return kind and remedy for a server that gets credentials of its own, None where the general ones apply."""
    files = f"{ref.name}.token, or {ref.name}.username and {ref.name}.password, in SERVER_CREDENTIALS_DIR"
    match status:
        case 401:
            return "unauthorized", f"{ref.label} wants credentials, or others than it is given: write them as {files}"
        case 403:
            needs = "read registered models, their versions and runs" if ref.api == "mlflow" else "list models"
            return "forbidden", f"let the account of {files} {needs}"
        case 404:
            return "absent", f"there is no API of {ref.label} below {ref.url}: {_ways(ref)}"
        case 500:
            return "error", f"look at the log of {ref.label}"
    return None


def _of_transport(ref: SourceRef, error: Unreachable) -> tuple[FaultKind, str]:
    host = urlsplit(ref.url).hostname
    if isinstance(error, NotTrusted):
        return "certificate", (
            f"name a file with the authority's certificate in {ref.settings.authority}, or, without any check, "
            f"{host} in MODEL_REGISTRY_INSECURE"
        )
    if any(words in error.cause.lower() for words in _UNKNOWN_NAME):
        return "dns", f"the name {host} is unknown here: check {ref.origin} and the DNS"
    if isinstance(error, TimedOut):
        return "timeout", f"{ref.label} hangs or is cut off: look at its pods and network"
    return "unreachable", f"is {ref.label} running, and may it be reached from here?"


def _role_binding(ref: SourceRef) -> str:
    if ref.kind == "catalog":
        where = f" in namespace {ref.namespace}" if ref.namespace else ""
        return f"let {ACCOUNT} read {ref.label}{where}: its operator binds a role to all accounts that are logged in"
    role = f"registry-user-{ref.name}" if ref.name else "registry-user-NAME, with the registry's name,"
    namespace = f"namespace {ref.namespace}" if ref.namespace else "the registry's namespace"
    return f"create a RoleBinding in {namespace}: role {role}, subject {ACCOUNT} (see registries.yaml in deploy/rbac)"


def _ways(ref: SourceRef) -> str:
    return f"the address comes from {ref.origin}"
