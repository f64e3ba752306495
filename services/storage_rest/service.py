"""The work of storage-rest without HTTP: what each request does with the cache."""

from collections.abc import Callable, Collection, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

import structlog

from common import removals
from common.health import Health
from common.wire import Applied, Awaited, Batch, CacheListing, Changes, Leaving, Upsert
from services.storage_rest.removals import RemovalPolicy, decide
from services.storage_rest.screening import Screen
from services.storage_rest.stored import StoredCache
from services.storage_rest.stores.base import Refusal, Store
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

STARTING = 1.0
"""Seconds that an original location needs, after the last document that it read, before it accepts pushes."""
MOST_FOLLOWERS = 64
"""How many requests may wait for changes at a time: each of them receives every change."""
PROBLEMS_KEPT = 1000


class NotLeaving(Exception):
    """An entry that should be confirmed or refused is not about to leave."""


class TooManyFollowers(Exception):
    """`MOST_FOLLOWERS` requests are already waiting for changes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome(Applied):
    """The result of a batch, with counts; `refused` has the details of `problems` by key."""

    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    problems: tuple[Refusal, ...] = ()


class StorageService:
    """What the requests do with the cache (`stored`): `apply` and `keep_only` return when a change is durable."""

    def __init__(
        self,
        *,
        store: Store,
        telemetry: StorageMetrics,
        health: Health,
        document_limit: int,
        policy: RemovalPolicy,
        clock: Callable[[], float],
    ) -> None:
        """`clock` returns seconds since the epoch and never steps: see `common.clocks.steady_clock`."""
        self.stored = StoredCache(store=store, telemetry=telemetry, health=health, clock=clock)
        self._cache = self.stored.cache
        self._screen = Screen(store=store, document_limit=document_limit, telemetry=telemetry)
        self._policy = policy
        self._clock = clock
        self._problems: dict[str, Refusal] = {}

    # --- what is read

    @property
    def problems(self) -> Collection[Refusal]:
        """The documents and cards that were refused and have not been corrected since."""
        return self._problems.values()

    async def listing(self, known: str = "") -> CacheListing | None:
        """Return the digests of everything; None if nothing has changed since the revision `known`.

        Raises:
            StoreUnavailable: the cache is not loaded yet.
        """
        await self.stored.loaded()
        return None if known == self._cache.revision else self._cache.listing()

    def snapshot(self) -> Changes:
        """Return everything; the reader is expected to request changes next."""
        self.stored.followers.note_request()
        return self._with_fault(self._cache.snapshot())

    async def changes(self, since: str, wait: float) -> Changes | None:
        """Return the changes since a revision, waiting up to `wait` seconds for one.

        Returns None if they are unknown: the revision is from another process, or too old.

        Raises:
            TooManyFollowers: `MOST_FOLLOWERS` requests are already waiting.
        """
        if self._cache.since(since) is None:
            return None
        if since == self._cache.revision and self.stored.followers.count >= MOST_FOLLOWERS:
            raise TooManyFollowers
        with self.stored.followers.waiting():
            await self._cache.wait(since, wait)
        changes = self._cache.since(since)
        return None if changes is None else self._with_fault(changes)

    def _with_fault(self, changes: Changes) -> Changes:
        """Return the changes; if entries are withheld because they could not be written, with that reason."""
        if changes.complete or not self._cache.complete:
            return changes
        return replace(changes, awaited=(Awaited(source="the cache of storage-rest", reason=self.stored.store.fault),))

    def read_by_original(self) -> None:
        """Record a read with the original's requests: a location is starting and needs everything pushed."""
        if self.stored.pushes is not None and not self.stored.followed:
            self.stored.pushes.push_all(after=STARTING)

    # --- changes

    async def apply(self, batch: Batch) -> Outcome:
        """Accept a batch and return when it is durable; what cannot be stored is among the problems returned.

        Raises:
            StoreUnavailable: the cache is not loaded yet, or the batch was accepted but not durable in time. It may be
                sent again.
        """
        await self.stored.loaded()
        accepted, refusals = self._screen.check(batch)
        base = self._cache.revision
        changes = self.stored.accept(accepted)
        refusals += await self.stored.store.durable(
            {*(upsert.key for upsert in accepted.upserts), *accepted.leaving, *accepted.removals},
            {upsert.card_key for upsert in accepted.upserts if upsert.card_key} | set(accepted.cards),
            complete=(accepted.complete or accepted.confirmed) and self._cache.complete,
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
        """Remove every entry whose key is not given, or mark them if in doubt; return how many are only marked.

        The cache counts as complete afterwards if every given key is stored, or was refused.

        Raises:
            StoreUnavailable: as `apply`.
        """
        await self.stored.loaded()
        stored = self._cache.entries
        policy = self._policy
        lately = self.stored.departures.unnamed_within(policy.hold)
        damaged = bool(self._cache.damage)
        decision = decide(keys, stored, policy=policy, lately=lately, damaged=damaged, now=self._clock())
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
    def leaving(self) -> list[tuple[Upsert, Leaving, int | None]]:
        """The entries that are leaving, with their mark and when (seconds since the epoch; None: they are kept)."""
        marked = [(entry, entry.leaving) for entry in self._cache.leaving if entry.leaving]
        return [(entry, mark, self._policy.due(mark)) for entry, mark in marked]

    async def confirm(self, keys: Collection[str]) -> None:
        """Remove entries that are leaving at once.

        Raises:
            NotLeaving: one of them is not leaving.
            StoreUnavailable: as `apply`.
        """
        await self.stored.loaded()
        self._check_leaving(keys)
        await self.apply(Batch(removals=dict.fromkeys(keys, removals.CONFIRMED)))

    async def refuse(self, keys: Collection[str]) -> None:
        """Keep entries that are leaving until their source lists them again or the removal is confirmed.

        Raises:
            NotLeaving, StoreUnavailable: as `confirm`.
        """
        await self.stored.loaded()
        self._check_leaving(keys)
        marks = {key: self._cache.entries[key].leaving for key in keys}
        await self.apply(Batch(leaving={key: mark and replace(mark, refused=True) for key, mark in marks.items()}))

    async def accept(self) -> str:
        """Accept a damaged cache as complete; return what is missing from it (empty: it was not damaged)."""
        await self.stored.loaded()
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

    def _note(self, refusals: Iterable[Refusal], *, fixed: Iterable[str]) -> None:
        for key in fixed:
            self._problems.pop(key, None)
        for refusal in refusals:
            self._problems[refusal.key] = refusal
        while len(self._problems) > PROBLEMS_KEPT:
            del self._problems[next(iter(self._problems))]
