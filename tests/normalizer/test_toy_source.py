"""A kind of source that the connector has never heard of: it takes this file and a line in the register."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from common.faults import Fault
from common.health import Health
from common.kube.metrics import KubeMetrics
from common.metrics import Metrics
from services.normalizer import service
from services.normalizer.clusters import Environment
from services.normalizer.context import create_context
from services.normalizer.controller import Controller
from services.normalizer.facts import Missing, Ref
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.registered_version import Record, joined
from services.normalizer.service import follow_sources
from services.normalizer.settings import NormalizerSettings
from services.normalizer.source import Fact, Sink
from services.normalizer.sourcebook import SourceKind
from tests import objects
from tests.normalizer.memory_storage import MemoryStorage
from tests.normalizer.normalize.registries import model as registered_model
from tests.normalizer.normalize.registries import version as model_version
from tests.waiting import eventually


class ToySource:
    """Ready models by their names in a JSON file."""

    id = "toys"
    kind: SourceKind = "kserve"
    namespaces: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self._path = path

    def facts(self, names: list[str]) -> Mapping[Ref, Fact]:
        return {Ref.isvc("toys", "box", name): read_isvc(objects.isvc(name, "box")) for name in names}

    async def run(self, sink: Sink) -> None:
        """Look at the file again and again."""
        known: set[Ref] = set()
        while True:
            try:
                names = json.loads(self._path.read_text())
            except (OSError, ValueError) as error:
                sink.state(Fault(kind="error", reason=str(error), remedy="write a list of names into the file"))
            else:
                facts = self.facts(names)
                sink.changed({**facts, **{ref: Missing() for ref in known - facts.keys()}})
                sink.state(None)
                sink.listed()
                known |= facts.keys()
            await asyncio.sleep(0.05)

    def relist(self) -> None:
        """It never stops looking."""


class ToyRegistry(ToySource):
    """Registered models by their names in a JSON file, each with a version that a toy of the same name serves."""

    id = "registry:toys"
    kind: SourceKind = "registry"

    def facts(self, names: list[str]) -> Mapping[Ref, Fact]:
        found: dict[Ref, Fact] = {}
        for name in names:
            model, version = registered_model(id=name, name=name), model_version(id="1", registeredModelId=name)
            ref = Ref.version("toys", name, "1")
            record = Record(name, name, 0, ref, namespace="box")
            found[ref] = joined("toys", model, version, (), (record,))
        return found


@asynccontextmanager
async def running(storage: MemoryStorage) -> AsyncIterator[Health]:
    settings = NormalizerSettings.load(removal_hold=1)
    metrics, health = Metrics("test", "0"), Health()
    controller = Controller(create_context(settings=settings, storage=storage, health=health, metrics=metrics))
    async with asyncio.TaskGroup() as group:
        environment = Environment(settings=settings, metrics=metrics, kube_metrics=KubeMetrics(metrics))
        tasks = await follow_sources(intake=controller.intake, environment=environment)
        started = [group.create_task(task()) for task in (controller.run, *tasks)]
        yield health
        for task in started:
            task.cancel()


NO_JSON = (
    "error: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); "
    "write a list of names into the file"
)
"""What is wrong, and what to do about it."""


def told(health: Health, source: str = "toys") -> tuple[bool, str]:
    [condition] = [each for each in health.report()["conditions"] if each["name"] == source]
    return condition["ok"], condition["reason"]


async def test_its_models_are_served_then_stale_then_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, storage = tmp_path / "toys.json", MemoryStorage()
    monkeypatch.setitem(service.KINDS, "toys", lambda _: [ToySource(path)])
    names = [f"toy-{number}" for number in range(10)]
    path.write_text(json.dumps(names))
    async with running(storage) as health:
        await eventually(lambda: sorted(storage.entries) == [f"box_{name}" for name in names], what="served")
        await eventually(lambda: storage.complete)
        path.write_text("{")
        await eventually(lambda: told(health) == (False, NO_JSON), what="stale")
        assert len(storage.entries) == 10
        path.write_text(json.dumps(names[:1]))
        await eventually(lambda: list(storage.entries) == ["box_toy-0"], what="gone")
        assert {reason for batch in storage.batches for reason in batch.removals.values()} == {"not-listed"}


async def test_a_registry_is_a_source_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toys, registry, storage = tmp_path / "toys.json", tmp_path / "registry.json", MemoryStorage()
    monkeypatch.setitem(service.KINDS, "toys", lambda _: [ToySource(toys)])
    monkeypatch.setitem(service.KINDS, "toy registry", lambda _: [ToyRegistry(registry)])
    toys.write_text('["robot"]')
    registry.write_text('["robot", "undeployed"]')
    async with running(storage) as health:
        await eventually(lambda: sorted(storage.entries) == ["robot_v1", "undeployed_v1"], what="served")
        assert storage.entries["robot_v1"].server_ref == "isvc:toys:box/robot"
        registry.write_text("{")
        await eventually(lambda: told(health, "registry:toys") == (False, NO_JSON), what="stale")
        assert sorted(storage.entries) == ["robot_v1", "undeployed_v1"]
        registry.write_text("[]")
        await eventually(lambda: list(storage.entries) == ["box_robot"], what="the deployment alone")
