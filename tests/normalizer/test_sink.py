"""What sources tell becomes conditions and a metric: each source has both, from the beginning."""

from dataclasses import dataclass

import pytest

from common.faults import Fault, FaultKind
from common.health import Health
from common.metrics import Metrics
from services.normalizer.service import create_controller
from services.normalizer.settings import NormalizerSettings
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind
from tests.normalizer.memory_storage import MemoryStorage


@dataclass
class Silent:
    """A source that tells nothing by itself."""

    id: str
    kind: SourceKind
    namespaces: tuple[str, ...] = ()

    async def run(self, sink: Sink) -> None:
        """Tell nothing."""

    def relist(self) -> None:
        """Look again."""


class Told:
    """What can be seen of one source from outside."""

    def __init__(self, source: Silent) -> None:
        self.health, metrics = Health(), Metrics("test", "0")
        settings = NormalizerSettings.load()
        controller = create_controller(settings=settings, storage=MemoryStorage(), health=self.health, metrics=metrics)
        self._id, self._registry = source.id, metrics.registry
        self.sink = controller.intake.open(source)

    @property
    def seen(self) -> tuple[bool, float | None]:
        """Whether it is ok, and the metric."""
        stale = self._registry.get_sample_value("rhoai_connector_source_stale", {"source": self._id})
        return self.health.conditions[self._id].ok, stale

    @property
    def reason(self) -> str:
        return self.health.conditions[self._id].reason


def failing(kind: FaultKind) -> Fault:
    return Fault(kind=kind, reason="cannot list inferenceservices: no", remedy="do something")


@pytest.mark.parametrize(("source", "kind"), [("kserve", "kserve"), ("kserve-llm", "llm"), ("manifests", "kserve")])
async def test_each_source_has_a_condition_and_a_metric(source: str, kind: SourceKind) -> None:
    told = Told(Silent(source, kind))
    assert told.seen == (False, 1)
    assert told.reason == "it is being read for the first time"
    told.sink.listed()
    assert told.seen == (True, 0)
    told.sink.state(failing("unreachable"))
    assert told.seen == (False, 1)
    assert told.reason == "unreachable: cannot list inferenceservices: no; do something"
    told.sink.state(None)
    assert (told.seen, told.reason) == ((True, 0), "")


@pytest.mark.parametrize("kind", ["absent", "forbidden"])
async def test_a_kind_that_nobody_needs_is_not_stale(kind: FaultKind) -> None:
    told = Told(Silent("kserve-llm", "llm"))
    told.sink.state(failing(kind))
    assert told.seen == (True, 0)
    assert told.reason.startswith(f"not followed, {kind}: ")


async def test_a_part_that_cannot_be_read_has_a_condition_of_its_own() -> None:
    told = Told(Silent("kserve", "kserve"))
    told.sink.listed()
    told.sink.state(failing("forbidden"), part="services")
    assert told.seen == (True, 0)
    assert not told.health.conditions["kserve/services"].ok
