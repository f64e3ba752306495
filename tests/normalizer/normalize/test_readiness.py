"""When an InferenceService counts as ready, and what is said when it does not."""

from typing import Any

import pytest

from services.normalizer.normalize import kserve
from tests.normalizer.normalize.objects import isvc, status

READY = [
    status(),
    {key: value for key, value in status().items() if key != "modelStatus"},
    status() | {"modelStatus": {"transitionStatus": ""}},
    status() | {"conditions": [{"type": "Ready", "status": "True"}]},
    status(LatestDeploymentReady="False"),
    status(None) | {"address": {"url": "http://mnist.vision.svc.cluster.local"}},
]
NOT_READY: list[tuple[Any, str]] = [
    (None, "no status"),
    ({}, "no status"),
    ({"url": "https://e.com"}, "no conditions"),
    (status() | {"conditions": []}, "no conditions"),
    (status() | {"conditions": "soon"}, "no conditions"),
    (status(Ready="False"), "condition Ready is False"),
    (status(IngressReady="Unknown"), "condition IngressReady is Unknown"),
    (status(PredictorReady="False"), "condition PredictorReady is False"),
    (status() | {"modelStatus": {"transitionStatus": "InProgress"}}, "InProgress"),
    (status(None), "no URL"),
    (status("nonsense"), "no URL"),
]


@pytest.mark.parametrize("of_status", READY)
def test_ready(of_status: dict[str, Any]) -> None:
    assert kserve.readiness(kserve.read_isvc(isvc(status=of_status))).ready


@pytest.mark.parametrize(("of_status", "reason"), NOT_READY)
def test_not_ready(of_status: Any, reason: str) -> None:
    found = kserve.readiness(kserve.read_isvc(isvc(status=of_status)))
    assert (found.ready, found.stopped) == (False, False)
    assert reason in found.reason


def test_condition_message_is_part_of_the_reason() -> None:
    of_status = status() | {"conditions": [{"type": "Ready", "status": "False", "message": "no GPU " + "x" * 999}]}
    reason = kserve.readiness(kserve.read_isvc(isvc(status=of_status))).reason
    assert "no GPU" in reason
    assert len(reason) <= 200


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"serving.kserve.io/stop": "true"}},
        {"annotations": {"serving.kserve.io/stop": "True\n"}},
        {"metadata": {"deletionTimestamp": "2025-06-01T00:00:00Z"}},
    ],
)
def test_stopped_on_purpose(more: dict[str, Any]) -> None:
    found = kserve.readiness(kserve.read_isvc(isvc(**more)))
    assert (found.ready, found.stopped) == (False, True)


def test_stop_annotation_must_say_true() -> None:
    assert kserve.readiness(kserve.read_isvc(isvc(annotations={"serving.kserve.io/stop": "false"}))).ready
