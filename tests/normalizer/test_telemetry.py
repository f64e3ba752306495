from common.metrics import Metrics
from services.normalizer.telemetry import Telemetry


def test_what_has_not_happened_yet_is_told_as_nothing() -> None:
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
