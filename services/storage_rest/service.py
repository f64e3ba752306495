"""storage-rest without HTTP: takes batches, keeps them, tells anyone who follows."""

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
from common.wire import Applied, Awaited, Batch, Changes, Listing, Upsert
from services.storage_rest.cache import Cache
from services.storage_rest.followers import Followers
from services.storage_rest.removals import (
    CONFIRMED,
    REPLICA,
    Arrival,
    Arrivals,
    Departure,
    Departures,
    Patience,
    by_reason,
    judge,
)
from services.storage_rest.screening import Screen
from services.storage_rest.stores.base import Contents, Refusal, Store, StoreUnavailable
from services.storage_rest.telemetry import Telemetry

log = structlog.get_logger("storage")

SETTLING_WAIT = 5.0
"""Seconds that the end of the process waits for the store."""
LOADING_WAIT = 5.0
"""Seconds that a request waits for the store to be loaded."""
STARTED_BEFORE = 10.0
"""Seconds that a location has after our start to follow, before it is sent everything."""
STARTING = 1.0
"""Seconds that a location of the original needs, after the last document it read, until it takes what is sent."""
MOST_FOLLOWERS = 64
"""How many may wait for changes at a time: each of them is sent every change."""
PROBLEMS_KEPT = 1000
DAMAGE_REMEDY = "it is whole again when every source was read; to serve what is left at once: connector removals accept"


class NotLeaving(Exception):
    """What was to be confirmed or refused is not about to leave."""


class TooManyFollowers(Exception):
    """Nobody else can wait for changes just now."""


class Bridge(Protocol):
    """Tells a location that does not ask by itself."""

    def tell(self, changes: Changes) -> None:
        """Pass changes on."""

    def tell_all(self, *, after: float) -> None:
        """Pass everything on, some seconds after the last call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Applied):
    """The result of a batch, with counts; `refused` says the same as `problems`, by key."""

    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    problems: tuple[Refusal, ...] = ()


class StorageService:
    """The service's work.

    Every change is in the cache when it is accepted; `apply` and `keep_only` return when it is durable. It is told when
    it is accepted, too; but after a write that failed, what is new or changed is told when it is durable.
    The store takes changes in the order in which they were accepted.
    """

    def __init__(
        self,
        *,
        store: Store,
        telemetry: Telemetry,
        health: Health,
        document_limit: int,
        patience: Patience,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` gives seconds of the epoch."""
        self._store = store
        self._telemetry = telemetry
        self._health = health
        health.set("store", ok=False, reason="the cache is not loaded yet")
        self._screen = Screen(store=store, document_limit=document_limit, telemetry=telemetry)
        self._patience = patience
        self._clock = clock
        self._arrivals = Arrivals(clock=clock)
        self._departures = Departures(telemetry=telemetry, clock=clock)
        self._followers = Followers()
        self._cache = Cache()
        self._loaded = asyncio.Event()
        self._bridge: Bridge | None = None
        self._problems: dict[str, Refusal] = {}

    def attach(self, bridge: Bridge) -> None:
        """Have every change told to `bridge` too."""
        self._bridge = bridge

    async def run(self) -> None:
        """Load, write and follow the store, until cancelled."""
        await self._store.run(self)

    def close(self) -> None:
        """Let those who wait for changes go."""
        self._cache.wake()

    # --- what is stored

    async def loaded(self, *, patiently: bool = False) -> None:
        """Wait for the store to be loaded: for a moment, or `patiently` for as long as it takes.

        Raises:
            StoreUnavailable: it is not loaded after that moment.
        """
        if not await happens(self._loaded, within=None if patiently else LOADING_WAIT):
            raise StoreUnavailable("the cache is not loaded yet; /readyz tells why")

    async def settle(self) -> None:
        """Wait a moment, at the end, for what was accepted to be durable."""
        if not self.is_loaded:
            return
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(SETTLING_WAIT):
                await self._store.durable(self._cache.entries, self._cache.cards, complete=self.complete)

    @property
    def is_loaded(self) -> bool:
        """Whether the store has been loaded."""
        return self._loaded.is_set()

    @property
    def revision(self) -> str:
        """The revision of what is stored now."""
        return self._cache.revision

    @property
    def keys(self) -> list[str]:
        """The keys of all entries that readers see, sorted."""
        return self._cache.shown_keys

    def shown(self, key: str) -> Upsert | None:
        """Return an entry as readers see it."""
        return self._cache.shown(key)

    @property
    def problems(self) -> Collection[Refusal]:
        """What was refused last and has not been fixed since."""
        return self._problems.values()

    async def listing(self, known: str = "") -> Listing | None:
        """Return everything by digest; None when that is what it was at the revision `known`.

        Raises:
            StoreUnavailable: not loaded yet.
        """
        await self.loaded()
        return None if known == self.revision else self._cache.listing()

    def snapshot(self) -> Changes:
        """Return everything; who asks for it is about to follow."""
        self._followers.asked()
        return self._with_fault(self._cache.snapshot())

    async def changes(self, since: str, wait: float) -> Changes | None:
        """Return what changed since a revision, waiting up to `wait` seconds for it.

        Returns None when that cannot be told: the revision is another process's, or too old.

        Raises:
            TooManyFollowers: `MOST_FOLLOWERS` are waiting already.
        """
        if self._cache.since(since) is None:
            return None
        if since == self.revision and self._followers.count >= MOST_FOLLOWERS:
            raise TooManyFollowers
        with self._followers.waiting():
            await self._cache.wait(since, wait)
        changes = self._cache.since(since)
        return None if changes is None else self._with_fault(changes)

    def _with_fault(self, told: Changes) -> Changes:
        """Return what is told to readers, with what keeps all there is from them: that it could not be written."""
        if told.complete or not self.complete:
            return told
        return replace(told, awaited=(Awaited(source="the cache of storage-rest", reason=self._store.fault),))

    @property
    def followed(self) -> bool:
        """Whether somebody reads the changes, so that they need not be pushed."""
        return self._followers.present

    def read_by_original(self) -> None:
        """Note a read with the original's requests: a location that starts, and needs everything pushed."""
        if self._bridge is not None and not self.followed:
            self._bridge.tell_all(after=STARTING)

    # --- changes

    async def apply(self, batch: Batch) -> Outcome:
        """Take a batch and return when it is durable; what cannot be kept is among the answer's problems.

        Raises:
            StoreUnavailable: not loaded yet, or accepted and told but not durable in time. Sending it again is right.
        """
        await self.loaded()
        accepted, refusals = self._screen.pass_on(batch)
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
        """Remove every entry that is not named, or mark it when these are many; return how many stay marked.

        The cache counts as complete afterwards if everything named is there, or was refused for good.

        Raises:
            StoreUnavailable: as `apply`.
        """
        await self.loaded()
        stored = self._cache.entries
        patience = self._patience
        lately = self._departures.unnamed_within(patience.hold)
        verdict = judge(keys, stored, patience=patience, lately=lately, now=self._clock())
        if any(verdict.marks.values()):
            log.warning(
                "removals_held",
                entries=verdict.held,
                stored=len(stored),
                remedy="they stay for REMOVAL_HOLD, unless they are named again: see connector removals list",
            )
        for key in self._problems.keys() - keys:
            del self._problems[key]
        # One that names nothing of what there is may be of a list that failed: it never makes an empty feed complete.
        complete = not keys.isdisjoint(stored) and keys <= (stored.keys() | self._problems.keys())
        confirmed = complete and not verdict.held
        await self.apply(
            Batch(leaving=verdict.marks, removals=verdict.removals, complete=complete, confirmed=confirmed)
        )
        return verdict.held

    # --- for administrators

    @property
    def leaving(self) -> list[tuple[Upsert, int | None]]:
        """The entries that are leaving, with when at the earliest (seconds of the epoch, None: not)."""
        return [(entry, self._patience.due(entry.leaving)) for entry in self._cache.leaving if entry.leaving]

    @property
    def shards(self) -> Sequence[ShardStatus]:
        """The pieces that the store keeps the cache in."""
        return self._store.shards

    @property
    def card_count(self) -> int:
        """How many model cards are stored."""
        return len(self._cache.cards)

    @property
    def arrivals(self) -> Iterable[Arrival]:
        """What has arrived lately, the latest first."""
        return self._arrivals

    @property
    def departures(self) -> Iterable[Departure]:
        """What has left lately, the latest first."""
        return self._departures

    async def confirm(self, keys: Collection[str]) -> None:
        """Remove entries that are leaving, now.

        Raises:
            NotLeaving: one of them is not.
            StoreUnavailable: as `apply`.
        """
        await self.loaded()
        self._check_leaving(keys)
        await self.apply(Batch(removals=dict.fromkeys(keys, CONFIRMED)))

    async def refuse(self, keys: Collection[str]) -> None:
        """Keep entries that are leaving until they are seen again, or confirmed; raises as `confirm`."""
        await self.loaded()
        self._check_leaving(keys)
        marks = {key: self._cache.entries[key].leaving for key in keys}
        await self.apply(Batch(leaving={key: mark and replace(mark, refused=True) for key, mark in marks.items()}))

    async def accept(self) -> str:
        """Take a damaged cache for everything there is; return what is missing from it, empty when nothing was."""
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
            raise NotLeaving(f"not among what is leaving: {', '.join(key[:80] for key in wrong[:5])}")

    # --- the store's view of the cache

    @property
    def complete(self) -> bool:
        """Whether the cache is known to be everything."""
        return self._cache.complete

    @property
    def damage(self) -> str:
        """What was missing from the cache that was loaded, until it is known to be everything again."""
        return self._cache.damage

    def entry(self, key: str) -> Upsert | None:
        """Return the entry under a key."""
        return self._cache.entries.get(key)

    def card(self, key: str) -> str | None:
        """Return the text of a card."""
        return self._cache.cards.get(key)

    def load(self, contents: Contents) -> None:
        """Begin with what the store held, however large a document may be now."""
        self._cache.load(contents)
        self._measure()
        self._tell_damage()
        self._loaded.set()
        self.progressed()
        log.info(
            "cache_loaded", documents=len(self._cache.entries), cards=len(self._cache.cards), complete=self.complete
        )
        if self._bridge is not None:
            self._bridge.tell_all(after=STARTED_BEFORE)

    def progressed(self) -> None:
        """Return whether the store works, and show what was withheld until it is durable."""
        self._health.set("store", ok=not self._store.fault, reason=self._store.fault)
        if not self._cache.withheld:
            return
        durable = self._cache.withheld - self._store.lacks(self._cache.withheld)
        if durable:
            changes = self._cache.release(durable)
            if self._bridge is not None and not self.followed:
                self._bridge.tell(changes)

    def take_over(self, upserts: Iterable[Upsert], cards: Mapping[str, str]) -> None:
        """Take what somebody else wrote into the store."""
        self._accept(Batch(upserts=tuple(upserts), cards=cards))

    def removed_elsewhere(self, keys: Collection[str]) -> AbstractSet[str]:
        """Let go what was leaving here too; return the entries that are wanted all the same."""
        entries = self._cache.entries
        leaving = {key for key in keys if key in entries and entries[key].leaving is not None}
        if leaving:
            self._accept(Batch(removals=dict.fromkeys(leaving, REPLICA)))
        return (entries.keys() & keys) - leaving

    # --- within

    def _accept(self, batch: Batch) -> Changes:
        before = self._cache.revision
        gone = [self._cache.entries[key] for key in batch.removals if key in self._cache.entries]
        new = [upsert for upsert in batch.upserts if upsert.key not in self._cache.entries]
        changes = self._cache.apply(batch, withhold=bool(self._store.fault))
        if changes.revision != before:
            self._departures.note(gone, batch.removals)
            self._arrivals.note(new)
            self._measure()
            self._tell_damage()
            self._store.write(self._as_accepted(batch, changes))
            if self._bridge is not None and not self.followed:
                self._bridge.tell(changes)
        return changes

    def _as_accepted(self, batch: Batch, shown: Changes) -> Changes:
        """Return the changes with the entries as they are, also those that readers do not see yet."""
        if not self._cache.withheld:
            return shown
        touched = dict.fromkeys([*(upsert.key for upsert in batch.upserts), *batch.leaving])
        upserts = tuple(self._cache.entries[key] for key in touched if key in self._cache.entries)
        removals = {key: reason for key, reason in batch.removals.items() if key not in self._cache.entries}
        return replace(shown, upserts=upserts, removals=removals)

    def _tell_damage(self) -> None:
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
