"""Keeps the cache equal to its store, and announces each change: to metrics, to the history, and to location."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import replace

import structlog

from common.backoff import happens
from common.health import Health
from common.wire import Batch, Changes, Upsert
from services.storage_rest.cache import Cache
from services.storage_rest.push import Followers, Pusher
from services.storage_rest.removals import REPLICA, Arrivals, Departures
from services.storage_rest.stores.base import LoadedCache, Store, StoreUnavailable
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

FLUSH_WAIT = 5.0
"""Seconds that the process waits for the store before it ends."""
LOADING_WAIT = 5.0
"""Seconds that a request waits for the store to be loaded."""
STARTED_BEFORE = 10.0
"""Seconds that location has after our start to request changes, before everything is pushed to it."""
DAMAGE_REMEDY = (
    "it is complete again when every source has been read; to serve what is left now: connector removals accept"
)


class StoredCache:
    """The cache with its store, its history and its followers; the store sees it as `CacheView`.

    A change is in the cache and visible to readers as soon as it is accepted. While writes fail, new and changed
    entries become visible only when they are durable. The store receives changes in the order in which they were
    accepted.
    """

    def __init__(self, *, store: Store, telemetry: StorageMetrics, health: Health, clock: Callable[[], float]) -> None:
        """`clock` returns seconds since the epoch and never steps: see `common.clocks.steady_clock`."""
        self.store = store
        self.cache = Cache()
        self.arrivals = Arrivals(clock=clock)
        self.departures = Departures(telemetry=telemetry, clock=clock)
        self.followers = Followers()
        self.pushes: Pusher | None = None
        """Pushes every change as well, unless location requests changes itself."""
        self._telemetry = telemetry
        self._health = health
        self._loaded = asyncio.Event()
        health.set("store", ok=False, reason="the cache is not loaded yet")

    async def run(self) -> None:
        """Load, write and follow the store, until cancelled."""
        await self.store.run(self)

    def close(self) -> None:
        """End the requests that wait for changes."""
        self.cache.wake()

    async def loaded(self, *, patiently: bool = False) -> None:
        """Wait until the store is loaded: `LOADING_WAIT` seconds, or `patiently` as long as it takes.

        Raises:
            StoreUnavailable: it is not loaded after that time.
        """
        if not await happens(self._loaded, within=None if patiently else LOADING_WAIT):
            raise StoreUnavailable("the cache is not loaded yet: GET /readyz says why")

    async def flush(self) -> None:
        """Wait up to `FLUSH_WAIT` seconds until everything that was accepted is durable.

        Nothing is accepted before the store is loaded, so that there is nothing to wait for until then.
        """
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(FLUSH_WAIT):
                await self.store.durable(self.cache.entries, self.cache.cards, complete=self.complete)

    def accept(self, batch: Batch) -> Changes:
        """Put a batch into the cache and give it to the store; return the changes that readers see."""
        before = self.cache.revision
        gone = [self.cache.entries[key] for key in batch.removals if key in self.cache.entries]
        new = [upsert for upsert in batch.upserts if upsert.key not in self.cache.entries]
        changes = self.cache.apply(batch, withhold=bool(self.store.fault))
        if changes.revision != before:
            self.departures.note(gone, batch.removals)
            self.arrivals.note(new)
            self._report()
            self.store.write(self._as_accepted(batch, changes))
            self._push(changes)
        return changes

    # --- for followers and pushes (services.storage_rest.push.PushedCache)

    @property
    def revision(self) -> str:
        """The revision of the current content."""
        return self.cache.revision

    @property
    def followed(self) -> bool:
        """Whether a reader requests the changes, so that they need not be pushed."""
        return self.followers.active

    @property
    def keys(self) -> list[str]:
        """The keys of all entries that are visible to readers, sorted."""
        return self.cache.shown_keys

    def shown(self, key: str) -> Upsert | None:
        """Return an entry as it is visible to readers."""
        return self.cache.shown(key)

    # --- for the store (services.storage_rest.stores.base.CacheView)

    @property
    def complete(self) -> bool:
        """Whether the cache is known to be complete."""
        return self.cache.complete

    @property
    def damage(self) -> str:
        """What was missing from the loaded cache, until it is known to be complete again."""
        return self.cache.damage

    def entry(self, key: str) -> Upsert | None:
        """Return the entry under a key."""
        return self.cache.entries.get(key)

    def card(self, key: str) -> str | None:
        """Return the text of a card."""
        return self.cache.cards.get(key)

    def load(self, loaded: LoadedCache) -> None:
        """Start with the content of the store, even with documents that are larger than the limit."""
        self.cache.load(loaded)
        self._report()
        self._loaded.set()
        self.progressed()
        log.info("cache_loaded", documents=len(self.cache.entries), cards=len(self.cache.cards), complete=self.complete)
        if self.pushes is not None:
            self.pushes.push_all(after=STARTED_BEFORE)

    def progressed(self) -> None:
        """Update the condition `store`, and make entries visible that were withheld and are durable now."""
        self._health.set("store", ok=not self.store.fault, reason=self.store.fault)
        if not self.cache.withheld:
            return
        durable = self.cache.withheld - self.store.lacks(self.cache.withheld)
        if durable:
            self._push(self.cache.release(durable))

    def take_over(self, upserts: Iterable[Upsert], cards: Mapping[str, str]) -> None:
        """Accept entries and cards that another process wrote into the store."""
        self.accept(Batch(upserts=tuple(upserts), cards=cards))

    def removed_elsewhere(self, keys: Collection[str]) -> AbstractSet[str]:
        """Remove entries that another replica removed and that are leaving here too; return those still wanted."""
        entries = self.cache.entries
        leaving = {key for key in keys if key in entries and entries[key].leaving is not None}
        if leaving:
            self.accept(Batch(removals=dict.fromkeys(leaving, REPLICA)))
        return (entries.keys() & keys) - leaving

    # --- internal

    def _as_accepted(self, batch: Batch, shown: Changes) -> Changes:
        """Return the changes with the accepted entries, including those that are not visible to readers yet."""
        if not self.cache.withheld:
            return shown
        touched = dict.fromkeys([*(upsert.key for upsert in batch.upserts), *batch.leaving])
        upserts = tuple(self.cache.entries[key] for key in touched if key in self.cache.entries)
        removals = {key: reason for key, reason in batch.removals.items() if key not in self.cache.entries}
        return replace(shown, upserts=upserts, removals=removals)

    def _push(self, changes: Changes) -> None:
        if self.pushes is not None and not self.followed:
            self.pushes.push(changes)

    def _report(self) -> None:
        """Update metrics and the condition `cache`."""
        damage = self.cache.damage
        if self._health.set("cache", ok=not damage, reason=f"{damage}; {DAMAGE_REMEDY}" if damage else "") and damage:
            log.error("cache_damaged", damage=damage)
        self._telemetry.damaged.set(bool(damage))
        self._telemetry.documents.set(len(self.cache.entries))
        self._telemetry.cards.set(len(self.cache.cards))
        self._telemetry.complete.set(self.complete)
        self._telemetry.leaving.clear()
        for reason, count in Counter(entry.leaving.reason for entry in self.cache.leaving if entry.leaving).items():
            self._telemetry.leaving.labels(reason).set(count)
