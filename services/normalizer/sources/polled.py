"""A model registry as a source: polled again and again, whatever it speaks; what a look brings is told as facts."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from common.backoff import Backoff, happens, spread
from common.faults import Fault
from common.problems import Problem
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.deployment import Fact
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.faults import internal, no_address
from services.normalizer.sources.http import Account, Connector, Remote
from services.normalizer.sources.refs import SourceRef

log = structlog.get_logger("sources")

Expected = Callable[[str], Iterable[str]]
"""Gives the ids of the versions that an earlier run knew of a registry, by the registry's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a registry has now, and how far that can be trusted.

    `versions`: all that are known, by id; while one does not change, it is the same object. Of those that are no longer
    among them the registry said that the `deleted` were deleted.
    `complete`: every list was read to the end, so that what is not among the versions is not there.
    `listed`: that was so of each list at least once since the start.
    `fault`: why something could not be read, None when nothing is missing.
    `retry_after`: for how many seconds the registry asks not to be asked again.
    """

    versions: Mapping[str, RegisteredVersion]
    deleted: Collection[str] = ()
    complete: bool
    listed: bool
    fault: Fault | None = None
    problems: tuple[Problem, ...] = ()
    retry_after: float | None = None

    def registry(self, registry: Registry) -> Registry:
        """Return what a registry says of itself by now."""
        return replace(registry, listed=self.listed, problems=self.problems)

    def facts(self, registry: Registry) -> dict[Ref, Fact]:
        """Return all that a registry says."""
        versions = {each.ref: each for each in self.versions.values()}
        return {Ref.registry(registry.id): self.registry(registry), **versions}


class Poller(Protocol):
    """Reads one registry again and again, and remembers what it held."""

    def move(self, remote: Remote) -> None:
        """Read from another address from now on; what is known stays."""

    async def poll(self) -> Look:
        """Read what changed."""

    async def look_up(self, model_id: str, version_id: str) -> Look:
        """Read a version that a deployment names and no poll has seen."""


class WantCards(Protocol):
    """Has the cards read that a registry's versions refer to, and waits for them the first time."""

    async def __call__(
        self, registry: str, models: Collection[CatalogModel], *, changed: Collection[CatalogModel], first: bool
    ) -> None:
        """Take which cards a registry refers to now; those of `changed` are read again."""


class RegistrySource:
    """One model registry.

    After a failure the pause is shorter at first (up to `retry`) and grows to the interval, which is also the longest
    that a server is granted that asks to be left alone (`Retry-After`). All times are in seconds.
    """

    kind: SourceKind = "registry"
    namespaces: tuple[str, ...] = ()

    def __init__(
        self,
        ref: SourceRef,
        *,
        connector: Connector,
        poller: Callable[[Remote, Iterable[str]], Poller],
        expected: Expected,
        want_cards: WantCards,
        tell: Callable[[SourceRef, Fault | None], None],
        interval: float,
        retry: float,
    ) -> None:
        """`expected` is asked once, before the first poll; `tell` is told when it begins to fail, and when it ends."""
        self.ref = ref
        self.id = ref.source
        self._connector = connector
        self._new_poller = poller
        self._expected = expected
        self._want_cards = want_cards
        self._account = Account(tell=tell)
        self._interval = interval
        self._backoff = Backoff(min(retry, interval), interval)
        self._poller: Poller | None = None
        self._registry: Registry | None = None
        self._versions: Mapping[str, RegisteredVersion] = {}
        self._cards: frozenset[CatalogModel] = frozenset()
        self._asked_for: list[tuple[str, str]] = []
        self._poll_now = False
        self._over = False
        self._wake = asyncio.Event()

    @property
    def cards(self) -> frozenset[CatalogModel]:
        """The models of the model catalog whose cards its versions refer to."""
        return self._cards

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

    def relist(self) -> None:
        """Nothing more than polling: the interval is how often the registry may be asked."""

    def look_up(self, model_id: str, version_id: str) -> None:
        """Read a version that no poll has seen yet."""
        if (model_id, version_id) not in self._asked_for:
            self._asked_for.append((model_id, version_id))
            self._wake.set()

    async def run(self, sink: Sink) -> None:
        """Follow the registry until cancelled, over changes of its address."""
        while not self._over:
            ref = self.ref
            if not ref.url:
                self._failed(no_address(ref), sink)
                await self._sleep(None, sink)
                continue
            async with self._connector.open(ref) as remote:
                if self._poller is None:
                    self._poller = self._new_poller(remote, self._expected(ref.id))
                else:
                    self._poller.move(remote)
                while self.ref == ref and not self._over:
                    await self._sleep(await self._poll(self._poller, sink), sink)

    async def _poll(self, poller: Poller, sink: Sink) -> float:
        """Poll once and return the seconds until the next poll. Whatever the registry holds does not end this."""
        try:
            with self._connector.metrics.poll_seconds.labels(self.id).time():
                look = await poller.poll()
            await self._tell(look, sink)
        except Exception as error:
            log.exception("registry_not_processed", source=self.ref.label)
            self._failed(internal(self.ref, error), sink)
            return self._backoff.next()
        if not self._over:
            self._account.update(self.ref, look.fault)
            if look.complete:
                sink.listed(lacking=look.fault)
            elif look.fault is not None:
                sink.state(look.fault)
        if look.fault is None:
            self._backoff.reset()
            return spread(self._interval)
        return max(self._backoff.next(), min(look.retry_after or 0, self._interval))

    def _failed(self, fault: Fault, sink: Sink) -> None:
        if not self._over:
            self._account.update(self.ref, fault)
            sink.state(fault)

    async def _sleep(self, seconds: float | None, sink: Sink) -> None:
        """Wait for the next poll; look up what is asked for meanwhile."""
        until = None if seconds is None else time.monotonic() + seconds
        while not self._poll_now:
            if not await happens(self._wake, within=None if until is None else max(0, until - time.monotonic())):
                break
            self._wake.clear()
            asked, self._asked_for = self._asked_for, []
            for model_id, version_id in asked:
                if self._poller is not None and not self._poll_now:
                    await self._look_up(self._poller, model_id, version_id, sink)
        self._poll_now = False
        self._wake.clear()

    async def _look_up(self, poller: Poller, model_id: str, version_id: str, sink: Sink) -> None:
        try:
            await self._tell(await poller.look_up(model_id, version_id), sink)
        except Exception:
            log.exception("version_not_processed", source=self.ref.label, version=version_id, model=model_id)

    async def _tell(self, look: Look, sink: Sink) -> None:
        """Tell what is new since the last look, after having said which cards it calls for."""
        if self._over:
            return
        first, news = self._registry is None, self._news(look)
        changed = {fact.card for fact in news.values() if isinstance(fact, RegisteredVersion) and fact.card is not None}
        if news:
            live = (version for version in look.versions.values() if version.is_live)
            self._cards = frozenset(version.card for version in live if version.card is not None)
            again = frozenset() if first else changed & self._cards
            await self._want_cards(self.ref.id, self._cards, changed=again, first=first)
        self._registry, self._versions = look.registry(self.ref.registry), look.versions
        if news and not self._over:
            sink.changed(news)

    def _news(self, look: Look) -> dict[Ref, Fact | Gone | Missing]:
        """Return what a look says otherwise than the one before."""
        news: dict[Ref, Fact | Gone | Missing] = {}
        if (registry := look.registry(self.ref.registry)) != self._registry:
            news[Ref.registry(registry.id)] = registry
        if look.versions is not self._versions:
            news |= differences(self._versions, look.versions, deleted=look.deleted)
        return news


def differences(
    former: Mapping[str, RegisteredVersion], now: Mapping[str, RegisteredVersion], *, deleted: Collection[str] = ()
) -> dict[Ref, RegisteredVersion | Gone | Missing]:
    """Return what a registry says otherwise of its versions; all are given by id, those that were deleted too."""
    news: dict[Ref, RegisteredVersion | Gone | Missing] = {}
    for id_, was in former.items():
        if id_ not in now or now[id_].ref != was.ref:
            news[was.ref] = Gone() if id_ in deleted else Missing()
    return news | {each.ref: each for id_, each in now.items() if former.get(id_) is not each}
