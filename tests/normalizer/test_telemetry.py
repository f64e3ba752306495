from math import inf

from common.metrics import Metrics
from common.problems import Problem
from services.normalizer.ledger import Doubt
from services.normalizer.sourcebook import SourceHealth
from services.normalizer.telemetry import State, StateCollector, Telemetry

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


def test_the_gauges_of_the_state_are_those_of_the_moment() -> None:
    metrics = Metrics("rhoai-normalizer", "test")
    health = [
        SourceHealth("kserve", "kserve", 5.0, failing=True, absent=False),
        SourceHealth("kserve-llm", "llm", None, failing=True, absent=True),
        SourceHealth("registry:ns/name", "registry", 7.0, failing=False, absent=False),
    ]
    doubt = Doubt(ref="isvc:local:a/one", source="kserve", since=1, reason="not-listed", due=2)
    full = State(
        documents={"kserve": 2}, problems={"r": (PROBLEM,)}, hidden={"stopped": 3}, doubts=[doubt], sources=health
    )
    empty = State(documents={}, problems={}, hidden={}, doubts=[], sources=[])
    states = [full]
    metrics.registry.register(StateCollector(lambda: states[-1]))

    def value(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"rhoai_connector_{name}", labels)

    looks = [value("source_last_look_timestamp_seconds", source=source.id) for source in health]
    assert looks == [5, 0, 7]
    assert value("documents", source="kserve") == 2
    assert value("hidden", cause="stopped") == 3
    assert value("removals_held", source="kserve") == 1
    assert value("problems", severity="info", id=PROBLEM.id) == 1
    states.append(empty)
    assert value("source_last_look_timestamp_seconds", source="kserve") is None
    assert value("removals_held", source="kserve") is None
