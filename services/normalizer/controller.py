"""The loop that makes storage hold what the sources have.

Level-triggered: an event only names what may have changed. Each round renders those documents again, compares them
with the stored ones, and sends the difference. Every few seconds, and after any error, all documents are compared, so
that whatever was missed is repaired. The ledger decides what leaves.
"""

import asyncio
import time
from dataclasses import replace
from math import inf

import structlog

from common.backoff import Backoff
from common.clocks import loop_time
from common.complaints import Complaint
from common.http.errors import RemoteError, Unreachable
from common.wire import Awaited, Batch, WireError
from services.normalizer.announcements import Announcer
from services.normalizer.context import PUBLISH, SYNC, Context
from services.normalizer.doubts import DoubtChecks
from services.normalizer.facts import Ref, cluster_of
from services.normalizer.plan import differing, plan
from services.normalizer.reports import Reporter
from services.normalizer.sink import Intake

log = structlog.get_logger("controller")

CHECK_STORAGE = 10.0
"""Seconds between two checks of what storage holds."""
SETTLE = 3.0
"""Seconds to wait at start for the first answer of all sources of a cluster, so that names are given with all claims
known."""


class Controller:
    """Keeps storage equal to what the sources report to `intake`; `reporter` describes the state."""

    def __init__(self, context: Context) -> None:
        self._desired = context.desired
        self._book = context.book
        self._ledger = context.ledger
        self._mirror = context.mirror
        self._queue = context.queue
        self._health = context.health
        self._telemetry = context.telemetry
        self._clock = context.clock
        self._complaint = Complaint()
        self._storage_backoff = Backoff(0.1, 60, least=0.5)
        self._settles_at = inf
        self._unsettled: set[str] = set()
        self._differing: set[str] = set()  # the keys of documents that are not stored as they are wanted
        self.intake = Intake(context)
        self.reporter = Reporter(context)
        self._doubts = DoubtChecks(context, self.intake.sources)
        self._announcer = Announcer(context, self.intake)

    async def run(self) -> None:
        """Work until cancelled."""
        self._health.set("storage", False, "not asked yet")
        await self._begin()
        async with asyncio.TaskGroup() as deliveries:
            while True:
                refs = await self._queue.get()
                began = time.perf_counter()
                self._telemetry.set_working(True)
                try:
                    ok = await self._reconcile(refs, deliveries)
                finally:
                    self._telemetry.set_working(False)
                    for ref in refs:
                        self._queue.done(ref)
                self._telemetry.record_round(len(refs), time.perf_counter() - began, ok=ok)

    async def _begin(self) -> None:
        """Load what an earlier run has stored."""
        backoff = Backoff(0.1, 5, least=0.5)
        while True:
            try:
                await self._mirror.refresh()
                break
            except (RemoteError, WireError) as error:
                self._storage_failed(error)
                await asyncio.sleep(backoff.next())
        self._health.set("storage", False, "it answers, and is being sent the first documents")
        self._desired.seed(self._mirror.entries, now=self._clock())
        self.intake.loaded.set()
        self._settles_at = self._clock() + SETTLE
        self._queue.add(SYNC)

    async def _reconcile(self, refs: list[str], deliveries: asyncio.TaskGroup) -> bool:
        now, began = self._clock(), loop_time()
        await self._render({ref for ref in refs if ref not in (SYNC, PUBLISH)}, now)
        compare_all = SYNC in refs or not self._mirror.known
        if compare_all:
            try:
                await self._refresh(now)
            except (RemoteError, WireError) as error:
                self._storage_failed(error)
                return False
        if self._mirror.known:
            self._compare(everything=compare_all)
            self._publish(now, deliveries)
        self._queue.add_after(SYNC, CHECK_STORAGE)
        if self._mirror.idle:
            self._telemetry.drop_events_before(began)
        else:
            await asyncio.sleep(0)  # the batches are sent before anything is logged
        self._announcer.announce(now)
        return True

    async def _refresh(self, now: float) -> None:
        if await self._mirror.refresh():
            self._desired.adopt(self._mirror.entries, now=now, damaged=bool(self._mirror.damage))
            await self._render(set(), now)

    async def _render(self, refs: set[str], now: float) -> None:
        """Render what has changed, then what the ledger has released by now."""
        for dirty in (self._settled(refs | self._desired.take_dirty(), now), self._released(now)):
            for _ in self._desired.renderer.render(dirty, now=now):
                await asyncio.sleep(0)  # let other tasks run
        for name, error in self._desired.renderer.take_failures():
            log.error("object_not_rendered", object=name, exc_info=error)
        for cluster, labels in self._desired.deployments.take_unknown():
            self.intake.lookups.request_version(cluster, labels)
        self.intake.lookups.request_cards(self._desired.deployments.catalog_models())

    def _settled(self, refs: set[str], now: float) -> set[str]:
        """Return what to render of `refs` and of what waits: after the start, a cluster waits for its own sources."""
        if self._settles_at < inf and now >= self._settles_at:
            self._settles_at = inf
            if missing := [each.source for each in self._book.awaited(documents=0)]:
                log.info("started_without_sources", missing=missing)
        unsettled = self._book.untried_clusters() if self._settles_at < inf else frozenset()
        refs = refs | self._unsettled
        parsed = {ref: Ref.try_parse(ref) for ref in refs} if unsettled else {}
        self._unsettled = {ref for ref, each in parsed.items() if each is not None and cluster_of(each) in unsettled}
        return refs - self._unsettled

    def _released(self, now: float) -> set[str]:
        self._desired.release(self._ledger.tick(now))
        return self._desired.take_dirty()

    def _compare(self, *, everything: bool) -> None:
        """Find what is not stored as it is wanted: among what has changed, and what differed before, or everything.

        A change that is on its way to storage counts as stored. What others have written is only found in everything.
        """
        stored, wanted = self._mirror.entries, self._desired.wanted
        changed = self._desired.documents.take_changed()
        keys = stored.keys() | wanted.keys() if everything else self._differing | changed
        self._differing = differing(keys, wanted=wanted, stored=stored)

    def _publish(self, now: float, deliveries: asyncio.TaskGroup) -> None:
        """Send the difference that is not already on its way."""
        self._doubts.check(now, deliveries)
        times = (self._settles_at, self._ledger.next_check(now), self._book.first_sync_ends)
        for at in times:
            if at is not None and now < at < inf:
                self._queue.add_after(SYNC, at - now)
        self._desired.forget_unused_cards()
        stored, differ = self._mirror.entries, self._differing
        made = plan(
            differ,
            wanted=self._desired.wanted,
            stored=stored,
            departures=self._desired.departures(differ, stored=stored, busy=self._mirror.busy),
            marks=self._ledger.marks(stored, now=now),
            leaving=() if self._mirror.damage else self._ledger.leaving,
            refused=self._mirror.refused,
        )
        batches = self._mirror.begin(
            made,
            cards=self._mirror.missing_cards(self._desired.cards.chosen),
            complete=self._completes(now),
            confirmed=self._confirms(),
            awaited=self._awaited(),
        )
        for batch in batches:
            deliveries.create_task(self._deliver(batch))
        if self._mirror.idle:
            self._storage_works()

    def _completes(self, now: float) -> bool:
        """Return whether to tell storage that it is complete; only a confirmation repairs damage."""
        if self._mirror.complete or self._mirror.damage:
            return False
        return self._book.is_complete(now, documents=len(self._desired.wanted))

    def _confirms(self) -> bool:
        """Return whether to tell storage that every source was read, so that what it lacks does not exist.

        A list that lacks what could be read of a damaged cache may also lack what could not: it confirms nothing.
        """
        if self._mirror.confirmed or (self._mirror.damage and self._ledger.lacking()):
            return False
        return self._book.is_confirmed(self._ledger.sources_with_entries)

    def _awaited(self) -> tuple[Awaited, ...]:
        """Return what storage waits for before it has all there is."""
        if self._mirror.complete:
            return ()
        awaited = self._book.awaited(
            documents=len(self._desired.wanted),
            with_entries=self._ledger.sources_with_entries if self._mirror.damage else None,
        )
        if self._mirror.damage:
            awaited += tuple(
                Awaited(source=source, reason=f"it lacks {count} of the models that the damaged cache still has")
                for source, count in sorted(self._ledger.lacking().items())
            )
        return tuple(replace(each, source=self.intake.conditions.name_of(each.source)) for each in awaited)

    async def _deliver(self, batch: Batch) -> None:
        new = [upsert for upsert in batch.upserts if self._mirror.is_new(upsert.key)]
        try:
            refused = await self._mirror.deliver(batch)
        except (RemoteError, WireError) as error:
            self._telemetry.batch_failed(marks=len(batch.leaving))
            self._storage_failed(error)
            return
        self._storage_works()
        self._telemetry.documents_stored(ref for upsert in batch.upserts for ref in (upsert.ref, upsert.server_ref))
        for key, reason in refused.items():
            log.error("document_refused", key=key, reason=reason)
        self._telemetry.batch_stored(upserts=len(batch.upserts), removals=len(batch.removals), cards=len(batch.cards))
        marked = [key for key, mark in batch.leaving.items() if mark is not None]
        marked += [upsert.key for upsert in batch.upserts if upsert.leaving is not None]
        stored = self._mirror.entries
        self._ledger.persisted(stored[key].ref or key for key in marked if key in stored)
        for upsert in new:
            if upsert.key not in refused:
                log.info("entry_added", key=upsert.key, object=upsert.ref, source=upsert.source)
        for key, reason in batch.removals.items():
            log.info("entry_removed", key=key, reason=reason)
        if batch.complete or batch.confirmed:
            log.info("sources_read", complete=batch.complete, confirmed=batch.confirmed)
        if batch.changes_entries:
            log.debug(
                "published",
                upserts=[upsert.key for upsert in batch.upserts],
                removals=dict(batch.removals),
                marks={key: mark and mark.reason for key, mark in batch.leaving.items()},
                cards=list(batch.cards),
            )
        if batch.removals:
            self._desired.documents.free_names(self._mirror.entries)
        self._queue.add(PUBLISH)

    def _storage_works(self) -> None:
        self._storage_backoff.reset()
        self._health.set("storage", True)
        if self._complaint.worked():
            log.info("storage_writable_again")

    def _storage_failed(self, error: Exception) -> None:
        remedy = "see what storage-rest logs"
        if isinstance(error, Unreachable):
            remedy = "is the container storage-rest running, and is STORAGE_URL its address?"
        self._health.set("storage", False, f"{error}; {remedy}")
        if level := self._complaint.failed():
            tell = log.info if level == "info" else log.warning
            tell("storage_not_writable", error=str(error), remedy=remedy)
        self._queue.retry_after(SYNC, self._storage_backoff.next())
