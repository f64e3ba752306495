"""What a failed request to a server means, and what its administrator can do about it."""

from collections.abc import Iterable
from http import HTTPStatus
from urllib.parse import urlsplit

from common.faults import Fault, FaultKind
from common.http.errors import NoCredentials, NotTrusted, RemoteError, StatusError, TimedOut, Unreachable
from services.normalizer.sources.refs import ACCOUNT, SourceRef


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
        case NoCredentials():
            kind, remedy = "unauthorized", error.remedy
        case Unreachable():
            kind, remedy = _of_transport(ref, error)
        case TooLarge():
            kind = "too-large"
            remedy = f"divide {ref.label} into several: what was read of it is shown, and none of its models is removed"
        case Inconsistent():
            kind = "inconsistent"
            remedy = (
                f"nothing needs to be done if {ref.label} was just edited; if it lasts, check whether a proxy or a "
                "replica answers with old data"
            )
        case _:
            kind = "answer"
            remedy = f"{ref.url} is not the API, or a proxy in front of it asks for a login: {_correct(ref)}"
    return Fault(kind=kind, reason=str(error), remedy=remedy, url=ref.url)


def no_address(ref: SourceRef) -> Fault:
    """Return the fault of a server that exists and whose address is not known."""
    return Fault(
        kind="no-address",
        reason=f"{ref.origin} has no address",
        remedy="a Route needs a router that admits it and writes its status.ingress; a Service needs a port whose "
        "name begins with http or https",
    )


def internal(ref: SourceRef, error: Exception) -> Fault:
    """Return the fault of a server whose answers the connector failed to process: a defect of the connector."""
    return Fault(
        kind="internal",
        reason=f"an internal error ({type(error).__name__}) ended the reading of {ref.label}",
        remedy="please report it with the traceback in the log; the connector tries again",
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
    if error.expects:
        return "answer", _other_scheme(ref, error.expects)
    if ref.api != "kubeflow" and (remedy := _of_credentials(ref, error.status)):
        return remedy
    match error.status:
        case 401:
            return "unauthorized", f"{ref.label} does not accept the token: {ref.settings.renewal}"
        case 403:
            return "forbidden", _role_binding(ref)
        case 404:
            return "absent", _no_api(ref)
        case 429:
            return (
                "unavailable",
                f"nothing needs to be done: {ref.label} limits how often it is asked, and is asked again later",
            )
        case 502 | 503 | 504:
            return (
                "unavailable",
                f"check the pods of {ref.label} and its database: something that it needs does not answer",
            )
        case 500:
            return "error", f"check the database of {ref.label}, without which it answers so, and then its log"
        case status if 300 <= status < 400:
            return (
                "answer",
                "if that is a login page, a proxy in front of the API does not accept bearer tokens: name an address "
                f"of the API itself, such as its Service; the present one comes from {ref.origin}",
            )
        case _:
            return "error", f"look for the cause in the log of {ref.label}"


def _no_api(ref: SourceRef) -> str:
    root, path, _ = ref.url.partition("/api/model_")
    if path:
        return f"write {root} without /api in {ref.origin}: the connector adds the path of the API"
    starts = "; a catalog that is starting also answers so for a minute" if ref.kind == "catalog" else ""
    return f"there is no model {ref.kind} API below {ref.url}: {_correct(ref)}{starts}"


def _of_credentials(ref: SourceRef, status: int) -> tuple[FaultKind, str] | None:
    """Return kind and remedy for a server that gets credentials of its own, None where the general ones apply."""
    files = f"{ref.name}.token, or {ref.name}.username and {ref.name}.password, in the folder SERVER_CREDENTIALS_DIR"
    match status:
        case 401:
            return (
                "unauthorized",
                f"{ref.label} does not accept requests without valid credentials: write them as {files}",
            )
        case 403:
            needs = "read registered models, their versions and runs" if ref.api == "mlflow" else "list models"
            return "forbidden", f"allow the account whose credentials are in {files} to {needs}"
        case 404:
            return "absent", f"there is no API of {ref.label} below {ref.url}: {_correct(ref)}"
        case 500:
            return "error", f"look for the cause in the log of {ref.label}"
    return None


def _of_transport(ref: SourceRef, error: Unreachable) -> tuple[FaultKind, str]:
    host = urlsplit(ref.url).hostname
    if error.expects:
        return "unreachable", _other_scheme(ref, error.expects)
    if error.proxy:
        kind: FaultKind = "timeout" if isinstance(error, TimedOut) else "unreachable"
        return kind, (
            f"check the proxy {error.proxy}, which HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names; if {host} is to be "
            "reached without it, add the host to NO_PROXY"
        )
    if isinstance(error, NotTrusted):
        return "certificate", (
            f"set {ref.settings.authority} to a file with the certificate of its authority; or add {host} to "
            "MODEL_REGISTRY_INSECURE, so that its certificate is not checked"
        )
    if error.is_unknown_name:
        return (
            "dns",
            f"the name {host} is unknown here: check {ref.origin} and the DNS of the place where the connector runs",
        )
    if isinstance(error, TimedOut):
        return (
            "timeout",
            f"check the pods of {ref.label}, and whether a network policy or firewall blocks the way to it",
        )
    if error.cause.endswith("connection refused"):
        return (
            "unreachable",
            f"check that {ref.label} runs, and that its port is right in the address from {ref.origin}",
        )
    hint = "; if it expects TLS, its address must begin with https://" if ref.url.startswith("http:") else ""
    return "unreachable", f"check that {ref.label} runs, and that no network policy or firewall blocks the way{hint}"


def _other_scheme(ref: SourceRef, expected: str) -> str:
    written = urlsplit(ref.url).scheme
    return f"write {expected}:// instead of {written}:// in the address, which comes from {ref.origin}"


def _role_binding(ref: SourceRef) -> str:
    if ref.kind == "catalog":
        where = f" in namespace {ref.namespace}" if ref.namespace else ""
        return (
            f"allow {ACCOUNT} to read {ref.label}{where}, with a RoleBinding; its operator usually creates one for all "
            "accounts that are logged in"
        )
    role = f"registry-user-{ref.name}" if ref.name else "registry-user-NAME, with the registry's name,"
    namespace = f"namespace {ref.namespace}" if ref.namespace else "the registry's namespace"
    return (
        f"create a RoleBinding in {namespace} that gives the role {role} to {ACCOUNT}: registries.yaml in "
        "deploy/rbac/overlays has one"
    )


def _correct(ref: SourceRef) -> str:
    return f"correct the address, which comes from {ref.origin}"
