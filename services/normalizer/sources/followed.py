"""All model registries and catalogs of a cluster: one task each, so that one that hangs delays no other."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from common.faults import Fault
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.source import Sink
from services.normalizer.sources.http import Connector, Remote
from services.normalizer.sources.kubeflow.cards import Catalogs, News
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.mlflow import MlflowPoller
from services.normalizer.sources.polled import Expected, Poller, RegistrySource
from services.normalizer.sources.refs import Api, SourceRef

DEPLOYMENTS: Final = ""
"""Who wants the cards that deployments name; every registry has an id."""

POLLERS: Mapping[Api, Callable[[Remote, Iterable[str]], Poller]] = {
    "kubeflow": lambda remote, expected: RegistryPoller(remote, expected=expected),
    "mlflow": lambda remote, expected: MlflowPoller(remote, expected=expected),
}
"""The kinds of registries, by what they speak."""


class Listener(Protocol):
    """Who is told what happens to registries and catalogs; called in order, must not block."""

    def open(self, source: RegistrySource) -> Sink:
        """There is a registry; return whom it tells what it has."""

    def on_cards(self, cards: Mapping[str, str | None]) -> None:
        """Cards, by key, are new or changed; None where there is none."""

    def on_cards_forgotten(self, keys: Collection[str]) -> None:
        """No registry and no deployment refers to the cards with these keys any more."""

    def on_fault(self, ref: SourceRef, fault: Fault | None) -> None:
        """It began to fail, fails in another way, or can be read (again)."""

    def on_gone(self, ref: SourceRef) -> None:
        """It exists no longer: no Route, no Service, no setting names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingOptions:
    """How often, in seconds: `interval` between two polls, `card_refresh` the age at which a card is read again,
    `card_recheck` after which one that a catalog does not have is looked for again.

    The first look at a registry waits for its cards, no longer than `card_patience`. `retry`: the longest first pause
    after a failure.
    """

    interval: float = 120
    card_refresh: float = 1800
    card_recheck: float = 60
    card_patience: float = 2
    retry: float = 5


class Followed:
    """Follows the registries and catalogs that `update` names.

    `expected` is asked once per registry, before its first poll.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        listener: Listener,
        options: PollingOptions,
        expected: Expected = lambda _: (),
    ) -> None:
        self._expected = expected
        self._connector = connector
        self._listener = listener
        self._options = options
        self._catalogs = Catalogs(
            connector=connector,
            news=self._tell_cards,
            forgotten=listener.on_cards_forgotten,
            tell=listener.on_fault,
            refresh=options.card_refresh,
            recheck=options.card_recheck,
            pause=(min(options.retry, options.interval), options.interval),
        )
        self._of_deployments: frozenset[CatalogModel] = frozenset()
        self._catalog_refs: dict[str, SourceRef] = {}
        self._sources: dict[str, tuple[RegistrySource, Sink]] = {}
        self._running: dict[RegistrySource, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    def update(self, refs: Iterable[SourceRef]) -> None:
        """Take what discovery found. The first poll of a new registry begins at once."""
        refs = list(refs)
        catalogs = {ref.id: ref for ref in refs if ref.kind == "catalog"}
        registries = {ref.id: ref for ref in refs if ref.kind == "registry"}
        self._catalogs.update(catalogs.values())
        left, self._catalog_refs = self._catalog_refs, catalogs
        for each, ref in left.items():
            if each not in catalogs:
                self._leave(ref)
        for each in self._sources.keys() - registries.keys():
            source, _ = self._sources.pop(each)
            source.leave()
            self._catalogs.want(each, ())
            self._leave(source.ref)
        for each, ref in registries.items():
            if each in self._sources:
                self._sources[each][0].update(ref)
            else:
                source = self._source(ref)
                self._sources[each] = source, self._listener.open(source)
        self._changed.set()

    def _source(self, ref: SourceRef) -> RegistrySource:
        return RegistrySource(
            ref,
            connector=self._connector,
            poller=POLLERS[ref.api],
            expected=self._expected,
            want_cards=self._want,
            tell=self._listener.on_fault,
            interval=self._options.interval,
            retry=self._options.retry,
        )

    def poll_now(self, registry_id: str | None = None) -> None:
        """Poll one registry, or all of them, without waiting for the end of the interval."""
        for each, (source, _) in self._sources.items():
            if registry_id in (None, each):
                source.poll_now()

    def look_up(self, registry_id: str, model_id: str, version_id: str) -> None:
        """Read a version that an InferenceService names and no poll has seen; it is told like any other."""
        if registry_id in self._sources:
            self._sources[registry_id][0].look_up(model_id, version_id)

    def want_cards(self, models: Collection[CatalogModel]) -> None:
        """Take which cards deployments name now, with or without any registry."""
        self._of_deployments = frozenset(models)
        self._catalogs.want(DEPLOYMENTS, models)

    async def run(self) -> None:
        """Follow whatever there is, until cancelled; from then on nothing of it is counted."""
        try:
            async with self._catalogs, asyncio.TaskGroup() as group:
                group.create_task(self._catalogs.run(), name="model cards")
                while True:
                    self._changed.clear()
                    self._reconcile(group)
                    await self._changed.wait()
        finally:
            registries = [source.ref for source, _ in self._sources.values()]
            for ref in (*registries, *self._catalog_refs.values()):
                self._connector.metrics.forget(ref.source)

    def _reconcile(self, group: asyncio.TaskGroup) -> None:
        wanted = dict(self._sources.values())
        for source in self._running.keys() - wanted.keys():
            self._running.pop(source).cancel()
        for source, sink in wanted.items():
            if source not in self._running:
                self._running[source] = group.create_task(source.run(sink), name=source.ref.label)

    async def _want(
        self, registry: str, models: Collection[CatalogModel], *, changed: Collection[CatalogModel], first: bool
    ) -> None:
        self._catalogs.want(registry, models, changed=changed)
        if first and models:
            await self._catalogs.first_look(models, patience=self._options.card_patience)

    def _tell_cards(self, news: News) -> None:
        # Two names may have one key. A deployment's annotation must not end or displace a registry's card.
        registered = frozenset[CatalogModel]().union(*(source.cards for source, _ in self._sources.values()))
        taken = {model.key for model in registered}
        named = {model for model in self._of_deployments if model.key not in taken}
        if cards := {model.key: text for model, text in news.items() if model in registered or model in named}:
            self._listener.on_cards(cards)

    def _leave(self, ref: SourceRef) -> None:
        self._connector.metrics.forget(ref.source)
        self._listener.on_gone(ref)
