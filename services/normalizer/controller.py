"""The loop that brings storage to what the sources tell.

Level-triggered: an event only names what may have changed. Each round renders those documents again, compares all that
is wanted with all that is stored, and sends the difference; an error or a restart anywhere is put right by the next
round. What leaves is decided by the ledger.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import inf
from typing import NamedTuple

import structlog

from common.backoff import Backoff
from common.complaints import Complaint
from common.health import Health
from common.http.client import RemoteError, Unreachable
from common.kube.workqueue import WorkQueue
from common.problems import Problem
from common.wire import Awaited, Batch, WireError
from services.normalizer.desired import Desired
from services.normalizer.explain import Explainer
from services.normalizer.facts import Gone, Ref
from services.normalizer.hidden import HiddenBook, Why
from services.normalizer.ledger import Ledger
from services.normalizer.plan import Plan, plan
from services.normalizer.publish import Mirror
from services.normalizer.sink import SYNC, Intake
from services.normalizer.source import Provable
from services.normalizer.sourcebook import SourceBook
from services.normalizer.status import Reporter
from services.normalizer.telemetry import Telemetry

log = structlog.get_logger("controller")

PUBLISH = "publish"
"""The key for comparing everything again, because storage has answered."""
CHECK_STORAGE = 10.0
"""Seconds between two questions to storage whether it still holds what we think."""
SETTLE = 3.0
"""Seconds to wait at start for each source's first answer, so that names are allotted with all contenders known."""
LOOK_AGAIN = 30.0
"""Seconds between two requests to a source to list again, because something that it lacked is due to leave; and between
two for one object that it lacks."""
LOOK_AGAIN_AT_MOST = 600.0
"""What these seconds grow to, from one request to the next, while it lacks suspiciously much."""
PROOFS = 20
"""So many objects that lists lack are asked for by themselves in that time."""
REFUSED_REMEDY = "make what it says of itself shorter, such as its annotations; see what storage-rest logs"


class _Look(NamedTuple):
    """When a source is listed again, how long after that again, and whether what it lacks is due to leave."""

    at: float
    pause: float
    due: bool


class Controller:
    """Keeps storage equal to what the sources tell; `intake` is whom they tell it, `reporter` says how things stand."""

    def __init__(
        self,
        *,
        desired: Desired,
        book: SourceBook,
        ledger: Ledger,
        mirror: Mirror,
        queue: WorkQueue[str],
        health: Health,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        """`clock` gives seconds of the epoch and never goes back."""
        self._desired = desired
        self._book = book
        self._ledger = ledger
        self._mirror = mirror
        self._queue = queue
        self._health = health
        self._telemetry = telemetry
        self._clock = clock
        self._next_looks: dict[str, _Look] = {}
        self._asked: dict[str, float] = {}
        self._suspicious: frozenset[str] = frozenset()
        self._told: dict[str, tuple[Problem, ...]] = {}
        self._complaint = Complaint()
        self._hidden = HiddenBook()
        self.reporter = Reporter(desired=desired, book=book, ledger=ledger, health=health, hidden=self._hidden)
        self.explainer = Explainer(
            desired=desired, book=book, ledger=ledger, mirror=mirror, hidden=self._hidden, clock=clock
        )
        self.intake = Intake(
            desired=desired, book=book, ledger=ledger, queue=queue, health=health, telemetry=telemetry, clock=clock
        )

    async def run(self) -> None:
        """Work until cancelled."""
        self._health.set("storage", False, "not asked yet")
        await self._begin()
        async with asyncio.TaskGroup() as deliveries:
            while True:
                refs = await self._queue.get()
                began = time.perf_counter()
                self._telemetry.working(True)
                try:
                    ok = await self._reconcile(refs, deliveries)
                finally:
                    self._telemetry.working(False)
                    for ref in refs:
                        self._queue.done(ref)
                self._telemetry.reconciled(len(refs), time.perf_counter() - began, ok=ok)

    async def _begin(self) -> None:
        """Learn what an earlier run has stored, and give every source a moment for its first answer."""
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
        self.intake.begin()
        try:
            async with asyncio.timeout(SETTLE):
                await self.intake.settled()
        except TimeoutError:
            log.info("started_without_sources", missing=list(self._book.waiting_for()))
        self._queue.add(SYNC)

    async def _reconcile(self, refs: list[str], deliveries: asyncio.TaskGroup) -> bool:
        now, began = self._clock(), time.monotonic()
        await self._render({ref for ref in refs if ref not in (SYNC, PUBLISH)}, now)
        if SYNC in refs or not self._mirror.known:
            try:
                await self._refresh(now)
            except (RemoteError, WireError) as error:
                self._storage_failed(error)
                return False
        if self._mirror.known:
            self._publish(now, deliveries)
        self._queue.add_after(SYNC, CHECK_STORAGE)
        self._tell_problems()
        self._tell_hidden(now)
        if self._mirror.idle:
            self._telemetry.settled(began)
        self._telemetry.state(
            documents=Counter(upsert.source for upsert in self._desired.wanted.values()),
            problems=self._desired.problems,
            hidden=self._hidden.causes(),
            doubts=self._ledger.doubts(),
            sources=self._book.standings(),
        )
        return True

    async def _refresh(self, now: float) -> None:
        if await self._mirror.refresh():
            self._desired.adopt(self._mirror.entries, now=now, damaged=bool(self._mirror.damage))
            await self._render(set(), now)

    async def _render(self, refs: set[str], now: float) -> None:
        """Render what changed, then what the ledger lets go by now."""
        for dirty in (refs | self._desired.take_dirty(), self._released(now)):
            for _ in self._desired.rendering(dirty, now=now):
                await asyncio.sleep(0)  # others have their turn
        for name, error in self._desired.take_failures():
            log.error("object_not_rendered", object=name, exc_info=error)
        for cluster, labels in self._desired.take_unknown():
            self.intake.ask(cluster, labels)
        self.intake.name_cards(self._desired.catalog_models)

    def _released(self, now: float) -> set[str]:
        self._desired.release(self._ledger.tick(now))
        return self._desired.take_dirty()

    def _publish(self, now: float, deliveries: asyncio.TaskGroup) -> None:
        """Send what differs, as far as it is not under way already."""
        self._look_again(now)
        self._tell_suspicions()
        self._prove(now, deliveries)
        times = (self._ledger.next_check(now), self._book.first_sync_ends)
        for at in times:
            if at is not None and now < at < inf:
                self._queue.add_after(SYNC, at - now)
        batches = self._mirror.begin(
            self._plan(now),
            cards=self._mirror.missing_cards(self._desired.cards),
            complete=self._completes(now),
            confirmed=self._confirms(),
            awaited=self._awaited(),
        )
        for batch in batches:
            deliveries.create_task(self._deliver(batch))
        if self._mirror.idle:
            self._storage_works()

    def _completes(self, now: float) -> bool:
        """Return whether storage is to be told that it has all there is; damage is repaired by a confirmation only."""
        if self._mirror.complete or self._mirror.damage:
            return False
        return self._book.complete(now, documents=len(self._desired.wanted), ever=self._mirror.complete)

    def _confirms(self) -> bool:
        """Return whether storage is to be told that every source was read, so that what it lacks does not exist.

        A list that lacks what could be read of a damaged cache may also lack what could not: it confirms nothing.
        """
        if self._mirror.confirmed or (self._mirror.damage and self._ledger.lacking()):
            return False
        return self._book.confirmed(self._ledger.sources_with_entries)

    def _awaited(self) -> tuple[Awaited, ...]:
        """Return what storage waits for before it has all there is."""
        if self._mirror.complete:
            return ()
        awaited = self._book.awaited(
            documents=len(self._desired.wanted),
            ever=self._mirror.complete,
            stored=self._ledger.sources_with_entries if self._mirror.damage else (),
        )
        if self._mirror.damage:
            awaited += tuple(
                Awaited(source=source, reason=f"it lacks {count} of the models that the damaged cache still has")
                for source, count in sorted(self._ledger.lacking().items())
            )
        return tuple(replace(each, source=self.intake.condition(each.source)) for each in awaited)

    async def _deliver(self, batch: Batch) -> None:
        new = [upsert for upsert in batch.upserts if self._mirror.is_new(upsert.key)]
        try:
            refused = await self._mirror.deliver(batch)
        except (RemoteError, WireError) as error:
            self._telemetry.not_sent(marks=len(batch.leaving))
            self._storage_failed(error)
            return
        self._storage_works()
        self._telemetry.served(ref for upsert in batch.upserts for ref in (upsert.ref, upsert.server_ref))
        for key, reason in refused.items():
            log.error("document_refused", key=key, reason=reason)
        self._telemetry.sent(upserts=len(batch.upserts), removals=len(batch.removals), cards=len(batch.cards))
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
            self._desired.free_names(self._mirror.entries)
        self._queue.add(PUBLISH)

    def _plan(self, now: float) -> Plan:
        stored = self._mirror.entries
        wanted = self._desired.wanted
        leaving = () if self._mirror.damage else {doubt.ref for doubt in self._ledger.doubts()}
        return plan(
            wanted=wanted,
            stored=stored,
            departures=self._desired.departures(stored, busy=self._mirror.busy),
            marks=self._ledger.marks(stored, now=now),
            leaving=leaving,
            refused=self._mirror.refused,
        )

    def _look_again(self, now: float) -> None:
        """Have sources listed again where that decides something: what is due, and ever more seldom what is suspicious.

        A short list may be wrong for a moment, and the watch that follows it never shows what it lacked.
        """
        overdue = self._ledger.overdue(now)
        doubtful = self._ledger.lacking().keys() if self._mirror.damage else self._ledger.doubtful()
        looks: dict[str, _Look] = {}
        for source in overdue | doubtful:
            due = source in overdue
            look = self._next_looks.get(source)
            if look is None or look.due != due:
                look = _Look(now if due else now + LOOK_AGAIN, LOOK_AGAIN, due)
            followed = self.intake.sources.get(source)
            if followed is not None and now >= look.at:
                followed.relist()
                pause = look.pause if due else min(2 * look.pause, LOOK_AGAIN_AT_MOST)
                look = _Look(now + look.pause, pause, due)
            looks[source] = look
        self._next_looks = looks

    def _tell_suspicions(self) -> None:
        suspicious = self._ledger.suspicious()
        for source in sorted(suspicious - self._suspicious):
            log.warning(
                "removals_held",
                source=source,
                entries=sum(doubt.source == source for doubt in self._ledger.doubts()),
                remedy="if the models are really gone, wait, or confirm it: connector removals confirm",
            )
        self._suspicious = suspicious

    def _prove(self, now: float, group: asyncio.TaskGroup) -> None:
        """Ask for each object that a look lacks, where it is so little that the answer can be believed."""
        unproven = self._ledger.unproven()
        self._asked = {ref: at for ref, at in self._asked.items() if ref in unproven}
        due = sorted(unproven.keys(), key=lambda ref: self._asked.get(ref, -inf))  # each has its turn
        lately = sum(now < at + LOOK_AGAIN for at in self._asked.values())
        for ref in due[: max(0, PROOFS - lately)]:
            if now >= self._asked.get(ref, -inf) + LOOK_AGAIN and (able := self._able_to_prove(unproven[ref])):
                self._asked[ref] = now
                group.create_task(self._ask(able, ref))

    def _able_to_prove(self, sources: Sequence[str]) -> list[Provable]:
        """Return the sources if each can be asked for an object, else none."""
        able: list[Provable] = []
        for source in sources:
            followed = self.intake.sources.get(source)
            if not isinstance(followed, Provable):
                return []
            able.append(followed)
        return able

    async def _ask(self, sources: Sequence[Provable], written: str) -> None:
        """Ask all sources that may have an object for it."""
        try:
            ref = Ref.parse(written)
            gone = ref.is_deployment and all([await source.is_gone(ref) for source in sources])
        except (RemoteError, ValueError) as error:
            log.info("removal_not_proven", object=written, error=str(error))
            return
        if gone and (sources_now := self._ledger.unproven().get(written)):
            self._desired.put(sources_now[0], ref, Gone())
            self._queue.add(PUBLISH)

    def _storage_works(self) -> None:
        self._queue.forget(SYNC)
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
        self._queue.retry(SYNC)

    def _tell_hidden(self, now: float) -> None:
        """Keep account of what is not shown."""
        stored = self._mirror.entries
        if rendered := self._desired.take_rendered():
            refs = {entry.ref for entry in stored.values()}
            looked = {ref: (self._desired.source_of(ref), self._desired.why_hidden(ref, refs)) for ref in rendered}
            self._hidden.look(looked, now=now)
        elsewhere: dict[str, tuple[str, Why]] = {
            source: (source, Why("untrusted-registry", reason, remedy))
            for source, (reason, remedy) in self._book.ignored.items()
        }
        for key, reason in self._mirror.refusals.items():
            upsert = self._desired.wanted.get(key)
            if upsert is not None and key not in stored:
                why = Why("refused", f"storage does not take its document: {reason}", REFUSED_REMEDY)
                elsewhere[upsert.ref] = (upsert.source, why)
        self._hidden.look_at_all(elsewhere, among=("refused", "untrusted-registry"), now=now)
        for each, is_hidden in self._hidden.take_changes():
            why = each.why
            if is_hidden:
                log.info("model_hidden", object=each.object, cause=why.cause, reason=why.reason, remedy=why.remedy)
            else:
                log.info("model_no_longer_hidden", object=each.object, cause=why.cause)

    def _tell_problems(self) -> None:
        """Log each problem once, when it arises and when it is solved."""
        problems = self._desired.problems
        for ref, of_one in self._told.items():
            for problem in set(of_one) - set(problems.get(ref, ())):
                log.info("problem_solved", **problem.fields())
        for ref, of_one in problems.items():
            for problem in set(of_one) - set(self._told.get(ref, ())):
                level = {"error": log.error, "warning": log.warning, "info": log.info}[problem.severity]
                level("problem_found", **problem.fields())
        if problems != self._told:
            self.intake.tell_problems(problems)
        self._told = dict(problems)
