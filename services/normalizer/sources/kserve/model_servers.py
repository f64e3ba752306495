"""Asks model servers what they serve, at the addresses of their deployments, without a token, within limits."""

import asyncio
import ssl
from collections.abc import Callable, Iterable

import structlog

from common.http.client import HttpClient
from common.http.errors import RemoteError, StatusError, Unreachable
from services.normalizer.companions import Companions
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.answers import (
    Answers,
    Questions,
    addresses_to_ask,
    questions_for,
    read_definition,
    read_models,
    read_operations,
)
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.source import Fact

log = structlog.get_logger("model-servers")

_BODY_LIMIT = 2 * 1024 * 1024
_TIMEOUT = 5.0
_PARALLEL = 4
_TRIED_AGAIN = frozenset({408, 425, 429})


class ModelServers:
    """The model servers of one cluster."""

    def __init__(
        self,
        *,
        models: bool,
        definitions: bool,
        trust: ssl.SSLContext | bool = True,
        inside: bool = True,
        timeout: float = _TIMEOUT,
    ) -> None:
        """`models` and `definitions` are what is asked for; `inside`: we are in that cluster."""
        self._timeout = timeout
        self._models = models
        self._definitions = definitions
        self._trust = trust
        self._inside = inside
        self._gate = asyncio.Semaphore(_PARALLEL)
        self._companions = Companions()
        self._followers: list[Callable[[Iterable[Ref]], None]] = []

    def follow(self, changed: Callable[[Iterable[Ref]], None]) -> None:
        """Call `changed` with the deployments whose address or protocol may have changed."""
        self._followers.append(changed)

    def note(self, ref: Ref, fact: Fact | Gone | Missing | Unusable) -> None:
        """Take companions of deployments."""
        concerned = tuple(map(Ref.parse, self._companions.put(ref, fact)))
        for changed in self._followers:
            changed(concerned)

    def is_asked(self, ref: Ref, deployment: Deployment) -> bool:
        """Return whether a deployment's server may be asked at all."""
        return self._questions(ref, deployment) is not None

    def _questions(self, ref: Ref, deployment: Deployment) -> Questions | None:
        runtime = self._companions.of(str(ref), deployment).runtime
        return questions_for(deployment, runtime, models=self._models, definitions=self._definitions)

    async def ask(self, ref: Ref, deployment: Deployment) -> Answers | None:
        """Return the answer of a deployment's server; None when it may not be asked, or has no address yet.

        Raises:
            RemoteError: it does not answer now.
        """
        questions, refused = self._questions(ref, deployment), None
        own = self._companions.of(str(ref), deployment)
        for url in addresses_to_ask(deployment, own.services, own.runtime, inside=self._inside):
            if questions is None:
                break
            try:
                async with self._gate, self._client(ref, url) as client:
                    names = read_models(await _get(client, questions.models))
                    described = await _get(client, questions.definition, needed=not names)
            except RemoteError as error:
                refused = error
                continue
            definition = read_definition(described)
            return Answers(
                names=names,
                operations=() if definition else read_operations(described),
                definition=definition,
            )
        if refused is not None:
            raise refused
        return None

    def _client(self, ref: Ref, url: str) -> HttpClient:
        """Return a client of one server: it sends no token, does not retry, and does not follow redirects."""
        return HttpClient(
            name=ref.label,
            base_url=url,
            ssl=self._trust,
            timeout=self._timeout,
            attempts=1,
            body_limit=_BODY_LIMIT,
            connections=1,
        )


async def _get(client: HttpClient, path: str, *, needed: bool = True) -> object:
    """Return the JSON at a path, None when there is no path, or the server does not have it or answers otherwise.

    Raises:
        RemoteError: it is needed, and may come another time.
    """
    if not path:
        return None
    try:
        return (await client.request("GET", path)).json()
    except RemoteError as error:
        if needed and _may_pass(error):
            raise
        log.debug("model_server_not_understood", error=str(error))
        return None


def _may_pass(error: RemoteError) -> bool:
    """Return whether the same request may succeed later."""
    if isinstance(error, StatusError):
        return error.status >= 500 or error.status in _TRIED_AGAIN
    return isinstance(error, Unreachable)
