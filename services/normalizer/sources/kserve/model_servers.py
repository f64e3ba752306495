"""Model servers, asked what they serve: once for each revision of a deployment, at its own addresses, without a token.

Never one that a request would start. What one says becomes facts of its deployment, so that nothing else changes.
"""

import asyncio
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from common.http.client import HttpClient, RemoteError, StatusError, Unreachable
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
    with_answers,
)
from services.normalizer.normalize.deployment import Deployment, Fact, Planned, ServiceFacts
from services.normalizer.normalize.runtimes import Runtime
from services.normalizer.source import News, Sink, Source
from services.normalizer.sources.wrapping import PassingOn, Wrapper

log = structlog.get_logger("model-servers")

_BODY_LIMIT = 2 * 1024 * 1024
_PARALLEL = 4
_TRIED_AGAIN = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """In seconds: for one answer, for how long a new model waits for it, until a server without one is asked again."""

    answer: float = 5.0
    hold: float = 5.0
    again: float = 600.0


class ModelServers:
    """The model servers of one cluster."""

    def __init__(
        self,
        *,
        models: bool,
        definitions: bool,
        trust: ssl.SSLContext | bool = True,
        inside: bool = True,
        patience: Patience = Patience(),
    ) -> None:
        """`models` and `definitions` are what is asked for; `inside`: we are in that cluster."""
        self.patience = patience
        self._models = models
        self._definitions = definitions
        self._trust = trust
        self._inside = inside
        self._gate = asyncio.Semaphore(_PARALLEL)
        self._services: Companions[ServiceFacts] = Companions()
        self._runtimes: dict[Ref, Runtime] = {}
        self._askers: list[_Asker] = []

    def asked(self, source: Source) -> Source:
        """Return a source whose deployments know what their servers say."""
        return _Asked(source, self)

    def follow(self, asker: "_Asker") -> None:
        """Have an asker told when a deployment may be reached otherwise."""
        self._askers.append(asker)

    def note(self, ref: Ref, fact: Fact | Gone | Missing | Unusable) -> None:
        """Take what belongs to deployments."""
        match fact:
            case Runtime():
                self._runtimes[ref] = fact
                for asker in self._askers:
                    asker.reconsider(asker.using(ref.ids[1]))
            case ServiceFacts() | Gone() | Missing():
                self._runtimes.pop(ref, None)
                touched = self._services.put(ref, fact if isinstance(fact, ServiceFacts) else None)
                for asker in self._askers:
                    asker.reconsider(map(Ref.parse, touched))

    def is_asked(self, ref: Ref, deployment: Deployment) -> bool:
        """Return whether a deployment's server may be asked at all."""
        return self._questions(ref, deployment) is not None

    def _questions(self, ref: Ref, deployment: Deployment) -> Questions | None:
        return questions_for(
            deployment, self._runtime(ref, deployment), models=self._models, definitions=self._definitions
        )

    def _runtime(self, ref: Ref, deployment: Deployment) -> Runtime | None:
        found = (Ref("runtime", ref.place, (place, deployment.served.runtime)) for place in (deployment.namespace, ""))
        return next((self._runtimes[key] for key in found if key in self._runtimes), None)

    async def ask(self, ref: Ref, deployment: Deployment) -> Answers | None:
        """Return what a deployment's server says; None when it may not be asked, or has no address yet.

        Raises:
            RemoteError: it does not answer now.
        """
        questions, refused = self._questions(ref, deployment), None
        services, runtime = self._services.of(str(ref)), self._runtime(ref, deployment)
        for url in addresses_to_ask(deployment, services, runtime, inside=self._inside):
            if questions is None:
                break
            try:
                async with self._gate, self._client(ref, url) as client:
                    models = await _get(client, questions.models)
                    described = await _get(client, questions.definition)
            except RemoteError as error:
                refused = error
                continue
            definition = read_definition(described)
            return Answers(
                names=read_models(models),
                operations=() if definition else read_operations(described),
                definition=definition,
            )
        if refused is not None:
            raise refused
        return None

    def _client(self, ref: Ref, url: str) -> HttpClient:
        """Return a client of one server: it sends no token, repeats nothing, and follows nobody elsewhere."""
        return HttpClient(
            name=ref.label,
            base_url=url,
            ssl=self._trust,
            timeout=self.patience.answer,
            attempts=1,
            body_limit=_BODY_LIMIT,
            connections=1,
        )


async def _get(client: HttpClient, path: str) -> object:
    """Return the JSON at a path, None when there is no path, the server does not have it, or answers something else.

    Raises:
        RemoteError: it may answer another time.
    """
    if not path:
        return None
    try:
        return (await client.request("GET", path)).json()
    except Unreachable:
        raise
    except RemoteError as error:
        if isinstance(error, StatusError) and (error.status >= 500 or error.status in _TRIED_AGAIN):
            raise
        log.debug("model_server_not_understood", error=str(error))
        return None


class _Asked(Wrapper):
    """A source as it is, with what the servers of its deployments say."""

    def __init__(self, source: Source, servers: ModelServers) -> None:
        super().__init__(source)
        self._servers = servers

    async def run(self, sink: Sink) -> None:
        """Tell what the source tells, and what servers say, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            asker = _Asker(sink, self._servers, tasks)
            try:
                await self._source.run(asker)
            finally:
                asker.release_all()


class _Revision(NamedTuple):
    """What a server is asked once for."""

    uid: str
    generation: int


@dataclass(slots=True)
class _Model:
    """A deployment as its source told it last, what its server said of which revision, and the asking under way."""

    facts: Deployment
    answers: Answers | None = None
    answered: _Revision | None = None
    asking: asyncio.Task[None] | None = None
    held: asyncio.TimerHandle | None = None

    @property
    def revision(self) -> _Revision:
        return _Revision(self.facts.uid, self.facts.generation)

    @property
    def enriched(self) -> Deployment:
        return with_answers(self.facts, self.answers) if self.answers else self.facts


def _asked_otherwise(former: Deployment, facts: Deployment) -> bool:
    """Return whether a server is asked something else now than before, or elsewhere."""
    return (former.generation, former.addresses) != (facts.generation, facts.addresses)


class _Asker(PassingOn):
    """Passes on what a source says, deployments with what their servers say.

    A new one is held back for that for a short while, and with it the news that all was listed: otherwise entries would
    lose what was known, and regain it, after each restart.
    """

    def __init__(self, sink: Sink, servers: ModelServers, tasks: asyncio.TaskGroup) -> None:
        super().__init__(sink)
        self._servers = servers
        self._tasks = tasks
        self._models: dict[Ref, _Model] = {}
        self._listed = False
        servers.follow(self)

    def changed(self, news: News) -> None:
        told: dict[Ref, Fact | Gone | Missing | Unusable] = {}
        for ref, fact in news.items():
            if not ref.is_deployment:
                self._servers.note(ref, fact)
                told[ref] = fact
            elif isinstance(fact, Deployment):
                model = self._take(ref, fact)
                if model.held is None:
                    told[ref] = model.enriched
            else:
                self._leave(ref, forget=isinstance(fact, Gone | Planned))
                told[ref] = fact
        if told:
            self._sink.changed(told)
        self._pass_listed()

    def listed(self) -> None:
        """Pass it on as soon as nothing is held back."""
        self._listed = True
        self._pass_listed()

    def _pass_listed(self) -> None:
        if self._listed and not any(model.held for model in self._models.values()):
            self._listed = False
            self._sink.listed()

    def _take(self, ref: Ref, facts: Deployment) -> _Model:
        model = self._models.get(ref)
        if model is None or model.facts.uid != facts.uid:
            self._leave(ref, forget=True)
            model = self._models[ref] = _Model(facts)
        former, model.facts = model.facts, facts
        if not self._servers.is_asked(ref, facts):
            self._stop(model)
        elif model.answered != model.revision and (model.asking is None or _asked_otherwise(former, facts)):
            self._start(ref, model)
        return model

    def _start(self, ref: Ref, model: _Model) -> None:
        if model.asking is not None:
            model.asking.cancel()
        elif model.answered is None:
            model.held = asyncio.get_running_loop().call_later(self._servers.patience.hold, self._release, ref)
        model.asking = self._tasks.create_task(self._ask(ref, model))

    async def _ask(self, ref: Ref, model: _Model) -> None:
        """Ask until there is an answer, and pass it on."""
        while True:
            revision = model.revision
            try:
                answers = await self._servers.ask(ref, model.facts)
                break
            except RemoteError as error:
                log.info("model_server_unreachable", model=ref.label, error=str(error))
            self._release(ref)
            await asyncio.sleep(self._servers.patience.again)
        model.asking = None
        former = model.enriched
        if answers is not None:
            model.answers, model.answered = answers, revision
        if model.held is not None:
            self._release(ref)
        elif model.enriched != former:
            self._sink.changed({ref: model.enriched})

    def using(self, runtime: str) -> list[Ref]:
        """Return the deployments that are made of a runtime."""
        return [ref for ref, model in self._models.items() if model.facts.served.runtime == runtime]

    def reconsider(self, refs: Iterable[Ref]) -> None:
        """Ask servers that have not answered again: what belongs to their deployments is another by now."""
        for ref in refs:
            model = self._models.get(ref)
            if model is not None and model.answered != model.revision and self._servers.is_asked(ref, model.facts):
                self._start(ref, model)

    def release_all(self) -> None:
        """Hold nothing back any more."""
        for ref in self._models:
            self._release(ref)

    def _release(self, ref: Ref) -> None:
        """Pass on a deployment that was held back."""
        model = self._models.get(ref)
        if model is not None and model.held is not None:
            model.held.cancel()
            model.held = None
            self._sink.changed({ref: model.enriched})
            self._pass_listed()

    def _leave(self, ref: Ref, *, forget: bool) -> None:
        model = self._models.pop(ref, None) if forget else self._models.get(ref)
        if model is not None:
            self._stop(model)

    def _stop(self, model: _Model) -> None:
        """Ask no more, and hold nothing back: what comes now goes before."""
        for pending in (model.asking, model.held):
            if pending is not None:
                pending.cancel()
        model.asking = model.held = None
