"""Asks the other two services for their status: over HTTP in the pod, by a call in one process."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from common import NORMALIZER, STORAGE
from common.http.client import UNKNOWN_PATH, HttpClient
from common.http.errors import RemoteError, StatusError, Unreachable
from common.status import NormalizerStatus, StatusModel, StorageStatus

T = TypeVar("T", bound=StatusModel)

"""The names of the containers."""
TIMEOUT = 3.0
"""Seconds that a service has to answer: a person waits for the page."""
_NOT_ALLOWED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The answer of a service; without `status`, `fault` says why and what to do.

    `older`: it runs but does not know the request, because it is the original or an older version.
    """

    name: str
    url: str
    status: T | None = None
    fault: str = ""
    older: bool = False


Ask = Callable[[], Awaitable[Answer[T]]]
"""Asks a service for its status; never raises."""


def _unconfigured(name: str, form: type[T]) -> Ask[T]:
    async def ask() -> Answer[T]:
        return Answer(name, "", fault="its address is not configured")

    return ask


@dataclass(frozen=True, slots=True)
class Neighbours:
    """How to ask the other two services."""

    normalizer: Ask[NormalizerStatus] = field(default_factory=lambda: _unconfigured(NORMALIZER, NormalizerStatus))
    storage: Ask[StorageStatus] = field(default_factory=lambda: _unconfigured(STORAGE, StorageStatus))


def over_http(client: HttpClient, form: type[T]) -> Ask[T]:
    """Return a function that asks the service at `client`."""

    async def ask() -> Answer[T]:
        try:
            answer = await client.request("GET", "/status", timeout=TIMEOUT, attempts=1)
            return Answer(client.name, client.base_url, form.model_validate_json(answer.body))
        except ValidationError:
            fault = "its answer cannot be read: use the same version for all three containers"
            return Answer(client.name, client.base_url, fault=fault)
        except RemoteError as error:
            older = isinstance(error, StatusError) and error.status in UNKNOWN_PATH
            return Answer(client.name, client.base_url, fault=_fault(client.name, error), older=older)

    return ask


def in_process(name: str, status: Callable[[], T]) -> Ask[T]:
    """Return a function that asks a service in the same process."""

    async def ask() -> Answer[T]:
        return Answer(name, "", status())

    return ask


def _fault(name: str, error: RemoteError) -> str:
    match error:
        case StatusError(status=status) if status in UNKNOWN_PATH:
            return "it has no /status: it is the original connector's, or an older version"
        case StatusError(status=status) if status in _NOT_ALLOWED:
            return f"it rejects our token (HTTP {status}): give both containers the same token"
        case Unreachable(cause=cause):
            return f"it does not answer ({cause}): see the log of the container {name} and check this address"
    return str(error)
