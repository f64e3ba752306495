"""A model registry as a source: it is polled, and what has changed is reported as facts, whatever API it has."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from common.backoff import Backoff, happens, spread
from common.clocks import loop_time
from common.faults import Fault
from common.problems import Problem
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry
from services.normalizer.source import Fact, Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.faults import internal, no_address
from services.normalizer.sources.http import Connector, FaultReporter, Remote
from services.normalizer.sources.refs import SourceRef

log = structlog.get_logger("sources")

Expected = Callable[[str], Iterable[str]]
"""Returns the ids of the versions of a registry that an earlier run has stored, given the registry's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The result of a poll or a look-up: what a registry has now, and how complete that is.

    `versions`: all that are known, by id; one that has not changed is the same object as before. `deleted`: ids of
    former versions that the registry says were deleted.
    `complete`: every list was read to the end, so that a version that is not in `versions` is missing.
    `listed`: every list was read to the end at least once since the start.
    `fault`: why something could not be read, None when everything was.
    `retry_after`: the seconds that the registry asks to wait before the next request.
    """

    versions: Mapping[str, RegisteredVersion]
    deleted: Collection[str] = ()
    complete: bool
    listed: bool
    fault: Fault | None = None
    problems: tuple[Problem, ...] = ()
    retry_after: float | None = None

    def registry(self, registry: Registry) -> Registry:
        """Return the fact about the registry itself."""
        return replace(registry, listed=self.listed, problems=self.problems)

    def facts(self, registry: Registry) -> dict[Ref, Fact]:
        """Return all facts."""
        versions = {each.ref: each for each in self.versions.values()}
        return {Ref.registry(registry.id): self.registry(registry), **versions}


class Poller(Protocol):
    """Reads one registry and remembers its content from one poll to the next."""

    def move(self, remote: Remote) -> None:
        """Read from another address from now on, and keep what is known."""

    async def poll(self) -> Look:
        """Read what changed."""

    async def look_up(self, model_id: str, version_id: str) -> Look:
        """Read one version, which a deployment names and no poll has read yet."""


class CardRequester(Protocol):
    """Requests the cards that a registry's versions refer to; the first time it also waits for them."""

    async def __call__(
        self, registry: str, models: Collection[CatalogModel], *, changed: Collection[CatalogModel], first: bool
    ) -> None:
        """Request the cards of `models`, instead of those requested before; those of `changed` are read again."""


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
        request_cards: CardRequester,
        on_fault: Callable[[SourceRef, Fault | None], None],
        interval: float,
        retry: float,
    ) -> None:
        """`expected` is called once, before the first poll; `on_fault` when the registry fails, or recovers."""
        self.ref = ref
        self.id = ref.source
        self._connector = connector
        self._new_poller = poller
        self._expected = expected
        self._request_cards = request_cards
        self._reporter = FaultReporter(on_fault)
        self._interval = interval
        self._backoff = Backoff(min(retry, interval), interval)
        self._poller: Poller | None = None
        self._registry: Registry | None = None
        self._versions: Mapping[str, RegisteredVersion] = {}
        self._cards: frozenset[CatalogModel] = frozenset()
        self._requested: list[tuple[str, str]] = []
        self._poll_now = False
        self._stopped = False
        self._wake = asyncio.Event()

    @property
    def cards(self) -> frozenset[CatalogModel]:
        """The models of the model catalog whose cards its versions refer to."""
        return self._cards

    def update(self, ref: SourceRef) -> None:
        """Use the address that discovery has found now; without one, the former address is kept."""
        new = ref if ref.url else replace(ref, url=self.ref.url)
        if new != self.ref:
            self.ref = new
            self.poll_now()

    def stop(self) -> None:
        """Report nothing from now on, even if requests are still under way: the registry is gone."""
        self._stopped = True

    def poll_now(self) -> None:
        """Poll without waiting for the end of the interval."""
        self._poll_now = True
        self._wake.set()

    def relist(self) -> None:
        """Do nothing: a registry is polled anyway, no more often than the interval allows."""

    def look_up(self, model_id: str, version_id: str) -> None:
        """Read a version before the next poll."""
        if (model_id, version_id) not in self._requested:
            self._requested.append((model_id, version_id))
            self._wake.set()

    async def run(self, sink: Sink) -> None:
        """Poll the registry until cancelled, also when its address changes."""
        while not self._stopped:
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
                while self.ref == ref and not self._stopped:
                    await self._sleep(await self._poll(self._poller, sink), sink)

    async def _poll(self, poller: Poller, sink: Sink) -> float:
        """Poll once and return the seconds until the next poll; never raises, whatever the registry answers."""
        try:
            with self._connector.metrics.poll_seconds.labels(self.id).time():
                look = await poller.poll()
            await asyncio.sleep(0)  # let other tasks run: joining many versions took long, and so does reporting them
            await self._report(look, sink)
        except Exception as error:
            log.exception("registry_not_processed", source=self.ref.label)
            self._failed(internal(self.ref, error), sink)
            return self._backoff.next()
        if not self._stopped:
            self._reporter.update(self.ref, look.fault)
            if look.complete:
                sink.listed(lacking=look.fault)
            elif look.fault is not None:
                sink.state(look.fault)
        if look.fault is None:
            self._backoff.reset()
            return spread(self._interval)
        return max(self._backoff.next(), min(look.retry_after or 0, self._interval))

    def _failed(self, fault: Fault, sink: Sink) -> None:
        if not self._stopped:
            self._reporter.update(self.ref, fault)
            sink.state(fault)

    async def _sleep(self, seconds: float | None, sink: Sink) -> None:
        """Wait until the next poll is due, and look up versions when requested."""
        until = None if seconds is None else loop_time() + seconds
        while not self._poll_now:
            if not await happens(self._wake, within=None if until is None else max(0, until - loop_time())):
                break
            self._wake.clear()
            requested, self._requested = self._requested, []
            for model_id, version_id in requested:
                if self._poller is not None and not self._poll_now:
                    await self._look_up(self._poller, model_id, version_id, sink)
        self._poll_now = False
        self._wake.clear()

    async def _look_up(self, poller: Poller, model_id: str, version_id: str, sink: Sink) -> None:
        try:
            await self._report(await poller.look_up(model_id, version_id), sink)
        except Exception:
            log.exception("version_not_processed", source=self.ref.label, version=version_id, model=model_id)

    async def _report(self, look: Look, sink: Sink) -> None:
        """Report what has changed since the last look, after requesting the cards that it needs."""
        if self._stopped:
            return
        first, news = self._registry is None, self._changes(look)
        changed = {fact.card for fact in news.values() if isinstance(fact, RegisteredVersion) and fact.card is not None}
        if news:
            live = (version for version in look.versions.values() if version.is_live)
            self._cards = frozenset(version.card for version in live if version.card is not None)
            again = frozenset() if first else changed & self._cards
            await self._request_cards(self.ref.id, self._cards, changed=again, first=first)
        self._registry, self._versions = look.registry(self.ref.registry), look.versions
        if news and not self._stopped:
            sink.changed(news)

    def _changes(self, look: Look) -> dict[Ref, Fact | Gone | Missing]:
        """Return what has changed since the last look."""
        news: dict[Ref, Fact | Gone | Missing] = {}
        if (registry := look.registry(self.ref.registry)) != self._registry:
            news[Ref.registry(registry.id)] = registry
        if look.versions is not self._versions:
            news |= differences(self._versions, look.versions, deleted=look.deleted)
        return news


def differences(
    former: Mapping[str, RegisteredVersion], now: Mapping[str, RegisteredVersion], *, deleted: Collection[str] = ()
) -> dict[Ref, RegisteredVersion | Gone | Missing]:
    """Return what has changed between two looks at the versions of a registry, each given by id; `deleted` are ids."""
    news: dict[Ref, RegisteredVersion | Gone | Missing] = {}
    for id_, was in former.items():
        if id_ not in now or now[id_].ref != was.ref:
            news[was.ref] = Gone() if id_ in deleted else Missing()
    return news | {each.ref: each for id_, each in now.items() if former.get(id_) is not each}
