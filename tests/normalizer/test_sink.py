"""What sources tell becomes conditions and a metric: each source has both, from the beginning."""

from dataclasses import dataclass

import pytest

from common.faults import Fault, FaultKind
from common.health import Health
from common.metrics import Metrics
from services.normalizer.context import create_context
from services.normalizer.normalize.registered_version import joined
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sink import Intake
from services.normalizer.source import Sink
from services.normalizer.sourcebook import SourceKind
from tests.normalizer.memory_storage import MemoryStorage
from tests.normalizer.normalize.registries import model, version


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
        context = create_context(settings=settings, storage=MemoryStorage(), health=self.health, metrics=metrics)
        self._id, self._registry = source.id, metrics.registry
        self.intake, self.desired, self._book = Intake(context), context.desired, context.book
        self.sink = self.intake.open(source)

    @property
    def awaited(self) -> list[str]:
        """The sources that the feed waits for."""
        return [each.source for each in self._book.awaited(documents=1)]

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
async def test_a_kind_that_no_one_needs_is_not_stale(kind: FaultKind) -> None:
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


@pytest.mark.parametrize(
    ("kind", "fault", "awaited"),
    [
        ("kserve", "absent", False),
        ("kserve", "forbidden", True),
        ("registry", "absent", True),
        ("registry", "unreachable", True),
        ("registry", "no-address", False),
        ("openai", "absent", True),
    ],
)
async def test_what_may_still_come_is_awaited(kind: SourceKind, fault: FaultKind, awaited: bool) -> None:
    told = Told(Silent(f"{kind}:x", kind))
    told.sink.state(failing(fault))
    assert told.awaited == ([f"{kind}:x"] if awaited else [])


async def test_a_server_without_an_address_is_stale_and_needs_no_one() -> None:
    told = Told(Silent("registry:x", "registry"))
    told.sink.state(failing("no-address"))
    assert told.seen == (True, 1)
    assert told.reason.startswith("no-address: ")


async def test_what_is_lacking_of_single_objects_is_a_fault_of_a_complete_look() -> None:
    told = Told(Silent("registry:x", "registry"))
    told.sink.listed(lacking=failing("unavailable"))
    assert told.seen == (False, 1)
    assert told.awaited == []
    told.sink.listed()
    assert (told.seen, told.reason) == ((True, 0), "")


async def test_of_a_registry_that_is_followed_again_the_first_complete_look_shows_what_is_missing() -> None:
    told = Told(Silent("registry:x", "registry"))
    versions = [joined("x", model(), version(id=id_, name=f"v{id_}"), ()) for id_ in ("10", "11")]
    told.sink.changed({each.ref: each for each in versions})
    told.sink.listed()
    again = told.intake.open(Silent("registry:x", "registry"))
    again.changed({versions[0].ref: versions[0]})
    again.listed()
    assert [each.version.id for each in told.desired.registered.versions()] == ["10"]
