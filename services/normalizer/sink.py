"""Where everything arrives that sources tell: facts for what is desired, how they fare for the book and `/readyz`.

Everything here is called by sources, synchronously and at any time; nothing here waits for storage.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any

import structlog

from common.health import Health
from common.kube.state import State
from common.kube.workqueue import WorkQueue
from common.problems import Problem
from services.normalizer.desired import Desired
from services.normalizer.facts import Ref, Unusable
from services.normalizer.ledger import Ledger
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registry_objects import RegistryRef
from services.normalizer.source import News, Sink, Source
from services.normalizer.sourcebook import OPTIONAL, SourceBook
from services.normalizer.sources.kubeflow.records import RegistryContent, RegistryReading, registry_source

log = structlog.get_logger("sink")

SYNC = "sync"
"""The key in the queue that stands for no document: compare everything, ask storage what it holds."""


class Intake:
    """Gives each source its sink; `sources` are those that were opened, by id."""

    def __init__(
        self,
        *,
        desired: Desired,
        book: SourceBook,
        ledger: Ledger,
        queue: WorkQueue[str],
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self._desired = desired
        self._book = book
        self._ledger = ledger
        self._queue = queue
        self._health = health
        self._clock = clock
        self._news = asyncio.Event()
        self._begun = asyncio.Event()
        self._ask: Callable[[RegistryLabels], None] = lambda labels: None
        self._ask_for_cards: Callable[[frozenset[CatalogModel]], None] = lambda models: None
        self._cards_named: frozenset[CatalogModel] = frozenset()
        self.sources: dict[str, Source] = {}

    # --- of sources of deployments

    def follow(self, source: Source) -> Callable[[], Coroutine[Any, Any, None]]:
        """Return what must run to follow a source."""
        return partial(source.run, self.open(source))

    def open(self, source: Source) -> Sink:
        """Return the sink of a source; from now on it is waited for."""
        self._book.declare(source.id, source.kind, namespaces=source.namespaces)
        self._health.set(source.id, False, "not listed yet")
        self.sources[source.id] = source
        return _SinkOf(source.id, self)

    def changed(self, source: str, news: News) -> None:
        """A source has news of objects."""
        now = self._clock()
        for ref, fact in news.items():
            try:
                self._desired.put(source, ref, fact, now=now)
            except Exception as error:  # whatever is wrong with one object, the others go on
                log.exception("object_not_processed", object=ref.label)
                self._desired.put(source, ref, Unusable(_untaken(ref, error)), now=now)
        self._wake()

    def listed(self, source: str) -> None:
        """A look at a source was complete."""
        self._book.listed(source, now=self._clock())
        self._health.set(source, True)
        self._progress()

    def state(self, source: str, state: State, *, part: str = "", partly: bool = False) -> None:
        """A source, or what belongs to it, cannot be read or can again."""
        name = f"{source}/{part}" if part else source
        reason = "" if state.ok else f"{state.kind}: {state.remedy or state.reason}"
        unneeded = self.sources[source].kind in OPTIONAL and state.kind in ("absent", "forbidden")
        self._health.set(name, state.ok or unneeded, f"not followed, {reason}" if unneeded else reason)
        if not part and state.ok:
            self._book.recovered(source)
        elif not part:
            self._book.failed(source, waiting=state.kind != "absent" and not partly and not unneeded)
        self._progress()

    # --- of registries

    def registry_declared(self, registry: str) -> None:
        """There is such a registry."""
        self._book.declare(registry_source(registry), "registry")
        self._registries_changed()

    def registry_read(self, ref: RegistryRef, reading: RegistryReading) -> None:
        """A registry was polled."""
        taken = self._take_reading(ref, reading)
        if taken and reading.complete:
            self._book.listed(registry_source(ref.id), now=self._clock())
        else:
            self._book.failed(registry_source(ref.id))
        self._registries_changed()

    def cards_read(self, ref: RegistryRef, reading: RegistryReading) -> None:
        """Model cards that a registry refers to were read; of the registry itself nothing is new."""
        self._take_reading(ref, reading)
        self._wake()

    def deployment_cards_read(self, cards: Mapping[str, str | None]) -> None:
        """Model cards that deployments name were read; they are given by key, None where there is none."""
        self._desired.put_cards(cards)
        self._wake()

    def _take_reading(self, ref: RegistryRef, reading: RegistryReading) -> bool:
        """Return whether a reading could be taken; one registry with something unheard of must not end the others."""
        content = RegistryContent(ref, reading.snapshot, settled=reading.settled, problems=reading.problems)
        try:
            self._desired.put_cards(reading.cards)
            self._desired.put_registry(ref.id, content, touched=reading.touched, now=self._clock())
        except Exception:
            log.exception("registry_not_processed", source=f"registry {ref.id}")
            return False
        return True

    def registry_failed(self, registry: str, *, has_address: bool) -> None:
        """A registry cannot be read; one that has no address yet has nothing to wait for."""
        self._book.failed(registry_source(registry), waiting=has_address)
        self._registries_changed()

    def registry_gone(self, registry: str) -> None:
        """A registry is no longer there; its models stay for a grace."""
        source = registry_source(registry)
        self._book.withdraw(source)
        self._ledger.withdraw(source)
        self._registries_changed()

    def discovering(self, *, complete: bool, waiting: bool = True, ok: bool | None = None, reason: str = "") -> None:
        """Registries are looked for; `complete`: everywhere where they may be.

        `waiting`: what is not complete may soon be. `ok`: nobody has to act, which completeness implies.
        """
        self._book.discovering(complete=complete, waiting=waiting)
        self._health.set("discovery", complete if ok is None else ok, reason)
        self._registries_changed()

    def remote_state(self, source: str, *, ok: bool, reason: str) -> None:
        """A registry or a model catalog cannot be read, or can again."""
        self._health.set(source, ok, reason)

    def remote_gone(self, source: str) -> None:
        """A registry or a model catalog is no longer there."""
        self._health.remove(source)

    def known_versions(self, registry: str) -> set[str]:
        """Return the ids of the versions of a registry that an earlier run has stored."""
        return self._desired.known_versions(registry)

    def ask_for_unknown_versions(self, ask: Callable[[RegistryLabels], None]) -> None:
        """Call `ask` for each deployment that names a version which no registry is known to have."""
        self._ask = ask

    def ask_for_cards(self, ask: Callable[[frozenset[CatalogModel]], None]) -> None:
        """Call `ask` with all models of the model catalog whose cards deployments name, whenever these change."""
        self._ask_for_cards = ask

    # --- of the controller

    def begin(self) -> None:
        """What an earlier run has stored is known."""
        self._begun.set()

    async def begun(self) -> None:
        """Wait until what an earlier run has stored is known."""
        await self._begun.wait()

    async def settled(self) -> None:
        """Wait until every source has been tried once."""
        while not self._book.settled:
            self._news.clear()
            await self._news.wait()

    def ask(self, labels: RegistryLabels) -> None:
        """Have a version looked up that no registry is known to have."""
        self._ask(labels)

    def name_cards(self, models: frozenset[CatalogModel]) -> None:
        """Take which models of the model catalog deployments name now, so that their cards are read."""
        if models != self._cards_named:
            self._cards_named = models
            self._ask_for_cards(models)

    def _registries_changed(self) -> None:
        self._desired.await_registries(self._book.awaiting_registries)
        self._wake()
        self._progress()

    def _progress(self) -> None:
        self._queue.add(SYNC)
        self._news.set()

    def _wake(self) -> None:
        for ref in self._desired.take_dirty():
            self._queue.add(ref)


def _untaken(ref: Ref, error: Exception) -> Problem:
    return Problem(
        "internal_error",
        "error",
        ref.label,
        f"it cannot be taken: {type(error).__name__}: {error}"[:300],
        "its entry is kept as it was; please report this with the traceback in the log",
    )


class _SinkOf(Sink):
    """The sink of one source."""

    def __init__(self, source: str, intake: Intake) -> None:
        self._source = source
        self._intake = intake

    def changed(self, news: News) -> None:
        self._intake.changed(self._source, news)

    def listed(self) -> None:
        self._intake.listed(self._source)

    def state(self, state: State, *, part: str = "", partly: bool = False) -> None:
        self._intake.state(self._source, state, part=part, partly=partly)
