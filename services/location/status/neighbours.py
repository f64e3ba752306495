"""The other two services, asked how they are: over HTTP in the pod, by a call in one process."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import ValidationError

from common.http.client import HttpClient, RemoteError, StatusError, Unreachable
from common.status import NormalizerStatus, Part, StorageStatus

T = TypeVar("T", bound=Part)

NORMALIZER = "rhoai-normalizer"
STORAGE = "storage-rest"
"""The names of the containers."""
TIMEOUT = 3.0
"""Seconds that a neighbour has to answer: a person waits for the page."""
_UNKNOWN_PATH = frozenset({404, 405, 501})
_NOT_ALLOWED = frozenset({401, 403})


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """What a neighbour said; without `status` the `fault` says why not and what to do.

    `older`: it runs and knows no such request, because it is the original's.
    """

    name: str
    url: str
    status: T | None = None
    fault: str = ""
    older: bool = False


Ask = Callable[[], Awaitable[Answer[T]]]
"""Asks a neighbour; never raises."""


def _nobody(name: str, form: type[T]) -> Ask[T]:
    async def ask() -> Answer[T]:
        return Answer(name, "", fault="nobody has said where it is")

    return ask


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What asks the other two services."""

    normalizer: Ask[NormalizerStatus] = field(default_factory=lambda: _nobody(NORMALIZER, NormalizerStatus))
    storage: Ask[StorageStatus] = field(default_factory=lambda: _nobody(STORAGE, StorageStatus))


def over_http(client: HttpClient, form: type[T]) -> Ask[T]:
    """Return what asks the service that `client` speaks to."""

    async def ask() -> Answer[T]:
        try:
            answer = await client.request("GET", "/status", timeout=TIMEOUT, attempts=1)
            return Answer(client.name, client.base_url, form.model_validate_json(answer.body))
        except ValidationError:
            fault = "its answer is not understood: are all three containers of one version?"
            return Answer(client.name, client.base_url, fault=fault)
        except RemoteError as error:
            older = isinstance(error, StatusError) and error.status in _UNKNOWN_PATH
            return Answer(client.name, client.base_url, fault=_fault(client.name, error), older=older)

    return ask


def in_process(name: str, status: Callable[[], T]) -> Ask[T]:
    """Return what asks a service of the same process."""

    async def ask() -> Answer[T]:
        return Answer(name, "", status())

    return ask


def _fault(name: str, error: RemoteError) -> str:
    match error:
        case StatusError(status=status) if status in _UNKNOWN_PATH:
            return "it knows no /status: it is the original's, or an older version"
        case StatusError(status=status) if status in _NOT_ALLOWED:
            return f"it does not take our token ({status}): both containers need the same one"
        case Unreachable(cause=cause):
            return f"it does not answer ({cause}): see the log of the container {name}, and whether this is its address"
    return str(error)
