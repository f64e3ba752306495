"""The loop that brings storage to what the sources tell.

Level-triggered: an event only names what may have changed. Each round renders those documents anew, compares all that
is wanted with all that is stored, and sends the difference; an error or a restart anywhere is mended by the next round.
"""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog

from common.health import Health
from common.http.client import RemoteError, Unreachable
from common.kube.workqueue import WorkQueue
from common.problems import Problem
from common.wire import Batch, WireError
from services.normalizer.catalogue import Catalogue
from services.normalizer.listener import SYNC, Listener
from services.normalizer.plan import Held, Leave, Plan, plan
from services.normalizer.publish import Mirror
from services.normalizer.sourcebook import SourceBook
from services.normalizer.telemetry import Telemetry

log = structlog.get_logger("controller")

PUBLISH = "publish"
"""The key for comparing everything once more, because storage has answered."""
CHECK_STORAGE = 10.0
"""Seconds between two questions to storage whether it still holds what we think."""
SETTLE = 3.0
"""Seconds to wait at start for each source's first answer, so that names are allotted with all contenders known."""
CONFIRM_AFTER = 10.0
"""Seconds until a listing that is doubted is repeated."""
_KEYS_TOLD = 5


class Controller:
    """Keeps storage equal to what the sources tell; `listener` is whom they tell it."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        book: SourceBook,
        mirror: Mirror,
        queue: WorkQueue[str],
        health: Health,
        telemetry: Telemetry,
        guard: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._book = book
        self._mirror = mirror
        self._queue = queue
        self._health = health
        self._telemetry = telemetry
        self._guard = guard
        self._clock = clock
        self._held: Mapping[str, Held] = {}
        self._confirming: dict[str, asyncio.TimerHandle] = {}
        self._told: dict[str, tuple[Problem, ...]] = {}
        self._storage_fails = False
        self.listener = Listener(catalogue=catalogue, book=book, queue=queue, health=health, clock=clock)

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
        pause = 0.1
        while True:
            try:
                await self._mirror.refresh()
                break
            except (RemoteError, WireError) as error:
                self._storage_failed(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5)
        self._health.set("storage", False, "it answers, and is being sent the first documents")
        self._catalogue.seed(self._mirror.entries)
        self.listener.begin()
        try:
            async with asyncio.timeout(SETTLE):
                await self.listener.settled()
        except TimeoutError:
            log.info("starting without an answer from some sources", missing=list(self._book.waiting_for()))
        self._queue.add(SYNC)

    async def _reconcile(self, refs: list[str], deliveries: asyncio.TaskGroup) -> bool:
        now = self._clock()
        self._render({ref for ref in refs if ref not in (SYNC, PUBLISH)}, now)
        if SYNC in refs or not self._mirror.known:
            try:
                await self._mirror.refresh()
            except (RemoteError, WireError) as error:
                self._storage_failed(error)
                return False
        if self._mirror.known:
            self._publish(now, deliveries)
        self._queue.add_after(SYNC, CHECK_STORAGE)
        self._tell_problems()
        self._telemetry.state(documents=len(self._catalogue.wanted), problems=self._catalogue.problems, held=self._held)
        return True

    def _render(self, refs: set[str], now: float) -> None:
        for source in self._book.expired(now):
            self._catalogue.put_registry(source.removeprefix("registry:"), None)
        checks = self._catalogue.render(refs | self._catalogue.take_dirty(), now=now)
        for ref, at in checks.items():
            self._queue.add_after(ref, at - now)
        for labels in self._catalogue.take_unknown():
            self.listener.ask(labels)

    def _publish(self, now: float, deliveries: asyncio.TaskGroup) -> None:
        """Send what differs, as far as it is not under way already."""
        made = self._plan(now)
        self._hold(made.held)
        if (next_check := self._book.next_check(now)) is not None:
            self._queue.add_after(SYNC, next_check - now)
        batches = self._mirror.begin(
            made,
            cards=self._mirror.missing_cards(self._catalogue.cards),
            complete=self._book.complete(now) and not self._mirror.complete,
        )
        for batch in batches:
            deliveries.create_task(self._deliver(batch))
        if self._mirror.idle:
            self._storage_works()

    async def _deliver(self, batch: Batch) -> None:
        try:
            refused = await self._mirror.deliver(batch)
        except (RemoteError, WireError) as error:
            self._storage_failed(error)
            return
        self._storage_works()
        for key, reason in refused.items():
            log.error("storage refused a document", key=key, reason=reason)
        self._telemetry.sent(upserts=len(batch.upserts), removals=len(batch.removals), cards=len(batch.cards))
        keys = [*(upsert.key for upsert in batch.upserts), *batch.removals]
        log.info(
            "published",
            upserts=len(batch.upserts),
            removals=len(batch.removals),
            cards=len(batch.cards),
            keys=keys[:_KEYS_TOLD],
        )
        if self._mirror.idle:
            self._catalogue.certain.intersection_update(entry.ref for entry in self._mirror.entries.values())
        self._queue.add(PUBLISH)

    def _plan(self, now: float) -> Plan:
        catalogue = self._catalogue
        leave = Leave(
            may_remove=lambda entry: entry.ref not in catalogue.retained and self._book.may_remove(entry, now),
            certain=catalogue.certain,
            unguarded=self._book.gone,
            rounds=self._book.rounds,
            guard=self._guard,
        )
        return plan(
            wanted=self._mirror.unrefused(catalogue.wanted),
            stored=self._mirror.entries,
            leave=leave,
            held=self._held,
        )

    def _hold(self, held: Mapping[str, Held]) -> None:
        for source in held.keys() - self._held.keys():
            log.warning(
                "a listing lacks most of what its source had; waiting for the next one to confirm it",
                source=source,
                entries=len(held[source].keys),
                remedy="if the models are really gone, wait; REMOVAL_GUARD=off turns this off",
            )
        self._held = held
        for source in held.keys() & self.listener.confirmable.keys() - self._confirming.keys():
            self._confirming[source] = asyncio.get_running_loop().call_later(CONFIRM_AFTER, self._confirm, source)

    def _confirm(self, source: str) -> None:
        del self._confirming[source]
        self.listener.confirmable[source].confirm()

    def _storage_works(self) -> None:
        self._queue.forget(SYNC)
        self._health.set("storage", True)
        if self._storage_fails:
            log.info("storage takes what it is sent again")
        self._storage_fails = False

    def _storage_failed(self, error: Exception) -> None:
        remedy = "see what storage-rest logs"
        if isinstance(error, Unreachable):
            remedy = "is the container storage-rest running, and is STORAGE_URL its address?"
        self._health.set("storage", False, f"{error}; {remedy}")
        if not self._storage_fails:
            log.warning("storage does not take what it is sent", error=str(error), remedy=remedy)
        self._storage_fails = True
        self._queue.retry(SYNC)

    def _tell_problems(self) -> None:
        """Log each problem once, when it arises."""
        problems = self._catalogue.problems
        for ref, of_one in problems.items():
            for problem in set(of_one) - set(self._told.get(ref, ())):
                level = {"error": log.error, "warning": log.warning, "info": log.info}[problem.severity]
                level(problem.message, object=problem.object, remedy=problem.remedy)
        self._told = dict(problems)
