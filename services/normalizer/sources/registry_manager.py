"""The model registries and catalogs of a cluster, each in a task of its own, so that one that hangs delays no other."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from common.faults import Fault
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.source import Sink
from services.normalizer.sources.http import Connector, Remote
from services.normalizer.sources.kubeflow.cards import CardTexts, Catalogs
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.mlflow import MlflowPoller
from services.normalizer.sources.refs import Api, SourceRef
from services.normalizer.sources.registry_source import Expected, Poller, RegistrySource

DEPLOYMENTS: Final = ""
"""Stands for deployments among the ids of registries, as the requester of the cards that deployments name."""

POLLERS: Mapping[Api, Callable[[Remote, Iterable[str]], Poller]] = {
    "kubeflow": lambda remote, expected: RegistryPoller(remote, expected=expected),
    "mlflow": lambda remote, expected: MlflowPoller(remote, expected=expected),
}
"""The kinds of registries, by their API."""


class RegistryListener(Protocol):
    """Is called when registries, catalogs and cards change; must not block."""

    def open(self, source: RegistrySource) -> Sink:
        """A registry was found; returns its sink."""

    def on_cards(self, cards: Mapping[str, str | None]) -> None:
        """Cards are new or changed; given by key, None for a card that does not exist."""

    def on_cards_forgotten(self, keys: Collection[str]) -> None:
        """The cards with these keys are no longer used by any registry or deployment."""

    def on_fault(self, ref: SourceRef, fault: Fault | None) -> None:
        """A registry or catalog fails, fails in another way, or (None) can be read."""

    def on_gone(self, ref: SourceRef) -> None:
        """A registry or catalog is gone: no Route, Service or setting names it any more."""


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


class RegistryManager:
    """Follows the registries and catalogs given to `update`.

    `expected` is called once for each registry, before its first poll.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        listener: RegistryListener,
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
            on_fault=listener.on_fault,
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
        """Follow these servers from now on, and no others; a new registry is polled at once."""
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
            source.stop()
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
            request_cards=self._request_cards,
            on_fault=self._listener.on_fault,
            interval=self._options.interval,
            retry=self._options.retry,
        )

    def look_up(self, registry_id: str, model_id: str, version_id: str) -> None:
        """Read a version that an InferenceService names, before the next poll of its registry."""
        if registry_id in self._sources:
            self._sources[registry_id][0].look_up(model_id, version_id)

    def want_cards(self, models: Collection[CatalogModel]) -> None:
        """Request the cards that deployments name now, instead of those that they named before."""
        self._of_deployments = frozenset(models)
        self._catalogs.want(DEPLOYMENTS, models)

    async def run(self) -> None:
        """Follow all servers until cancelled; then their metrics are removed."""
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

    async def _request_cards(
        self, registry: str, models: Collection[CatalogModel], *, changed: Collection[CatalogModel], first: bool
    ) -> None:
        self._catalogs.want(registry, models, changed=changed)
        if first and models:
            await self._catalogs.first_look(models, patience=self._options.card_patience)

    def _tell_cards(self, news: CardTexts) -> None:
        # Two models may have the same key: an annotation of a deployment must not replace the card of a registry.
        registered = frozenset[CatalogModel]().union(*(source.cards for source, _ in self._sources.values()))
        taken = {model.key for model in registered}
        named = {model for model in self._of_deployments if model.key not in taken}
        if cards := {model.key: text for model, text in news.items() if model in registered or model in named}:
            self._listener.on_cards(cards)

    def _leave(self, ref: SourceRef) -> None:
        self._connector.metrics.forget(ref.source)
        self._listener.on_gone(ref)
