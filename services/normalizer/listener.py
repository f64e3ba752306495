"""What the sources tell, and what the controller makes of it: the catalogue, the book of sources, and its next work.

Everything here is called by sources, synchronously and at any time; nothing here waits for storage.
"""

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol, runtime_checkable

from common.health import Health
from common.kube.replica import Key
from common.kube.state import State
from common.kube.workqueue import WorkQueue
from common.problems import Problem
from services.normalizer.catalogue import Catalogue
from services.normalizer.contents import IsvcSource, RegistryContent, registry_source
from services.normalizer.ledger import Ledger
from services.normalizer.normalize.deployment import Deployment, ServiceAccountFacts, ServiceFacts
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registry_objects import RegistryRef
from services.normalizer.sourcebook import SourceBook
from services.normalizer.sources.kubeflow.records import RegistryReading

SYNC = "sync"
"""The key in the queue that stands for no document: compare everything, ask storage what it holds."""


class Confirmable(Protocol):
    """A source that can be asked to list again."""

    def confirm(self) -> None:
        """List again soon."""


@runtime_checkable
class Provable(Protocol):
    """A source that can be asked for one object."""

    async def is_gone(self, namespace: str, name: str) -> bool:
        """Return whether it has no such object; raises a RemoteError when that cannot be said."""


class Listener:
    """Takes what the sources tell; `confirmable` are those that can be asked to list again, by id."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        book: SourceBook,
        ledger: Ledger,
        queue: WorkQueue[str],
        health: Health,
        clock: Callable[[], float],
    ) -> None:
        self._catalogue = catalogue
        self._book = book
        self._ledger = ledger
        self._queue = queue
        self._health = health
        self._clock = clock
        self._news = asyncio.Event()
        self._begun = asyncio.Event()
        self._ask: Callable[[RegistryLabels], None] = lambda labels: None
        self.confirmable: dict[str, Confirmable] = {}

    # --- of InferenceServices; each may be called at any time after `declare`

    def declare(self, source: str, *, confirm: Confirmable | None = None, namespaces: Collection[str] = ()) -> None:
        """There is a source of InferenceServices, in all namespaces or those given."""
        self._book.declare(source, "kserve", namespaces=namespaces)
        self._health.set(source, False, "not listed yet")
        if confirm is not None:
            self.confirmable[source] = confirm

    def isvc_changed(
        self, source: IsvcSource, key: Key, facts: Deployment | None, *, explicit: bool, bare: bool = False
    ) -> None:
        """An isvc is new, another or gone."""
        self._catalogue.put_isvc(source, key, facts, explicit=explicit, bare=bare, now=self._clock())
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
        self._catalogue.put_unusable(source, key, problem)
        self._wake()

    def source_listed(self, source: str) -> None:
        """A source of InferenceServices was listed completely."""
        self._book.listed(source, now=self._clock())
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
        if source in self.confirmable:
            if state.ok:
                self._book.recovered(source)
            else:
                self._book.failed(source, waiting=state.kind != "absent")
        self._queue.add(SYNC)
        self._news.set()

    # --- of registries

    def registry_declared(self, registry: str) -> None:
        """There is such a registry."""
        self._book.declare(registry_source(registry), "registry")
        self._registries_changed()

    def registry_read(self, ref: RegistryRef, reading: RegistryReading) -> None:
        """A registry was polled."""
        now = self._clock()
        self._catalogue.put_cards(reading.cards)
        content = RegistryContent(ref, reading.snapshot, settled=reading.settled, problems=reading.problems)
        self._catalogue.put_registry(ref.id, content, touched=reading.touched, now=now)
        if reading.complete:
            self._book.listed(registry_source(ref.id), now=now)
        else:
            self._book.failed(registry_source(ref.id))
        self._registries_changed()

    def cards_read(self, ref: RegistryRef, reading: RegistryReading) -> None:
        """Model cards that a registry refers to were read; of the registry itself nothing is new."""
        self._catalogue.put_cards(reading.cards)
        content = RegistryContent(ref, reading.snapshot, settled=reading.settled, problems=reading.problems)
        self._catalogue.put_registry(ref.id, content, touched=reading.touched, now=self._clock())
        self._wake()

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
        return self._catalogue.known_versions(registry)

    def ask_for_unknown_versions(self, ask: Callable[[RegistryLabels], None]) -> None:
        """Call `ask` for each isvc that names a version which no registry is known to have."""
        self._ask = ask

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

    def _registries_changed(self) -> None:
        self._catalogue.await_registries(self._book.awaiting_registries)
        self._wake()
        self._queue.add(SYNC)
        self._news.set()

    def _wake(self) -> None:
        for ref in self._catalogue.take_dirty():
            self._queue.add(ref)
