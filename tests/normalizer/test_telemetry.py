from math import inf

from common.health import Health
from common.metrics import Metrics
from common.problems import Problem
from services.normalizer.context import create_context
from services.normalizer.facts import Gone, Missing, Ref, Unusable
from services.normalizer.hidden import Why
from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.settings import NormalizerSettings
from services.normalizer.telemetry import Telemetry
from tests import objects
from tests.normalizer.memory_storage import MemoryStorage

PROBLEM = Problem("name_taken", "info", "InferenceService a/b", "its name is taken", "rename it")


def test_what_has_not_happened_yet_is_reported_as_nothing() -> None:
    """An alert on an increase needs the series before its first event."""
    metrics = Metrics("rhoai-normalizer", "test")
    Telemetry(metrics)

    text = metrics.render().decode()
    for sample in (
        'controller_runtime_reconcile_total{controller="inferenceservice",result="success"}',
        'controller_runtime_reconcile_total{controller="inferenceservice",result="error"}',
        'controller_runtime_reconcile_errors_total{controller="inferenceservice"}',
        'rhoai_connector_published_total{kind="removal"}',
    ):
        assert f"{sample} 0.0\n" in text


async def test_the_time_from_event_to_served_counts_what_was_changed_by_it() -> None:
    metrics = Metrics("rhoai-normalizer", "test")
    telemetry = Telemetry(metrics)

    def served() -> float | None:
        return metrics.registry.get_sample_value("rhoai_connector_event_to_served_seconds_count")

    telemetry.event_received(["isvc:local:a/one", "isvc:local:a/two"])
    telemetry.documents_stored(["isvc:local:a/one", "isvc:local:a/three", ""])
    assert served() == 1
    telemetry.drop_events_before(began=inf)
    telemetry.documents_stored(["isvc:local:a/two"])
    assert served() == 1


async def test_the_gauges_of_the_state_are_those_of_the_moment() -> None:
    metrics = Metrics("rhoai-normalizer", "test")
    settings = NormalizerSettings.load()
    context = create_context(settings=settings, storage=MemoryStorage(), health=Health(), metrics=metrics)
    desired, book = context.desired, context.book

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"rhoai_connector_{name}", labels)

    def isvc(name: str) -> Ref:
        return Ref.isvc("local", "a", name)

    for name in ("one", "two"):
        desired.put("kserve", isvc(name), read_isvc(objects.isvc(name, "a")))
    desired.put("kserve", isvc("three"), Unusable(PROBLEM))
    desired.render(now=5)
    desired.put("kserve", isvc("two"), Missing(), now=5)
    desired.render(now=5)
    context.hidden.update({str(isvc("four")): ("kserve", Why("stopped", "it is stopped", "start it"))}, now=5)
    book.declare("kserve", "kserve")
    book.declare("kserve-llm", "llm")
    book.listed("kserve", now=5)

    looks = [value("source_last_look_timestamp_seconds", source=source.id) for source in book.sources()]
    assert looks == [5, 0]
    assert value("documents", source="kserve") == 2
    assert value("hidden", cause="stopped") == 1
    assert value("removals_held", source="kserve") == 1
    assert value("problems", severity="info", id=PROBLEM.id) == 1
    book.withdraw("kserve")
    desired.put("kserve", isvc("two"), Gone(), now=6)
    assert value("source_last_look_timestamp_seconds", source="kserve") is None
    assert value("removals_held", source="kserve") is None
