"""When an InferenceService counts as ready, and what is said when it does not."""

from typing import Any

import pytest

from services.normalizer.normalize.kserve_objects import read_isvc
from services.normalizer.normalize.readiness import may_scale_to_zero
from tests.normalizer.normalize.objects import URL, isvc, status


def without_ready(predictor: str, transition: str) -> dict[str, Any]:
    """Return a status without the condition Ready; what is said for information only does not count."""
    conditions = [
        {"type": "PredictorReady", "status": predictor},
        {"type": "RoutesReady", "status": "False", "severity": "Info"},
        {"type": "Stopped", "status": "False"},
    ]
    return {"url": URL, "conditions": conditions, "modelStatus": {"transitionStatus": transition}}


READY = [
    status(),
    {key: value for key, value in status().items() if key != "modelStatus"},
    status() | {"modelStatus": {"transitionStatus": ""}},
    status() | {"conditions": [{"type": "Ready", "status": "True"}]},
    status(LatestDeploymentReady="False"),
    status(None),
    status("nonsense"),
    status() | {"modelStatus": {"transitionStatus": "InProgress"}},
    status() | {"modelStatus": {"transitionStatus": "BlockedByFailedLoad"}},
    status(IngressReady="Unknown"),
    without_ready("True", "UpToDate"),
    without_ready("True", "UpToDate") | {"conditions": []},
    status(None) | {"address": {"url": "http://mnist.vision.svc.cluster.local"}},
]
NOT_READY: list[tuple[Any, str]] = [
    (None, "no status"),
    ({}, "no status"),
    ({"url": "https://e.com"}, "no condition Ready yet"),
    (status() | {"conditions": "soon", "modelStatus": {}}, "no condition Ready yet"),
    (without_ready("True", "InProgress"), "InProgress"),
    (without_ready("True", ""), "empty"),
    (without_ready("Unknown", "UpToDate"), "condition PredictorReady is Unknown"),
    (status(Ready="False"), "condition Ready is False"),
]


@pytest.mark.parametrize("of_status", READY)
def test_ready(of_status: dict[str, Any]) -> None:
    assert read_isvc(isvc(status=of_status)).readiness.ready


@pytest.mark.parametrize(("of_status", "reason"), NOT_READY)
def test_not_ready(of_status: Any, reason: str) -> None:
    found = read_isvc(isvc(status=of_status)).readiness
    assert (found.ready, found.stopped) == (False, False)
    assert reason in found.reason


def test_condition_message_is_part_of_the_reason() -> None:
    of_status = status() | {"conditions": [{"type": "Ready", "status": "False", "message": "no GPU " + "x" * 999}]}
    reason = read_isvc(isvc(status=of_status)).readiness.reason
    assert "no GPU" in reason
    assert len(reason) <= 200


@pytest.mark.parametrize(
    ("conditions", "model_status", "reason"),
    [
        (
            [],
            {"transitionStatus": "InvalidSpec", "lastFailureInfo": {"message": "No runtime found: vllm"}},
            "it has no condition Ready yet, and its model's transition status is InvalidSpec: No runtime found: vllm",
        ),
        (
            [{"type": "Ready", "status": "False"}],
            {"states": {"targetModelState": "FailedToLoad"}, "lastFailureInfo": {"reason": "ModelLoadFailed"}},
            "its condition Ready is False: ModelLoadFailed",
        ),
        (
            [{"type": "Ready", "status": "False", "message": "no such bucket"}],
            {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no such bucket"}},
            "its condition Ready is False: no such bucket",
        ),
        (
            [{"type": "Ready", "status": "False", "message": "scaling"}],
            {"transitionStatus": "InProgress", "lastFailureInfo": {"message": "of last year"}},
            "its condition Ready is False: scaling",
        ),
    ],
    ids=["no-runtime", "only-a-reason", "said-once", "history"],
)
def test_the_failure_of_the_model_is_part_of_the_reason(
    conditions: list[dict[str, Any]], model_status: dict[str, Any], reason: str
) -> None:
    found = read_isvc(isvc(status={"conditions": conditions, "modelStatus": model_status})).readiness
    assert (found.ready, found.reason) == (False, reason)


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"serving.kserve.io/stop": "true"}},
        {"annotations": {"serving.kserve.io/stop": "True\n"}},
        {"metadata": {"deletionTimestamp": "2025-06-01T00:00:00Z"}},
    ],
)
def test_stopped_on_purpose(more: dict[str, Any]) -> None:
    found = read_isvc(isvc(**more)).readiness
    assert (found.ready, found.stopped) == (False, True)


def test_stop_annotation_must_say_true() -> None:
    assert read_isvc(isvc(annotations={"serving.kserve.io/stop": "false"})).readiness.ready


@pytest.mark.parametrize(
    "model_status",
    [
        {"transitionStatus": "BlockedByFailedLoad", "lastFailureInfo": {"message": "no model in s3://k:CANARY@b/m"}},
        {"transitionStatus": "InProgress", "states": {"targetModelState": "FailedToLoad"}},
    ],
)
def test_an_update_that_failed_is_reported_while_the_former_revision_answers(model_status: dict[str, Any]) -> None:
    facts = read_isvc(isvc(status=status() | {"modelStatus": model_status}))
    assert facts.readiness.ready
    assert [problem.severity for problem in facts.problems] == ["warning"]
    assert "failed to load" in facts.problems[0].message
    assert "CANARY" not in facts.problems[0].message


def test_a_failure_of_long_ago_is_not_told() -> None:
    of_status = status() | {"modelStatus": {"transitionStatus": "UpToDate", "lastFailureInfo": {"message": "once"}}}
    assert read_isvc(isvc(status=of_status)).problems == ()


KNATIVE = "autoscaling.knative.dev"


@pytest.mark.parametrize(
    ("spec", "status", "annotations", "sleeps"),
    [
        ({"predictor": {"minReplicas": 0}}, {}, {}, True),
        ({"predictor": {"minReplicas": 1}}, {}, {}, False),
        ({"predictor": {}}, {}, {}, False),
        ({"predictor": {}, "transformer": {"minReplicas": 0}}, {}, {}, True),
        ({"replicas": 0}, {}, {}, True),
        ({"replicas": 1}, {}, {}, False),
        ({"replicas": 1, "prefill": {"replicas": 0}}, {}, {}, True),
        ({"scaling": {"minReplicas": 0}}, {}, {}, True),
        ({}, {"modelStatus": {"copies": {"totalCopies": 0}}}, {}, True),
        ({"predictor": {"minReplicas": 1}}, {"modelStatus": {"copies": {"failedCopies": 0}}}, {}, True),
        ({"predictor": {}}, {"deploymentMode": "Serverless"}, {}, True),
        ({"predictor": {}}, {"deploymentMode": "Knative"}, {}, True),
        ({"predictor": {"minReplicas": 2}}, {"deploymentMode": "Knative"}, {}, False),
        ({"predictor": {}}, {"deploymentMode": "Standard"}, {}, False),
        ({"predictor": {}}, {"components": {"predictor": {"latestReadyRevision": "m-1"}}}, {}, True),
        ({"predictor": {}}, {}, {"serving.kserve.io/deploymentMode": "Serverless"}, True),
        ({"predictor": {"minReplicas": 1}}, {}, {f"{KNATIVE}/min-scale": "0"}, True),
        ({"predictor": {"annotations": {f"{KNATIVE}/minScale": "0"}}}, {}, {}, True),
        ({"predictor": {}}, {"deploymentMode": "Serverless"}, {f"{KNATIVE}/min-scale": "1"}, False),
        (None, None, None, False),
    ],
)
def test_what_may_have_no_pod_at_the_moment_sleeps(spec: Any, status: Any, annotations: Any, sleeps: bool) -> None:
    assert may_scale_to_zero({"metadata": {"annotations": annotations}, "spec": spec, "status": status}) == sleeps
