"""A bench for the desired entries: sources say things, storage keeps what is wanted."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from common.wire import Stored
from services.normalizer.desired import Desired
from services.normalizer.facts import Gone, Missing, Ref
from services.normalizer.ledger import Ledger, Patience
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry
from services.normalizer.normalize.result import Defaults
from services.normalizer.plan import Plan, differing, plan
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceBook, SourceKind
from services.normalizer.sources.registry_source import differences
from tests.normalizer.normalize.registries import registered

SOURCE = "kserve"


GRACE = 120.0


HOLD = 3600.0


REGISTRY = Registry("ns/reg", "reg", "ns")


REGISTRY_SOURCE = "registry:ns/reg"


def isvc(name: str, namespace: str = "models") -> Ref:
    return Ref.isvc("local", namespace, name)


class RegistryScript:
    """A registry that says what a test has it say."""

    kind: SourceKind = "registry"
    namespaces: tuple[str, ...] = ()

    def __init__(self, id_: str = REGISTRY_SOURCE) -> None:
        self.id = id_

    async def run(self, sink: Sink) -> None:
        """A test has the sink."""

    def relist(self) -> None:
        """A test says when it is looked at."""


class Bench:
    """What is desired, with a ledger, and a storage that takes whatever is planned; the clock stands still."""

    def __init__(
        self,
        stored: Mapping[str, Stored] | None = None,
        *,
        now: float = 0.0,
        listed: bool = True,
        defaults: Defaults | None = None,
    ) -> None:
        self.book = SourceBook(first_sync_grace=0)
        # A single one is always suspicious; the ledger's own tests are about that.
        self.ledger = Ledger(Patience(hold=HOLD, not_ready=GRACE, share=1, source_gone=HOLD), self.book)
        self.desired = Desired(defaults=defaults or Defaults(), ledger=self.ledger)
        self.now = now
        self.storage = dict(stored or {})
        self.bodies: dict[str, bytes] = {}
        self.removed: dict[str, str] = {}
        self._differing = set(self.storage)
        self._seen = dict(self.storage)
        self.refused: dict[str, str] = {}
        self._registered: dict[str, Mapping[str, RegisteredVersion]] = {}
        self.desired.seed(self.storage, now=now)
        self.book.declare(SOURCE, "kserve")
        self.others()
        if listed:
            self.look()

    def others(self) -> None:
        """Have others, so that one is not all that there are."""
        for number in range(5):
            self.ledger.see(f"isvc:local:others/{number}", SOURCE)
            self.ledger.see(f"registry:ns/reg:0:{number}", REGISTRY_SOURCE)

    def look(self) -> None:
        """Look at everything completely again."""
        for source in (SOURCE, REGISTRY_SOURCE):
            if self.book.is_declared(source):
                self.book.listed(source, now=self.now)

    def isvc(self, obj: dict[str, Any], *, bare: bool = False) -> None:
        metadata = obj["metadata"]
        self.put(isvc(metadata["name"], metadata["namespace"]), read_isvc(obj, planned=bare))

    def put(self, ref: Ref, fact: Any) -> None:
        self.desired.put(SOURCE, ref, fact, now=self.now)
        self.render()

    def gone(self, name: str, *, explicit: bool = True) -> None:
        self.put(isvc(name), Gone() if explicit else Missing())

    def registry(self, registry: Registry = REGISTRY, /, **tables: Any) -> None:
        """Have a registry say what it has by now, and have looked at it completely."""
        source = f"registry:{registry.id}"
        self.book.declare(source, "registry")
        for ref, fact in self.news(registry, **tables).items():
            self.desired.put(source, ref, fact, now=self.now)
        self.book.listed(source, now=self.now)
        self.desired.renderer.await_registries(frozenset())
        self.render()

    def news(self, registry: Registry, /, **tables: Any) -> dict[Ref, Any]:
        """What a registry says otherwise than before, by tables with objects by id."""
        former = self._registered.get(registry.id, {})
        by_version = tables.pop("artifacts", {})
        joined = registered(
            registry.id, artifacts=by_version, **{name: table.values() for name, table in tables.items()}
        )
        self._registered[registry.id] = joined
        return {Ref.registry(registry.id): registry, **differences(former, joined)}

    def render(self) -> None:
        """Render, let the ledger judge, and store, until nothing changes any more."""
        self.desired.render(now=self.now)
        self.desired.release(self.ledger.tick(self.now))
        self.desired.render(now=self.now)
        while not (made := self.planned()).empty:
            self.storage |= {u.key: u.stored for group in made.upserts for u in group}
            self.bodies |= {u.key: u.body for group in made.upserts for u in group}
            for key, mark in made.marks.items():
                self.storage[key] = replace(self.storage[key], leaving=mark)
            for key in made.removals:
                del self.storage[key]
            self.removed |= made.removals
            self._seen = dict(self.storage)
            self.desired.documents.free_names(self.storage)
        self.desired.forget_unused_cards()

    def planned(self) -> Plan:
        wanted, stored = self.desired.wanted, self.storage
        keys = differing(wanted.keys() | stored.keys(), wanted=wanted, stored=stored)
        by_others = {key for key in stored.keys() | self._seen.keys() if stored.get(key) != self._seen.get(key)}
        changed = self.desired.documents.take_changed() | self._differing | by_others
        assert keys == differing(changed, wanted=wanted, stored=stored), "it would be missed until all is compared"
        self._differing, self._seen = keys, dict(stored)
        return plan(
            keys,
            wanted=wanted,
            stored=stored,
            departures=self.desired.departures(keys, stored=stored),
            marks=self.ledger.marks(self.storage, now=self.now),
            leaving=self.ledger.leaving,
            refused=self.refused,
        )

    def later(self, seconds: float, *, look: bool = True) -> None:
        self.now += seconds
        if look:
            self.look()
        self.render()

    def restarted(self, **options: Any) -> "Bench":
        """Another run over what this one has stored."""
        return Bench(self.storage, now=self.now, **options)

    def document(self, key: str) -> dict[str, Any]:
        return dict(json.loads(self.bodies[key]))

    @property
    def keys(self) -> list[str]:
        """What is stored, and so served."""
        return sorted(self.storage)
