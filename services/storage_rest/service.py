"""The work of storage-rest without HTTP: accepts batches, keeps them durably, and announces changes to readers."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from common.backoff import happens
from common.health import Health
from common.status import ShardStatus
from common.wire import Applied, Awaited, Batch, CacheListing, Changes, Upsert
from services.storage_rest.cache import Cache
from services.storage_rest.push import Followers
from services.storage_rest.removals import (
    CONFIRMED,
    REPLICA,
    Arrival,
    Arrivals,
    Departure,
    Departures,
    RemovalPolicy,
    by_reason,
    decide,
)
from services.storage_rest.screening import Screen
from services.storage_rest.stores.base import LoadedCache, Refusal, Store, StoreUnavailable
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

FLUSH_WAIT = 5.0
"""Seconds that the process waits for the store before it ends."""
LOADING_WAIT = 5.0
"""Seconds that a request waits for the store to be loaded."""
STARTED_BEFORE = 10.0
"""Seconds that location has after our start to request changes, before everything is pushed to it."""
STARTING = 1.0
"""Seconds that an original location needs, after the last document that it read, before it accepts pushes."""
MOST_FOLLOWERS = 64
"""How many requests may wait for changes at a time: each of them receives every change."""
PROBLEMS_KEPT = 1000
DAMAGE_REMEDY = (
    "it is complete again when every source has been read; to serve what is left now: connector removals accept"
)


class NotLeaving(Exception):
    """An entry that should be confirmed or refused is not about to leave."""


class TooManyFollowers(Exception):
    """`MOST_FOLLOWERS` requests are already waiting for changes."""


class PushQueue(Protocol):
    """Pushes changes to a location that does not request them itself."""

    def push(self, changes: Changes) -> None:
        """Push changes."""

    def push_all(self, *, after: float) -> None:
        """Push everything, `after` seconds after the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Applied):
    """The result of a batch, with counts; `refused` has the details of `problems` by key."""

    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    problems: tuple[Refusal, ...] = ()


class StorageService:
    """The cache, its store and its readers.

    A change is in the cache and visible to readers as soon as it is accepted; `apply` and `keep_only` return when it is
    durable. While writes fail, new and changed entries become visible only when they are durable. The store receives
    changes in the order in which they were accepted.
    """

    def __init__(
        self,
        *,
        store: Store,
        telemetry: StorageMetrics,
        health: Health,
        document_limit: int,
        policy: RemovalPolicy,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` returns seconds since the epoch."""
        self._store = store
        self._telemetry = telemetry
        self._health = health
        health.set("store", ok=False, reason="the cache is not loaded yet")
        self._screen = Screen(store=store, document_limit=document_limit, telemetry=telemetry)
        self._policy = policy
        self._clock = clock
        self._arrivals = Arrivals(clock=clock)
        self._departures = Departures(telemetry=telemetry, clock=clock)
        self._followers = Followers()
        self._cache = Cache()
        self._loaded = asyncio.Event()
        self._pushes: PushQueue | None = None
        self._problems: dict[str, Refusal] = {}

    def push_to(self, pushes: PushQueue) -> None:
        """Also push every change, unless location requests changes itself."""
        self._pushes = pushes

    async def run(self) -> None:
        """Load, write and follow the store, until cancelled."""
        await self._store.run(self)

    def close(self) -> None:
        """End the requests that wait for changes."""
        self._cache.wake()

    # --- what is stored

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
                await self._store.durable(self._cache.entries, self._cache.cards, complete=self.complete)

    @property
    def revision(self) -> str:
        """The revision of the current content."""
        return self._cache.revision

    @property
    def keys(self) -> list[str]:
        """The keys of all entries that are visible to readers, sorted."""
        return self._cache.shown_keys

    def shown(self, key: str) -> Upsert | None:
        """Return an entry as it is visible to readers."""
        return self._cache.shown(key)

    @property
    def problems(self) -> Collection[Refusal]:
        """The documents and cards that were refused and have not been corrected since."""
        return self._problems.values()

    async def listing(self, known: str = "") -> CacheListing | None:
        """Return the digests of everything; None if nothing has changed since the revision `known`.

        Raises:
            StoreUnavailable: the cache is not loaded yet.
        """
        await self.loaded()
        return None if known == self.revision else self._cache.listing()

    def snapshot(self) -> Changes:
        """Return everything; the reader is expected to request changes next."""
        self._followers.note_request()
        return self._with_fault(self._cache.snapshot())

    async def changes(self, since: str, wait: float) -> Changes | None:
        """Return the changes since a revision, waiting up to `wait` seconds for one.

        Returns None if they are unknown: the revision is from another process, or too old.

        Raises:
            TooManyFollowers: `MOST_FOLLOWERS` requests are already waiting.
        """
        if self._cache.since(since) is None:
            return None
        if since == self.revision and self._followers.count >= MOST_FOLLOWERS:
            raise TooManyFollowers
        with self._followers.waiting():
            await self._cache.wait(since, wait)
        changes = self._cache.since(since)
        return None if changes is None else self._with_fault(changes)

    def _with_fault(self, changes: Changes) -> Changes:
        """Return the changes; if entries are withheld because they could not be written, with that reason."""
        if changes.complete or not self.complete:
            return changes
        return replace(changes, awaited=(Awaited(source="the cache of storage-rest", reason=self._store.fault),))

    @property
    def followed(self) -> bool:
        """Whether a reader requests the changes, so that they need not be pushed."""
        return self._followers.active

    def read_by_original(self) -> None:
        """Record a read with the original's requests: a location is starting and needs everything pushed."""
        if self._pushes is not None and not self.followed:
            self._pushes.push_all(after=STARTING)

    # --- changes

    async def apply(self, batch: Batch) -> Outcome:
        """Accept a batch and return when it is durable; what cannot be stored is among the problems returned.

        Raises:
            StoreUnavailable: the cache is not loaded yet, or the batch was accepted but not durable in time. It may be
                sent again.
        """
        await self.loaded()
        accepted, refusals = self._screen.check(batch)
        base = self.revision
        changes = self._accept(accepted)
        refusals += await self._store.durable(
            {*(upsert.key for upsert in accepted.upserts), *accepted.leaving, *accepted.removals},
            {upsert.card_key for upsert in accepted.upserts if upsert.card_key} | set(accepted.cards),
            complete=(accepted.complete or accepted.confirmed) and self.complete,
        )
        self._note(refusals, fixed=[*(upsert.key for upsert in accepted.upserts), *accepted.removals])
        return Outcome(
            revision=changes.revision,
            base=base,
            refused={refusal.key: refusal.detail for refusal in refusals},
            changed=len(changes.upserts),
            unchanged=len(accepted.upserts) - len(changes.upserts),
            removed=len(changes.removals),
            problems=tuple(refusals),
        )

    async def keep_only(self, keys: AbstractSet[str]) -> int:
        """Remove every entry whose key is not given, or mark it if they are many; return how many are only marked.

        The cache counts as complete afterwards if every given key is stored, or was refused.

        Raises:
            StoreUnavailable: as `apply`.
        """
        await self.loaded()
        stored = self._cache.entries
        policy = self._policy
        lately = self._departures.unnamed_within(policy.hold)
        decision = decide(keys, stored, policy=policy, lately=lately, now=self._clock())
        if any(decision.marks.values()):
            log.warning(
                "removals_held",
                entries=decision.held,
                stored=len(stored),
                remedy="they are removed after REMOVAL_HOLD unless they are listed again: see connector removals list",
            )
        for key in self._problems.keys() - keys:
            del self._problems[key]
        # A set without any stored key may come from a failed list: it never makes an empty feed complete.
        complete = not keys.isdisjoint(stored) and keys <= (stored.keys() | self._problems.keys())
        confirmed = complete and not decision.held
        await self.apply(
            Batch(leaving=decision.marks, removals=decision.removals, complete=complete, confirmed=confirmed)
        )
        return decision.held

    # --- for administrators

    @property
    def leaving(self) -> list[tuple[Upsert, int | None]]:
        """The entries that are leaving, and when at the earliest (seconds since the epoch; None: kept)."""
        return [(entry, self._policy.due(entry.leaving)) for entry in self._cache.leaving if entry.leaving]

    @property
    def shards(self) -> Sequence[ShardStatus]:
        """The ConfigMaps in which the store keeps the cache; empty for other stores."""
        return self._store.shards

    @property
    def card_count(self) -> int:
        """How many model cards are stored."""
        return len(self._cache.cards)

    @property
    def arrivals(self) -> Iterable[Arrival]:
        """The entries added last, the latest first."""
        return self._arrivals

    @property
    def departures(self) -> Iterable[Departure]:
        """The entries removed last, the latest first."""
        return self._departures

    async def confirm(self, keys: Collection[str]) -> None:
        """Remove entries that are leaving at once.

        Raises:
            NotLeaving: one of them is not leaving.
            StoreUnavailable: as `apply`.
        """
        await self.loaded()
        self._check_leaving(keys)
        await self.apply(Batch(removals=dict.fromkeys(keys, CONFIRMED)))

    async def refuse(self, keys: Collection[str]) -> None:
        """Keep entries that are leaving until their source lists them again or the removal is confirmed.

        Raises:
            NotLeaving, StoreUnavailable: as `confirm`.
        """
        await self.loaded()
        self._check_leaving(keys)
        marks = {key: self._cache.entries[key].leaving for key in keys}
        await self.apply(Batch(leaving={key: mark and replace(mark, refused=True) for key, mark in marks.items()}))

    async def accept(self) -> str:
        """Accept a damaged cache as complete; return what is missing from it (empty: it was not damaged)."""
        await self.loaded()
        damage = self._cache.damage
        if damage:
            log.warning("damage_accepted", damage=damage)
            self._cache.damage = ""
            await self.apply(Batch(complete=True))
        return damage

    def _check_leaving(self, keys: Collection[str]) -> None:
        stored = self._cache.entries
        if wrong := sorted(key for key in keys if key not in stored or stored[key].leaving is None):
            raise NotLeaving(f"not about to leave: {', '.join(key[:80] for key in wrong[:5])}")

    # --- for the store (services.storage_rest.stores.base.CacheView)

    @property
    def complete(self) -> bool:
        """Whether the cache is known to be complete."""
        return self._cache.complete

    @property
    def damage(self) -> str:
        """What was missing from the loaded cache, until it is known to be complete again."""
        return self._cache.damage

    def entry(self, key: str) -> Upsert | None:
        """Return the entry under a key."""
        return self._cache.entries.get(key)

    def card(self, key: str) -> str | None:
        """Return the text of a card."""
        return self._cache.cards.get(key)

    def load(self, loaded: LoadedCache) -> None:
        """Start with the content of the store, even with documents that are larger than the limit."""
        self._cache.load(loaded)
        self._measure()
        self._report_damage()
        self._loaded.set()
        self.progressed()
        log.info(
            "cache_loaded", documents=len(self._cache.entries), cards=len(self._cache.cards), complete=self.complete
        )
        if self._pushes is not None:
            self._pushes.push_all(after=STARTED_BEFORE)

    def progressed(self) -> None:
        """Update the condition `store`, and make entries visible that were withheld and are durable now."""
        self._health.set("store", ok=not self._store.fault, reason=self._store.fault)
        if not self._cache.withheld:
            return
        durable = self._cache.withheld - self._store.lacks(self._cache.withheld)
        if durable:
            changes = self._cache.release(durable)
            if self._pushes is not None and not self.followed:
                self._pushes.push(changes)

    def take_over(self, upserts: Iterable[Upsert], cards: Mapping[str, str]) -> None:
        """Accept entries and cards that another process wrote into the store."""
        self._accept(Batch(upserts=tuple(upserts), cards=cards))

    def removed_elsewhere(self, keys: Collection[str]) -> AbstractSet[str]:
        """Remove entries that another replica removed and that are leaving here too; return those still wanted."""
        entries = self._cache.entries
        leaving = {key for key in keys if key in entries and entries[key].leaving is not None}
        if leaving:
            self._accept(Batch(removals=dict.fromkeys(leaving, REPLICA)))
        return (entries.keys() & keys) - leaving

    # --- internal

    def _accept(self, batch: Batch) -> Changes:
        before = self._cache.revision
        gone = [self._cache.entries[key] for key in batch.removals if key in self._cache.entries]
        new = [upsert for upsert in batch.upserts if upsert.key not in self._cache.entries]
        changes = self._cache.apply(batch, withhold=bool(self._store.fault))
        if changes.revision != before:
            self._departures.note(gone, batch.removals)
            self._arrivals.note(new)
            self._measure()
            self._report_damage()
            self._store.write(self._as_accepted(batch, changes))
            if self._pushes is not None and not self.followed:
                self._pushes.push(changes)
        return changes

    def _as_accepted(self, batch: Batch, shown: Changes) -> Changes:
        """Return the changes with the accepted entries, including those that are not visible to readers yet."""
        if not self._cache.withheld:
            return shown
        touched = dict.fromkeys([*(upsert.key for upsert in batch.upserts), *batch.leaving])
        upserts = tuple(self._cache.entries[key] for key in touched if key in self._cache.entries)
        removals = {key: reason for key, reason in batch.removals.items() if key not in self._cache.entries}
        return replace(shown, upserts=upserts, removals=removals)

    def _report_damage(self) -> None:
        damage = self._cache.damage
        if self._health.set("cache", ok=not damage, reason=f"{damage}; {DAMAGE_REMEDY}" if damage else "") and damage:
            log.error("cache_damaged", damage=damage)
        self._telemetry.damaged.set(bool(damage))

    def _note(self, refusals: Iterable[Refusal], *, fixed: Iterable[str]) -> None:
        for key in fixed:
            self._problems.pop(key, None)
        for refusal in refusals:
            self._problems[refusal.key] = refusal
        while len(self._problems) > PROBLEMS_KEPT:
            del self._problems[next(iter(self._problems))]

    def _measure(self) -> None:
        self._telemetry.documents.set(len(self._cache.entries))
        self._telemetry.cards.set(len(self._cache.cards))
        self._telemetry.complete.set(self._cache.complete)
        self._telemetry.leaving.clear()
        for reason, count in by_reason(self._cache.leaving).items():
            self._telemetry.leaving.labels(reason).set(count)
