"""A source around another one that adds what the servers of deployments answer, asked once for each revision.

What a server says becomes facts of its deployment, so that nothing after this knows where they come from.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from common.backoff import spread
from common.faults import Fault
from common.http.errors import RemoteError
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.answers import Answers, with_answers
from services.normalizer.normalize.deployment import Addresses, Deployment
from services.normalizer.normalize.runtimes import Runtime
from services.normalizer.source import Fact, News, Sink, Source
from services.normalizer.sources.kserve.model_servers import ModelServers
from services.normalizer.sources.wrappers import WrappedSink, Wrapper

log = structlog.get_logger("model-servers")


HOLD = 5.0
"""The longest time, in seconds, that a new model waits for its server."""
AGAIN = 600.0
"""About the seconds after which a silent server is asked again."""


class ServerAnswers(Wrapper):
    """A source around another one that adds the answers of the servers of its deployments."""

    def __init__(self, source: Source, servers: ModelServers) -> None:
        super().__init__(source)
        self._servers = servers

    async def run(self, sink: Sink) -> None:
        """Follow the source and ask the servers until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            asker = _Asker(sink, self._servers, tasks)
            try:
                await self._source.run(asker)
            finally:
                asker.release_all()


class _Revision(NamedTuple):
    """The revision that a server is asked about; by `addresses` where there is no generation, as in files."""

    uid: str
    generation: int
    addresses: Addresses | None


@dataclass(slots=True)
class _Model:
    """A deployment as last reported, the answer of its server and the revision of that, and the running task."""

    facts: Deployment
    answers: Answers | None = None
    answered: _Revision | None = None
    asking: asyncio.Task[None] | None = None

    @property
    def revision(self) -> _Revision:
        facts = self.facts
        return _Revision(facts.uid, facts.generation, None if facts.generation else facts.addresses)

    @property
    def enriched(self) -> Deployment:
        return with_answers(self.facts, self.answers) if self.answers else self.facts


def _asked_otherwise(former: Deployment, facts: Deployment) -> bool:
    """Return whether a server must be asked again, because what it is asked or its address has changed."""
    return (former.generation, former.addresses) != (facts.generation, facts.addresses)


class _Asker(WrappedSink):
    """Passes on the facts of a source, with the answers of servers in those of deployments.

    A new one is held back for that for a short while, and with it the news that all was listed: otherwise entries would
    lose what was known, and regain it, after each restart.
    """

    def __init__(self, sink: Sink, servers: ModelServers, tasks: asyncio.TaskGroup) -> None:
        super().__init__(sink, self._take_all)
        self._servers = servers
        self._tasks = tasks
        self._models: dict[Ref, _Model] = {}
        self._held: dict[Ref, asyncio.TimerHandle] = {}
        self._listed = False
        self._lacking: Fault | None = None
        servers.follow(self._reconsider)

    def _take_all(self, news: News) -> None:
        told: dict[Ref, Fact | Gone | Missing | Unusable] = {}
        for ref, fact in news.items():
            if not ref.is_deployment:
                self._servers.note(ref, fact)
                told[ref] = fact
                if isinstance(fact, Runtime):
                    known = tuple(self._models.items())
                    self._reconsider(each for each, model in known if model.facts.served.runtime == fact.name)
            elif isinstance(fact, Deployment) and not fact.planned:
                model = self._take(ref, fact)
                if ref not in self._held:
                    told[ref] = model.enriched
            else:
                self._leave(ref, forget=isinstance(fact, Gone | Deployment))
                told[ref] = fact
        if told:
            self._sink.changed(told)
        self._pass_listed()

    def listed(self, *, lacking: Fault | None = None) -> None:
        """Pass it on as soon as no deployment is held back."""
        self._listed, self._lacking = True, lacking
        self._pass_listed()

    def _pass_listed(self) -> None:
        if self._listed and not self._held:
            self._listed = False
            self._sink.listed(lacking=self._lacking)

    def _take(self, ref: Ref, facts: Deployment) -> _Model:
        model = self._models.get(ref)
        if model is None or model.facts.uid != facts.uid:
            self._leave(ref, forget=True)
            model = self._models[ref] = _Model(facts)
        former, model.facts = model.facts, facts
        if not self._servers.is_asked(ref, facts):
            self._stop(ref, model)
        elif model.answered != model.revision and (model.asking is None or _asked_otherwise(former, facts)):
            self._start(ref, model)
        return model

    def _start(self, ref: Ref, model: _Model) -> None:
        if model.asking is not None:
            model.asking.cancel()
        elif model.answered is None:
            self._held[ref] = asyncio.get_running_loop().call_later(HOLD, self._release, ref)
        model.asking = self._tasks.create_task(self._ask(ref, model))

    async def _ask(self, ref: Ref, model: _Model) -> None:
        """Ask until there is an answer, then pass it on."""
        tell = log.info
        while True:
            revision = model.revision
            try:
                answers = await self._servers.ask(ref, model.facts)
                break
            except RemoteError as error:
                tell("model_server_unreachable", model=ref.label, error=str(error))
                tell = log.debug
            self._release(ref)
            await asyncio.sleep(spread(AGAIN))
        model.asking = None
        former = model.enriched
        if answers is not None:
            model.answers, model.answered = answers, revision
        if ref in self._held:
            self._release(ref)
        elif model.enriched != former:
            self._sink.changed({ref: model.enriched})

    def _reconsider(self, refs: Iterable[Ref]) -> None:
        """Ask the servers again that have not answered, because companions of their deployments have changed."""
        for ref in refs:
            model = self._models.get(ref)
            if model is not None and model.answered != model.revision and self._servers.is_asked(ref, model.facts):
                self._start(ref, model)

    def release_all(self) -> None:
        """Pass on everything that is held back."""
        for ref in tuple(self._held):
            self._release(ref)

    def _release(self, ref: Ref) -> None:
        """Pass on a deployment that was held back."""
        if (timer := self._held.pop(ref, None)) is not None:
            timer.cancel()
            self._sink.changed({ref: self._models[ref].enriched})
            self._pass_listed()

    def _leave(self, ref: Ref, *, forget: bool) -> None:
        model = self._models.pop(ref, None) if forget else self._models.get(ref)
        if model is not None:
            self._stop(ref, model)

    def _stop(self, ref: Ref, model: _Model) -> None:
        """Stop asking, and drop what is held back: newer facts replace it."""
        if model.asking is not None:
            model.asking.cancel()
            model.asking = None
        if (timer := self._held.pop(ref, None)) is not None:
            timer.cancel()
