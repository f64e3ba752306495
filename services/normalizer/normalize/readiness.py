"""Whether an InferenceService serves (KServe v1beta1 API: InferenceServiceStatus)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.normalizer.normalize import values

STOP_ANNOTATION = "serving.kserve.io/stop"
_NEEDED = ("Ready", "IngressReady", "PredictorReady")
_CURRENT = "UpToDate"
_MAX_MESSAGE = 200


@dataclass(frozen=True, slots=True)
class Readiness:
    """`stopped` says that somebody wanted it to go (stop annotation, deletion), so that no grace is due."""

    ready: bool
    stopped: bool = False
    reason: str = ""


READY = Readiness(True)


def read_readiness(*, metadata: Mapping[str, Any], status: Mapping[str, Any], url: str) -> Readiness:
    """Return whether the isvc serves and, when it does not, why."""
    if metadata.get("deletionTimestamp"):
        return Readiness(False, stopped=True, reason="it is being deleted")
    if values.line(values.at(metadata, "annotations", STOP_ANNOTATION)).lower() == "true":
        return Readiness(False, stopped=True, reason=f"it is stopped by the annotation {STOP_ANNOTATION}")
    if not status:
        return Readiness(False, reason="it has no status yet")
    reason = _unmet_condition(status) or _transition(status) or ("" if url else "it has no URL yet")
    return Readiness(False, reason=reason) if reason else READY


def _unmet_condition(status: Mapping[str, Any]) -> str:
    conditions = [values.mapping(condition) for condition in values.items(status.get("conditions"))]
    if not any(conditions):
        return "it has no conditions yet"
    for condition in conditions:
        kind, state = condition.get("type"), values.line(condition.get("status"))
        if kind in _NEEDED and state != "True":
            said = values.line(condition.get("message")) or values.line(condition.get("reason"))
            return f"its condition {kind} is {state or 'empty'}{f': {said}' if said else ''}"[:_MAX_MESSAGE]
    return ""


def _transition(status: Mapping[str, Any]) -> str:
    state = values.line(values.at(status, "modelStatus", "transitionStatus"))
    return f"its model's transition status is {state}"[:_MAX_MESSAGE] if state and state != _CURRENT else ""
