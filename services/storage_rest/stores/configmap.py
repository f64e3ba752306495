"""The store in ConfigMaps of the connector's namespace: writes them by key, watches them, and repairs them.

docs/protocol.md describes their format. In memory this store keeps only where each key is and its digest; the contents
are in the cache.
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog

from common.health import Health
from common.kube.client import KubeClient
from common.kube.metrics import KubeMetrics
from common.kube.reflector import ReflectorOptions
from common.status import ShardStatus
from common.wire import Changes, Upsert
from services.storage_rest.stores.base import CacheView, LoadedCache, Refusal, StoreUnavailable
from services.storage_rest.stores.families import BASE, CardFamily, EntryFamily, Family
from services.storage_rest.stores.loading import assess, by_number, merge, unlisted
from services.storage_rest.stores.objects import LIMIT, SELECTOR, Change, Observation, Value, observation
from services.storage_rest.stores.shard import Shard
from services.storage_rest.stores.watching import ShardWatch
from services.storage_rest.stores.writer import Writer
from services.storage_rest.telemetry import StorageMetrics

log = structlog.get_logger("storage")

WAIT = 8.0
"""Seconds that a caller waits for its changes to be durable."""
REPAIR_AFTER = 20.0
"""Seconds after which a removed key is written again. By then, this process has made another replica's removal too."""
_UNTRIED = "the cache has not been written yet, so it is unknown whether that is allowed"
RESYNC = 3600.0
"""Seconds between comparisons with a new list, which reads the whole cache."""


class ConfigMapStore:
    """The cache in ConfigMaps; several replicas, or the original storage-rest, may write the same ConfigMaps."""

    def __init__(
        self,
        *,
        client: KubeClient,
        namespace: str,
        kube_metrics: KubeMetrics,
        telemetry: StorageMetrics,
        health: Health,
        budget: int,
        yaml: bool = False,
        options: ReflectorOptions | None = None,
    ) -> None:
        """`budget`: bytes of values in each ConfigMap; `yaml`: entries are written in CatalogInfoYamlFormat."""
        self._telemetry = telemetry
        self._health = health
        self._budget = budget
        self._entries = EntryFamily(budget=budget, yaml=yaml)
        self._cards = CardFamily(budget=budget)
        self._families: tuple[Family, ...] = (self._cards, self._entries)
        self._writer = Writer(client=client, namespace=namespace, telemetry=telemetry, listener=self)
        self._watch = ShardWatch(
            client=client,
            namespace=namespace,
            metrics=kube_metrics,
            options=options or ReflectorOptions(resync=RESYNC),
            listener=self,
        )
        self._view: CacheView | None = None
        self._refused: dict[str, Refusal] = {}
        self._repairs: set[asyncio.TimerHandle] = set()
        self._news = asyncio.Event()

    async def run(self, view: CacheView) -> None:
        """Load into `view`, then write and follow until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                # Keys move from the first ConfigMap to others: in this order, no moving key is missed.
                await self._watch.follow(tasks, "cache", field_selector=f"metadata.name={BASE}")
                await self._watch.follow(
                    tasks, "cache-shards", label_selector=SELECTOR, field_selector=f"metadata.name!={BASE}"
                )
                shown = self._watch.shown
                names = [name for family in self._families for name in unlisted(family.layout, shown)]
                unlabelled = [await self._watch.find(name) for name in names]
                self._writer.start(tasks)
                self._load(view, [*self._watch.shown, *filter(None, unlabelled)])
        finally:
            for timer in self._repairs:
                timer.cancel()

    @property
    def fault(self) -> str:
        """Why the ConfigMaps cannot be read or written, and what to do; empty after a successful write."""
        untried = self._entries.layout.first
        return self._watch.fault or self._writer.fault or (_UNTRIED if untried.probe or not untried.exists else "")

    @property
    def shards(self) -> list[ShardStatus]:
        """The ConfigMaps, those with documents first."""
        return [
            ShardStatus(name=shard.name, bytes=shard.held_size, budget=self._budget, limit=LIMIT)
            for family in (self._entries, self._cards)
            for shard in sorted(family.layout.shards, key=lambda shard: shard.number)
            if shard.exists
        ]

    def lacks(self, keys: Collection[str]) -> set[str]:
        """Return those of the keys whose entries the API server has not confirmed."""
        return self._entries.layout.unsettled & set(keys)

    def check(self, upsert: Upsert) -> Refusal | None:
        """Return a refusal if an entry is too large for a ConfigMap of its own, else None."""
        return self._entries.check(upsert)

    def check_card(self, key: str, text: str) -> Refusal | None:
        """Return a refusal if a card is too large, compressed, for a ConfigMap of its own, else None."""
        return self._cards.check(key, text)

    def write(self, changes: Changes) -> None:
        """Send changes to the API server."""
        for upsert in changes.upserts:
            self._entries.layout.put(upsert.key, self._entries.value(upsert))
        for key in changes.removals:
            self._entries.layout.put(key, None)
        for key, text in changes.cards.items():
            self._cards.layout.put(self._cards.slot(key), self._cards.value(key, text))
        for key in changes.card_removals:
            self._cards.layout.put(self._cards.slot(key), None)
        self._advance()

    async def durable(self, keys: Collection[str], cards: Collection[str], *, complete: bool) -> tuple[Refusal, ...]:
        """Wait until the API server has confirmed these keys and cards; with `complete`, that mark too."""
        slots = {self._cards.slot(key) for key in cards}
        try:
            async with asyncio.timeout(WAIT):
                while not self._is_durable(keys, slots, complete=complete):
                    await self._news.wait()
        except TimeoutError:
            slow = f"the API server has not written the cache within {WAIT:g} seconds"
            raise StoreUnavailable(self._writer.fault or self._watch.fault or slow) from None
        return tuple(self._refused.pop(slot) for slot in {*keys, *slots} & self._refused.keys())

    # --- called by the writer

    def progressed(self) -> None:
        """Wake everything that waits for durable changes."""
        self._advance()
        self._news.set()
        self._news = asyncio.Event()
        if self._view is not None:
            self._view.progressed()

    def changed_by_others(self, family: Family, changes: Mapping[str, Change], *, lost: bool) -> None:
        """Accept what other processes wrote; write again what they removed."""
        if self._view is None or not changes:
            return
        appeared = {slot: value for slot, value in changes.items() if value is not None}
        family.take_over(self._view, appeared)
        self._restore(family, appeared)
        removed = changes.keys() - appeared.keys()
        if family is self._entries:
            # If the mark lacks the keys too, another replica removed them. Merely absent keys were not removed.
            deliberate = {slot for slot in removed if not family.layout.expects(slot)}
            removed -= deliberate - self._view.removed_elsewhere(deliberate)
        if lost:
            log.warning("configmap_deleted", keys=sorted(removed)[:10])
            self._restore(family, removed)
        elif removed:
            log.warning("keys_removed_by_others", keys=sorted(removed)[:10], restored_in=REPAIR_AFTER)
            self._restore_later(family, removed)
        self._advance()

    def impossible(self, family: Family, values: Mapping[str, Value], detail: str) -> None:
        """Record values that no ConfigMap can hold, for the callers that wait for them."""
        for slot in values:
            self._refused[slot] = Refusal(slot, 413, f"the API server refuses it: {detail}")

    # --- following

    def observed(self, obj: Mapping[str, Any]) -> Observation:
        """Return a ConfigMap as an observation for the layouts."""
        name = obj["metadata"]["name"]
        family = self._family(name)
        if family is None:
            return observation(obj, lambda slot, raw: Value(b"", ""))

        def read(slot: str, raw: bytes) -> Value:  # most values of a ConfigMap are as they were
            return family.layout.recall(name, slot, raw) or family.read(slot, raw)

        return observation(obj, read)

    def seen(self, shown: Observation, *, listed: bool) -> None:
        """Process a ConfigMap from a list or a watch event."""
        family = self._family(shown.name)
        if self._view is None or family is None:
            return  # `_load` reads everything that was observed before
        foreign = family.layout.observe(shown, listed=listed)
        self._measure(family.layout.find(shown.name))
        self.changed_by_others(family, foreign, lost=False)
        self.progressed()

    def gone(self, name: str, *, listed: bool) -> None:
        """Read a ConfigMap that is no longer listed: it may only have lost its labels."""
        family = self._family(name)
        if self._view is None or family is None:
            return
        family.layout.find(name).unsure = True
        self.progressed()

    def followed(self, fault: str) -> None:
        """Update the condition that says whether the ConfigMaps can be read."""
        if self._view is None:
            self._health.set("store", ok=False, reason=f"the cache is not loaded yet: {fault}".rstrip(": "))
        else:
            self._view.progressed()

    # --- the start

    def _load(self, view: CacheView, found: Iterable[Observation]) -> None:
        shown = [self._entries.marked_outdated(seen) for seen in found]
        layout = self._entries.layout
        condition = assess(
            by_number(layout, shown),
            base=BASE,
            others=any(self._cards.layout.has_name(seen.name) for seen in shown),
        )
        entries = merge(self._entries.layout, shown)
        cards = merge(self._cards.layout, shown)
        for family in self._families:
            for shard in filter(lambda shard: shard.exists, family.layout.shards):
                self._measure(shard)
        self._view = view
        layout.first.due = layout.first.probe = True  # so that missing permissions are noticed early
        layout.first.wants_complete = condition.complete or bool(condition.damage)
        view.load(
            LoadedCache(
                upserts=tuple(self._entries.upserts(entries)),
                cards=self._cards.texts(cards),
                complete=condition.complete,
                damage=condition.damage,
            )
        )
        for slot, value in entries.items():
            if self._entries.is_outdated(value) and (current := self._entries.current(view, slot)) is not None:
                layout.put(slot, current)
        self._cards.layout.mark(enabled=True)
        layout.mark(enabled=not view.damage)
        for slot in cards:  # a process that ended between writing an entry and its card left it behind
            if self._cards.current(view, slot) is None:
                self._cards.layout.put(slot, None)
        self._advance()

    # --- internal

    def _family(self, name: str) -> Family | None:
        return next((family for family in self._families if family.layout.has_name(name)), None)

    def _is_durable(self, keys: Collection[str], slots: Collection[str], *, complete: bool) -> bool:
        return (
            self._entries.layout.unsettled.isdisjoint(keys)
            and self._cards.layout.unsettled.isdisjoint(slots)
            and all(family.layout.numbered for family in self._families)
            and (not complete or (self._entries.layout.first.complete and self._entries.layout.marked))
        )

    def _advance(self) -> None:
        """Send what can be sent now; the mark of completeness only when everything else is durable."""
        layout = self._entries.layout
        settled = not any(family.layout.unsettled for family in self._families)
        if settled and self._view is not None and self._view.complete:
            layout.first.wants_complete = True
        if self._view is not None and not layout.marking and not self._view.damage:
            layout.mark(enabled=True)
        for family in self._families:
            self._writer.send(family)

    def _restore(self, family: Family, slots: Iterable[str]) -> None:
        """Write the cache's values into slots that differ."""
        assert self._view is not None  # noqa: S101 - nothing is restored before it is loaded
        for slot in slots:
            value = family.current(self._view, slot)
            if value is not None:
                family.layout.put(slot, value)

    def _restore_later(self, family: Family, slots: Collection[str]) -> None:
        def restore() -> None:
            self._repairs.discard(timer)
            self._restore(family, [slot for slot in slots if not family.layout.holds(slot)])
            self._advance()

        timer = asyncio.get_running_loop().call_later(REPAIR_AFTER, restore)
        self._repairs.add(timer)

    def _measure(self, shard: Shard) -> None:
        self._telemetry.shard_bytes.labels(shard.name).set(shard.held_size)
