"""Errors as the Kubernetes API server words them: Status objects.

The wording follows k8s.io/apimachinery `api/errors`; clients match on `reason` and `details`, people read `message`.
"""

from dataclasses import dataclass, field
from typing import Any

from tests.fakes.kubernetes.resources import ResourceType

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    406: "NotAcceptable",
    409: "Conflict",
    410: "Expired",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class PageNotFoundError(Exception):
    """No handler is installed for the path: the server answers in plain text, not with a Status."""


@dataclass(frozen=True)
class Cause:
    """One fault of an Invalid object: `reason` such as FieldValueInvalid, and the field's path."""

    reason: str
    message: str
    field: str


@dataclass
class ApiError(Exception):
    """A request the API server refuses; `status()` is the body of its answer."""

    code: int
    message: str
    reason: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    continue_token: str = ""

    def __str__(self) -> str:
        return f"{self.code} {self.message}"

    def status(self) -> dict[str, Any]:
        """The Status object of the answer."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": self.continue_token} if self.continue_token else {},
            "status": "Failure",
            "message": self.message,
            "reason": REASONS.get(self.code, "") if self.reason is None else self.reason,
            "details": self.details,
            "code": self.code,
        }
        return {name: value for name, value in status.items() if value or name == "metadata"}


def not_found(resource: ResourceType, name: str) -> ApiError:
    """404 for an object that does not exist."""
    return ApiError(404, f'{resource.qualified} "{name}" not found', details=_details(resource, name))


def already_exists(resource: ResourceType, name: str) -> ApiError:
    """409 for a create of a name that is taken."""
    message = f'{resource.qualified} "{name}" already exists'
    return ApiError(409, message, "AlreadyExists", _details(resource, name))


def conflict(resource: ResourceType, name: str, why: str = "") -> ApiError:
    """409 for a write that carries a stale resourceVersion or a failed precondition."""
    why = why or "the object has been modified; please apply your changes to the latest version and try again"
    message = f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}'
    return ApiError(409, message, details=_details(resource, name))


def invalid(group: str, kind: str, name: str, causes: list[Cause]) -> ApiError:
    """422 for an object that breaks a rule of its kind."""
    faults = [f"{cause.field}: {cause.message}" for cause in causes]
    text = faults[0] if len(faults) == 1 else f"[{', '.join(faults)}]"
    subject = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name, "group": group, "kind": kind}
    details["causes"] = [vars(cause) for cause in causes]
    details = {key: value for key, value in details.items() if value}
    return ApiError(422, f'{subject} "{name}" is invalid: {text}', details=details)


def bad_request(message: str) -> ApiError:
    """400 for a request that cannot be understood."""
    return ApiError(400, message)


def expired(message: str, continue_token: str = "") -> ApiError:
    """410 for a resourceVersion or continue token that was compacted away."""
    return ApiError(410, message, "Expired", continue_token=continue_token)


def too_old(requested: int, oldest: int) -> ApiError:
    """410 of the watch cache."""
    return expired(f"too old resource version: {requested} ({oldest})")


def too_large_version(requested: int, current: int) -> ApiError:
    """504 for a resourceVersion this server has not seen yet."""
    message = f"Too large resource version: {requested}, current: {current}"
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    return ApiError(504, f"Timeout: {message}", "Timeout", {"causes": [cause], "retryAfterSeconds": 1})


def of_code(code: int, message: str = "", retry_after: int | None = None) -> ApiError:
    """A Status for any code, as a fault on command needs it."""
    details = {} if retry_after is None else {"retryAfterSeconds": retry_after}
    return ApiError(code, message or f"fault on command: {REASONS.get(code, code)}", details=details)


def success(resource: ResourceType, name: str, uid: str) -> dict[str, Any]:
    """The Status a finished delete is answered with."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": _details(resource, name) | {"uid": uid},
    }


def _details(resource: ResourceType, name: str) -> dict[str, Any]:
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}
