"""A source around another one that adds what namespaces say to deployments that do not say it themselves."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from common.backoff import happens
from common.faults import Fault
from common.kube.replica import Key
from common.kube.reporting import STARTING
from common.kube.resources import NAMESPACES
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.stated import NOTHING, Inheritance, read_namespace
from services.normalizer.source import Fact, News, Sink, Source
from services.normalizer.sources.kserve.collection import Collection, Scope
from services.normalizer.sources.wrappers import WrappedSink, Wrapper

PART = "namespaces"
PATIENCE = 10.0
"""Seconds that the first deployments wait for their namespaces, so that they are not shown without them first."""


class Namespaces:
    """What the namespaces of one cluster say, for all sources of the cluster.

    What cannot be read any more stays as it was; without the right to read namespaces nothing is inherited.
    """

    def __init__(self, scope: Scope) -> None:
        self._known: dict[str, Inheritance] = {}
        self._followers: list[tuple[Callable[[str], None], Callable[[Fault | None], None]]] = []
        self._fault: Fault | None = STARTING
        self._tried = asyncio.Event()
        collection = Collection[Inheritance](changed=self._change, listed=self._tried.set, state=self._tell)
        self._reflectors = collection.create_reflectors(scope, NAMESPACES, read_namespace, places=(None,))

    def of(self, namespace: str) -> Inheritance:
        """Return what a namespace says."""
        return self._known.get(namespace, NOTHING)

    def follow(self, changed: Callable[[str], None], state: Callable[[Fault | None], None]) -> None:
        """Call `changed` with each namespace that has changed, `state` when they cannot be read, or can again."""
        self._followers.append((changed, state))
        if self._fault != STARTING:
            state(self._fault)

    async def run(self) -> None:
        """Follow the namespaces until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for reflector in self._reflectors:
                tasks.create_task(reflector.run())

    async def tried(self) -> None:
        """Wait until they were listed, or could not be, no longer than PATIENCE."""
        await happens(self._tried, within=PATIENCE)

    def _change(self, key: Key, new: Inheritance | None, explicit: bool) -> None:
        _, name = key
        if (new or NOTHING) == self.of(name):
            return
        if new is None:
            del self._known[name]
        else:
            self._known[name] = new
        for changed, _ in self._followers:
            changed(name)

    def _tell(self, fault: Fault | None) -> None:
        self._fault = fault
        if fault is not None:
            self._tried.set()
        for _, tell in self._followers:
            tell(fault)


class NamespaceDefaults(Wrapper):
    """A source around another one whose deployments inherit from their namespaces."""

    def __init__(self, source: Source, namespaces: Namespaces) -> None:
        super().__init__(source)
        self._namespaces = namespaces
        self._of: defaultdict[str, dict[Ref, Fact]] = defaultdict(dict)

    async def run(self, sink: Sink) -> None:
        """Follow the source until cancelled; what deployments inherit is reported again when it changes."""

        def again(namespace: str) -> None:
            if facts := self._of.get(namespace):
                sink.changed(self._given(facts))

        def changed(news: News) -> None:
            self._remember(news)
            sink.changed(self._given(news))

        self._namespaces.follow(again, lambda fault: sink.state(fault, part=PART))
        await self._namespaces.tried()
        await self._source.run(WrappedSink(sink, changed))

    def _remember(self, news: News) -> None:
        for ref, fact in news.items():
            if isinstance(fact, Deployment):
                self._of[ref.ids[0]][ref] = fact
            elif ref.is_deployment and isinstance(fact, Gone | Missing):
                self._of[ref.ids[0]].pop(ref, None)

    def _given(self, news: News) -> News:
        """Return the facts with what deployments inherit."""
        return {ref: self._inheriting(fact) for ref, fact in news.items()}

    def _inheriting(self, fact: Fact | Gone | Missing | Unusable) -> Fact | Gone | Missing | Unusable:
        if not isinstance(fact, Deployment):
            return fact
        return replace(fact, stated=self._namespaces.of(fact.namespace).added_to(fact.stated))
