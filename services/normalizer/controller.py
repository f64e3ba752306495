"""The loop that brings storage to what the sources tell.

Level-triggered: an event only names what may have changed. Each round renders those documents anew, compares all that
is wanted with all that is stored, and sends the difference; an error or a restart anywhere is mended by the next round.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import structlog

from common.health import Health
from common.http.client import RemoteError, Unreachable
from common.kube.replica import Key
from common.kube.state import State
from common.kube.workqueue import WorkQueue
from common.problems import Problem
from common.wire import Batch, WireError
from services.normalizer.catalogue import Catalogue
from services.normalizer.contents import IsvcSource, RegistryContent, registry_source
from services.normalizer.normalize.isvc import Isvc, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registry_objects import RegistryRef
from services.normalizer.plan import Held, Leave, Plan, plan
from services.normalizer.publish import Mirror
from services.normalizer.sourcebook import SourceBook
from services.normalizer.sources.reading import RegistryReading
from services.normalizer.telemetry import Telemetry

log = structlog.get_logger("controller")

SYNC = "sync"
"""The key in the queue that stands for no document: compare everything, ask storage what it holds."""
PUBLISH = "publish"
"""The key for comparing everything once more, because storage has answered."""
CHECK_STORAGE = 10.0
"""Seconds between two questions to storage whether it still holds what we think."""
SETTLE = 3.0
"""Seconds to wait at start for each source's first answer, so that names are allotted with all contenders known."""
CONFIRM_AFTER = 10.0
"""Seconds until a listing that is doubted is repeated."""
_KEYS_TOLD = 5


class Confirmable(Protocol):
    """A source that can be asked to list again."""

    def confirm(self) -> None:
        """List again soon."""


class Controller:
    """Takes what the sources tell (as their listener) and keeps storage equal to it."""

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
        self._confirmable: dict[str, Confirmable] = {}
        self._confirming: dict[str, asyncio.TimerHandle] = {}
        self._news = asyncio.Event()
        self._told: dict[str, tuple[Problem, ...]] = {}
        self._ask: Callable[[RegistryLabels], None] = lambda labels: None
        self._begun = asyncio.Event()

    # --- what the sources tell; each may be called at any time after `declare`

    def declare(self, source: str, *, confirm: Confirmable | None = None) -> None:
        """There is a source of InferenceServices; nothing of it is removed before it was listed completely."""
        self._book.declare(source, "kserve")
        self._health.set(source, False, "not listed yet")
        if confirm is not None:
            self._confirmable[source] = confirm

    def isvc_changed(
        self, source: IsvcSource, key: Key, facts: Isvc | None, *, explicit: bool, bare: bool = False
    ) -> None:
        """An isvc is new, another or gone."""
        self._catalogue.put_isvc(source, key, facts, explicit=explicit, bare=bare)
        self._wake()

    def service_changed(self, source: IsvcSource, key: Key, facts: ServiceFacts | None) -> None:
        """A Service is new, another or gone."""
        self._catalogue.put_service(source, key, facts)
        self._wake()

    def service_account_changed(self, source: IsvcSource, key: Key, facts: ServiceAccountFacts | None) -> None:
        """A ServiceAccount is new, another or gone."""
        self._catalogue.put_service_account(source, key, facts)
        self._wake()

    def isvc_unusable(self, source: IsvcSource, key: Key, problem: Problem) -> None:
        """An isvc exists and cannot be read; what is stored of it stays."""
        self._catalogue.put_unusable(source.ref(*key), problem)
        self._wake()

    def source_listed(self, source: str) -> None:
        """A source of InferenceServices was listed completely."""
        self._book.listed(source)
        self._health.set(source, True)
        self._queue.add(SYNC)
        self._news.set()

    def source_partly_listed(self, source: str, reason: str) -> None:
        """Something of a source cannot be read: what it has is shown, what it lacks is not gone."""
        self._book.failed(source, waiting=False)
        self._health.set(source, False, reason)
        self._queue.add(SYNC)
        self._news.set()

    def source_state(self, source: str, state: State) -> None:
        """A source of InferenceServices, or of what belongs to them, cannot be followed or can again."""
        self._health.set(source, state.ok, "" if state.ok else f"{state.kind}: {state.remedy or state.reason}")
        if not state.ok and source in self._confirmable:
            self._book.failed(source, waiting=state.kind != "absent")
        self._queue.add(SYNC)
        self._news.set()

    def registry_declared(self, registry: str) -> None:
        """There is such a registry."""
        self._book.declare(registry_source(registry), "registry")
        self._registries_changed()

    def registry_read(self, ref: RegistryRef, reading: RegistryReading) -> None:
        """A registry was polled."""
        source = registry_source(ref.id)
        if reading.complete:
            self._book.listed(source)
        else:
            self._book.failed(source)
        self._catalogue.put_cards(reading.cards)
        content = RegistryContent(ref, reading.snapshot, settled=reading.settled, problems=reading.problems)
        self._catalogue.put_registry(ref.id, content, touched=reading.touched)
        self._registries_changed()

    def registry_failed(self, registry: str, *, has_address: bool) -> None:
        """A registry cannot be read; one that has no address yet has nothing to wait for."""
        self._book.failed(registry_source(registry), waiting=has_address)
        self._registries_changed()

    def registry_gone(self, registry: str) -> None:
        """A registry is no longer there; its models stay for a grace."""
        source = registry_source(registry)
        self._book.withdraw(source, now=self._clock())
        self._registries_changed()

    def discovering(self, *, complete: bool, reason: str = "") -> None:
        """Registries are looked for; `complete`: everywhere where they may be."""
        self._book.discovering(complete=complete)
        self._health.set("discovery", complete, reason)
        self._registries_changed()

    def remote_state(self, source: str, *, ok: bool, reason: str) -> None:
        """A registry or a model catalog cannot be read, or can again."""
        self._health.set(source, ok, reason)

    def remote_gone(self, source: str) -> None:
        """A registry or a model catalog is no longer there."""
        self._health.remove(source)

    async def begun(self) -> None:
        """Wait until what an earlier run has stored is known."""
        await self._begun.wait()

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        return self._catalogue.known_versions(registry)

    def ask_for_unknown_versions(self, ask: Callable[[RegistryLabels], None]) -> None:
        """Call `ask` for each isvc that names a version which no registry is known to have."""
        self._ask = ask

    def _registries_changed(self) -> None:
        self._catalogue.registries_changed(unread=self._book.unread_registries, awaiting=self._book.awaiting_registries)
        self._wake()
        self._queue.add(SYNC)
        self._news.set()

    def _wake(self) -> None:
        for ref in self._catalogue.take_dirty():
            self._queue.add(ref)

    # --- the loop

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
        self._catalogue.seed(self._mirror.entries)
        self._begun.set()
        try:
            async with asyncio.timeout(SETTLE):
                while not self._book.settled:
                    self._news.clear()
                    await self._news.wait()
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
            self._ask(labels)

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
        for source in held.keys() & self._confirmable.keys() - self._confirming.keys():
            self._confirming[source] = asyncio.get_running_loop().call_later(CONFIRM_AFTER, self._confirm, source)

    def _confirm(self, source: str) -> None:
        del self._confirming[source]
        self._confirmable[source].confirm()

    def _storage_works(self) -> None:
        self._queue.forget(SYNC)
        if self._health.set("storage", True):
            log.info("storage has what it should")

    def _storage_failed(self, error: Exception) -> None:
        remedy = "see what storage-rest logs"
        if isinstance(error, Unreachable):
            remedy = "is the container storage-rest running, and is STORAGE_URL its address?"
        if self._health.set("storage", False, f"{error}; {remedy}"):
            log.warning("storage does not take what it is sent", error=str(error), remedy=remedy)
        self._queue.retry(SYNC)

    def _tell_problems(self) -> None:
        """Log each problem once, when it arises."""
        problems = self._catalogue.problems
        for ref, of_one in problems.items():
            for problem in set(of_one) - set(self._told.get(ref, ())):
                level = {"error": log.error, "warning": log.warning, "info": log.info}[problem.severity]
                level(problem.message, object=problem.object, remedy=problem.remedy)
        self._told = dict(problems)
