"""Whatever happens to a registry, to the isvcs that serve its versions and to the normalizer itself, in whatever order:
what storage holds is what the last complete poll said, and nothing that exists was lost on the way.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple, Self

from hypothesis import example, given, settings
from hypothesis import strategies as st

from common.health import Health
from common.metrics import Metrics
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.desired import Desired
from services.normalizer.facts import Gone, Ref
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.registered_version import RegisteredVersion
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.registry_source import differences
from tests import objects
from tests.fakes.registry import MODELS, VERSIONS, FakeRegistry, PageLimits
from tests.normalizer.bench import RegistryScript
from tests.normalizer.memory_storage import MemoryStorage
from tests.normalizer.sources.support import Reading, polling, ref_of
from tests.normalizer.sources.world import STEPS, World
from tests.waiting import eventually

KSERVE = "kserve"
NAMESPACE = "models"
LABEL = "modelregistry.opendatahub.io"
ISVCS = st.sampled_from(["isvc", "other", "third"])
HAPPENINGS = st.one_of(
    STEPS,
    st.tuples(st.just("label"), ISVCS, st.integers(0, 9)),
    st.tuples(st.just("unlabel"), ISVCS),
    st.tuples(st.just("remove"), ISVCS),
)


class Mark(NamedTuple):
    """A document by which is known how far the normalizer is."""

    ref: str
    digest: str


class Cluster:
    """The isvcs that there are, as a source."""

    id = KSERVE
    kind: SourceKind = "kserve"
    namespaces = ()

    def __init__(self, world: World) -> None:
        self._world = world
        self._sink: Sink | None = None
        self._marks = 0
        self.isvcs: dict[str, Any] = {}

    async def run(self, sink: Sink) -> None:
        """The test itself tells what happens."""

    def relist(self) -> None:
        """List again soon: what is due to leave leaves only when a look at that time agrees."""
        asyncio.get_running_loop().call_soon(self._list)

    def follow(self, intake: Intake) -> None:
        """Tell everything, as a source does that begins, and from then on what happens."""
        self._sink = intake.open(self)
        self._list()

    def label(self, name: str, number: int) -> None:
        """Deploy the `number`-th version of the registry, as the dashboard does."""
        version = self._world.pick(VERSIONS, number)
        if version is not None:
            ids = {"registered-model-id": version["registeredModelId"], "model-version-id": version["id"]}
            self._apply(objects.isvc(name, labels={f"{LABEL}/{key}": value for key, value in ids.items()}))

    def unlabel(self, name: str) -> None:
        """Deploy something that no label ties to a registry."""
        self._apply(objects.isvc(name))

    def remove(self, name: str) -> None:
        """Delete an isvc."""
        if self.isvcs.pop(name, None) is not None:
            self._tell(name)

    def mark(self) -> Mark:
        """Change an isvc, and return what its document becomes."""
        self._marks += 1
        description = {"modelcatalogbridge.rhdh.io/description": f"the {self._marks}th"}
        self._apply(objects.isvc("mark", annotations=description))
        desired = Desired(defaults=NormalizerSettings.load().defaults)
        desired.put(KSERVE, Ref.isvc("local", NAMESPACE, "mark"), read_isvc(self.isvcs["mark"]))
        desired.render(now=0)
        (upsert,) = desired.wanted.values()
        return Mark(upsert.ref, upsert.digest)

    def _apply(self, obj: dict[str, Any]) -> None:
        name = obj["metadata"]["name"]
        self.isvcs[name] = obj
        self._tell(name)

    def _list(self) -> None:
        assert self._sink is not None
        for name in self.isvcs:
            self._tell(name)
        self._sink.listed()

    def _tell(self, name: str) -> None:
        assert self._sink is not None
        obj = self.isvcs.get(name)
        fact = read_isvc(obj) if obj is not None else Gone()
        self._sink.changed({Ref.isvc("local", NAMESPACE, name): fact})


class ComparingController(Controller):
    """Compares everything in each round too: what has changed must be all that differs."""

    def _compare(self, *, everything: bool) -> None:
        super()._compare(everything=everything)
        found = self._differing
        super()._compare(everything=True)
        assert found == self._differing, "it would be missed until all is compared"


class Life:
    """One run of the normalizer, from its start to its end."""

    def __init__(self, *, world: World, cluster: Cluster, storage: MemoryStorage) -> None:
        self._world = world
        self._cluster = cluster
        self._storage = storage
        self._registry = ref_of(world.registry).registry

    @asynccontextmanager
    async def lived(self) -> AsyncIterator[Self]:
        """Start over what an earlier life has stored, and end."""
        controller = ComparingController(
            create_context(
                settings=NormalizerSettings.load(removal_hold=0, not_ready_grace=0),
                storage=self._storage,
                health=Health(),
                metrics=Metrics("test", "0"),
            )
        )
        self._intake = controller.intake
        self._sink = self._intake.open(RegistryScript(f"registry:{self._registry.id}"))
        self._known: Mapping[str, RegisteredVersion] = {}
        self._cluster.follow(self._intake)
        running = asyncio.create_task(controller.run())
        await self._intake.loaded.wait()
        async with polling(
            self._world.registry, expected=tuple(self._intake.known_versions(self._registry.id))
        ) as poller:
            self._poller = poller
            await self.poll()
            yield self
        running.cancel()
        await asyncio.wait([running])

    def step(self, order: tuple[Any, ...]) -> None:
        """Let something happen."""
        action, *words = order
        if action in ("label", "unlabel", "remove"):
            getattr(self._cluster, action)(*words)
        else:
            self._world.step(order)

    async def poll(self) -> Reading:
        """Poll, and compare the outcome with what was read."""
        before = set(self._stored())
        reading = await self._poller.poll()
        known, self._known = self._known, reading.known
        registry = replace(self._registry, listed=reading.listed)
        news = differences(known, reading.known, deleted=reading.deleted)
        self._sink.changed({Ref.registry(registry.id): registry, **news})
        if reading.complete:
            self._sink.listed(lacking=reading.fault)
        elif reading.fault is not None:
            self._sink.state(reading.fault)
        mark = self._cluster.mark()
        await eventually(lambda: self._stored().get(mark.ref) == mark.digest, what="the mark")
        for ref in before - set(self._stored()):
            assert ref.rpartition(":")[2] not in self._world.truth() or ref.startswith("isvc:")
        if reading.fault is None:
            expected = self._first_sight(reading.known)
            await eventually(lambda: self._stored() == expected, what="the catalog is what was read")
        return reading

    def _stored(self) -> dict[str, str]:
        assert len({entry.ref for entry in self._storage.entries.values()}) == len(self._storage.entries)
        return {entry.ref: entry.digest for entry in self._storage.entries.values()}

    def _first_sight(self, known: Mapping[str, RegisteredVersion]) -> dict[str, str]:
        """What someone would store who sees all this for the first time."""
        desired = Desired(defaults=NormalizerSettings.load().defaults)
        desired.put("registry", Ref.registry(self._registry.id), self._registry)
        for version in known.values():
            desired.put("registry", version.ref, version)
        for name, obj in self._cluster.isvcs.items():
            desired.put(KSERVE, Ref.isvc("local", NAMESPACE, name), read_isvc(obj))
        desired.render(now=0)
        return {upsert.ref: upsert.digest for upsert in desired.wanted.values()}


ROUNDS = st.lists(st.lists(HAPPENINGS, max_size=4), max_size=4)


@settings(max_examples=25)
@given(st.lists(ROUNDS, min_size=1, max_size=3))
@example([[], [[("fail", "*", {"kind": "status", "status": 503})]], []])
@example([[[("label", "other", 0)]], [[("change", "archive", MODELS, 0)], [("change", "restore", MODELS, 0)]]])
@example([[[("label", "isvc", 0)]], [[("fail", "*", {"kind": "status", "status": 401})]], [[("remove", "isvc")]]])
@example(
    [
        [[("fail", MODELS, {"kind": "status", "status": 503}), ("label", "isvc", 5)]],
        [[("change", "archive", MODELS, 4)], [("label", "isvc", 7)]],
    ]
)
async def test_what_is_stored_is_what_the_last_complete_poll_said(lives: list[list[list[tuple[Any, ...]]]]) -> None:
    async with FakeRegistry(limits=PageLimits(default=3, cap=3)) as registry:
        registry.populate(2, versions=2)
        world, storage = World(registry), MemoryStorage()
        life = Life(world=world, cluster=Cluster(world), storage=storage)
        for rounds in lives:
            async with life.lived():
                for orders in rounds:
                    for order in orders:
                        life.step(order)
                    await life.poll()
        registry.heal()
        async with life.lived():
            await life.poll()
            assert (await life.poll()).fault is None
        shown = [entry.ref for entry in storage.entries.values() if entry.reconciler == "kubeflow"]
        assert {ref.rpartition(":")[2] for ref in shown} == world.truth().keys()
