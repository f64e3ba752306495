"""All model registries and catalogs that there are: one task each, so that one that hangs delays no other."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from common.backoff import Backoff, happens, spread
from services.normalizer.normalize.cards import CatalogModel, catalog_model
from services.normalizer.sources.faults import internal, no_address
from services.normalizer.sources.http import Account, Connector, Remote
from services.normalizer.sources.kubeflow.cards import Catalogs, News
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.kubeflow.records import RegistryReading
from services.normalizer.sources.mlflow import MlflowPoller
from services.normalizer.sources.refs import Api, Fault, SourceRef, SourceState

log = structlog.get_logger("sources")

DEPLOYMENTS: Final = ""
"""Who wants the cards that deployments name; every registry has an id."""
Expected = Callable[[str], Iterable[str]]
"""Gives the ids of the versions that an earlier run knew of a registry, by the registry's id."""


class Poller(Protocol):
    """Reads one registry again and again, and remembers what it held."""

    def move(self, remote: Remote) -> None:
        """Read from another address from now on; what is known stays."""

    async def poll(self) -> RegistryReading:
        """Read what changed."""

    async def look_up(self, model_id: str, version_id: str) -> RegistryReading:
        """Read a version that somebody speaks of and no poll has seen."""


_POLLERS: Mapping[Api, Callable[[Remote, Iterable[str]], Poller]] = {
    "kubeflow": lambda remote, expected: RegistryPoller(remote, expected=expected),
    "mlflow": lambda remote, expected: MlflowPoller(remote, expected=expected),
}


class SourceHandler(Protocol):
    """Who is told what happens to registries and catalogs; called in order, must not block."""

    def on_reading(self, ref: SourceRef, reading: RegistryReading) -> None:
        """A registry was read, wholly or in part."""

    def on_cards(self, ref: SourceRef, reading: RegistryReading) -> None:
        """Cards that a registry refers to are new or changed; the reading is the last one, with them in it."""

    def on_deployment_cards(self, cards: Mapping[str, str | None]) -> None:
        """Cards that deployments name, by key, are new or changed; None where there is none."""

    def on_cards_forgotten(self, keys: Collection[str]) -> None:
        """No registry and no deployment refers to the cards with these keys any more."""

    def on_state(self, ref: SourceRef, state: SourceState) -> None:
        """It began to fail, fails in another way, or can be read (again); comes before the reading that shows it."""

    def on_gone(self, ref: SourceRef) -> None:
        """It exists no longer: no Route, no Service, no setting names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingOptions:
    """How often, in seconds: `interval` between two polls, `card_refresh` the age at which a card is read again,
    `card_recheck` after which one that a catalog does not have is looked for again.

    The first reading of a registry waits for its cards, no longer than `card_patience`. After a failure the pause is
    shorter at first (up to `retry`) and grows to the interval, which is also the longest that a server is granted that
    asks to be left alone (`Retry-After`).
    """

    interval: float = 120
    card_refresh: float = 1800
    card_recheck: float = 60
    card_patience: float = 2
    retry: float = 5


class Follower:
    """Polls one registry and hands on what it reads."""

    def __init__(
        self,
        ref: SourceRef,
        *,
        connector: Connector,
        catalogs: Catalogs,
        handler: SourceHandler,
        options: PollingOptions,
        expected: Expected,
    ) -> None:
        self.ref = ref
        self._expected = expected
        self._connector = connector
        self._catalogs = catalogs
        self._handler = handler
        self._options = options
        self._account = Account(tell=self._tell)
        self._backoff = Backoff(min(options.retry, options.interval), options.interval)
        self._poller: Poller | None = None
        self._fault: Fault | None = None
        self._last: RegistryReading | None = None
        self._models: Mapping[str, CatalogModel] = {}
        self._early: dict[str, str | None] = {}
        self._asked_for: list[tuple[str, str]] = []
        self._over = False
        self._poll_now = False
        self._wake = asyncio.Event()

    def update(self, ref: SourceRef) -> None:
        """Take what discovery says of it now; an address that was lost serves until another one is known."""
        new = ref if ref.url else replace(ref, url=self.ref.url)
        if new != self.ref:
            self.ref = new
            self.poll_now()

    def leave(self) -> None:
        """Tell nothing any more, whatever still comes of requests under way: the registry is gone."""
        self._over = True

    def poll_now(self) -> None:
        """Poll without waiting for the end of the interval."""
        self._poll_now = True
        self._wake.set()

    def look_up(self, model_id: str, version_id: str) -> None:
        """Read a version that no poll has seen yet."""
        if (model_id, version_id) not in self._asked_for:
            self._asked_for.append((model_id, version_id))
            self._wake.set()

    async def run(self) -> None:
        """Follow the registry until cancelled, over changes of its address."""
        while True:
            ref = self.ref
            if not ref.url:
                self._account.update(ref, no_address(ref))
                await self._sleep(None)
                continue
            async with self._connector.open(ref) as remote:
                if self._poller is None:
                    self._poller = _POLLERS[ref.api](remote, self._expected(ref.id))
                else:
                    self._poller.move(remote)
                while self.ref == ref:
                    await self._sleep(await self._poll(self._poller))

    async def _poll(self, poller: Poller) -> float:
        """Poll once and return the seconds until the next poll. Whatever the registry holds does not end this."""
        try:
            with self._connector.metrics.poll_seconds.labels(self.ref.source).time():
                reading = await poller.poll()
            self._fault = reading.fault
            self._account.update(self.ref, reading.fault)
            await self._hand_on(reading)
        except Exception as error:
            log.exception("registry_not_processed", source=self.ref.label)
            self._account.update(self.ref, internal(self.ref, error))
            return self._backoff.next()
        if reading.fault is None:
            self._backoff.reset()
            return spread(self._options.interval)
        return max(self._backoff.next(), min(reading.retry_after or 0, self._options.interval))

    async def _sleep(self, seconds: float | None) -> None:
        """Wait for the next poll; look up what is asked for meanwhile."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._poll_now:
            if not await happens(self._wake, within=None if until is None else max(0, until - time.monotonic())):
                break
            self._wake.clear()
            asked, self._asked_for = self._asked_for, []
            for model_id, version_id in asked:
                if self._poller is not None and not self._poll_now:
                    await self._look_up(self._poller, model_id, version_id)
        self._poll_now = False
        self._wake.clear()

    async def _look_up(self, poller: Poller, model_id: str, version_id: str) -> None:
        try:
            reading = await poller.look_up(model_id, version_id)
            await self._hand_on(replace(reading, fault=self._fault))
        except Exception:
            log.exception("version_not_processed", source=self.ref.label, version=version_id, model=model_id)

    def _tell(self, ref: SourceRef, state: SourceState) -> None:
        if not self._over:
            self._handler.on_state(ref, state)

    async def _hand_on(self, reading: RegistryReading) -> None:
        """Say which cards the reading calls for, and tell it."""
        self._models = {
            version.id: model
            for _, version in reading.snapshot.live()
            if (model := catalog_model(reading.snapshot.artifacts.get(version.id, ()))) is not None
        }
        models = set(self._models.values())
        first = self._last is None
        changed = set() if first else {self._models[each] for each in reading.touched if each in self._models}
        self._catalogs.want(self.ref.id, models, changed=changed)
        if first and models:
            await self._catalogs.first_look(models, patience=self._options.card_patience)
        if not self._over:
            early, self._early = self._early, {}
            self._last = reading
            self._handler.on_reading(self.ref, replace(reading, cards=early))

    @property
    def card_keys(self) -> set[str]:
        """The keys of the cards that the registry refers to."""
        return {model.key for model in self._models.values()}

    def take_cards(self, news: News) -> None:
        """Tell cards that are new or changed, as far as the registry refers to them."""
        cards = {model.key: news[model] for model in self._models.values() if model in news}
        if self._last is None:
            self._early |= cards
        elif cards and not self._over:
            touched = frozenset(each for each, model in self._models.items() if model in news)
            self._handler.on_cards(self.ref, replace(self._last, complete=False, touched=touched, cards=cards))


class RegistrySource:
    """Follows the registries and catalogs that `update` names; `handler` is told what they hold and how they fare.

    `expected` is asked once per registry, before its first poll.
    """

    def __init__(
        self,
        *,
        connector: Connector,
        handler: SourceHandler,
        options: PollingOptions,
        expected: Expected = lambda _: (),
    ) -> None:
        self._expected = expected
        self._connector = connector
        self._handler = handler
        self._options = options
        self._catalogs = Catalogs(
            connector=connector,
            news=self._tell_cards,
            forgotten=handler.on_cards_forgotten,
            tell=handler.on_state,
            refresh=options.card_refresh,
            recheck=options.card_recheck,
            pause=(min(options.retry, options.interval), options.interval),
        )
        self._of_deployments: frozenset[CatalogModel] = frozenset()
        self._wanted: dict[str, SourceRef] = {}
        self._catalog_refs: dict[str, SourceRef] = {}
        self._running: dict[str, tuple[Follower, asyncio.Task[None]]] = {}
        self._changed = asyncio.Event()

    def update(self, refs: Iterable[SourceRef]) -> None:
        """Take what discovery found. The first poll of a new registry begins at once."""
        refs = list(refs)
        catalogs = {ref.id: ref for ref in refs if ref.kind == "catalog"}
        self._catalogs.update(catalogs.values())
        for each, ref in self._catalog_refs.items():
            if each not in catalogs:
                self._leave(ref)
        self._catalog_refs = catalogs
        self._wanted = {ref.id: ref for ref in refs if ref.kind == "registry"}
        self._changed.set()

    def poll_now(self, registry_id: str | None = None) -> None:
        """Poll one registry, or all of them, without waiting for the end of the interval."""
        for each, (follower, _) in self._running.items():
            if registry_id in (None, each):
                follower.poll_now()

    def look_up(self, registry_id: str, model_id: str, version_id: str) -> None:
        """Read a version that an InferenceService names and no poll has seen; its reading comes like any other."""
        if registry_id in self._running:
            self._running[registry_id][0].look_up(model_id, version_id)

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
                    self._reconcile(group)
                    await self._changed.wait()
                    self._changed.clear()
        finally:
            registries = [follower.ref for follower, _ in self._running.values()]
            for ref in (*registries, *self._catalog_refs.values()):
                self._connector.metrics.forget(ref.source)

    def _reconcile(self, group: asyncio.TaskGroup) -> None:
        for each in self._running.keys() - self._wanted.keys():
            follower, task = self._running.pop(each)
            follower.leave()
            self._catalogs.want(each, ())
            task.cancel()
            self._leave(follower.ref)
        for each, ref in self._wanted.items():
            if each in self._running:
                self._running[each][0].update(ref)
            else:
                follower = Follower(
                    ref,
                    connector=self._connector,
                    catalogs=self._catalogs,
                    handler=self._handler,
                    options=self._options,
                    expected=self._expected,
                )
                self._running[each] = follower, group.create_task(follower.run(), name=ref.label)

    def _tell_cards(self, news: News) -> None:
        for follower, _ in self._running.values():
            follower.take_cards(news)
        if not self._of_deployments:
            return
        # Two names may have one key. A deployment's annotation must not end or displace a registry's card.
        taken = {key for follower, _ in self._running.values() for key in follower.card_keys}
        named = self._of_deployments & news.keys()
        if cards := {model.key: news[model] for model in named if model.key not in taken}:
            self._handler.on_deployment_cards(cards)

    def _leave(self, ref: SourceRef) -> None:
        self._connector.metrics.forget(ref.source)
        self._handler.on_gone(ref)
