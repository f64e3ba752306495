"""Whether an InferenceService or an LLMInferenceService serves (KServe API: InferenceServiceStatus).

The condition Ready decides. KServe leaves the transition status at InProgress forever on services that are scaled to
zero, and at BlockedByFailedLoad while the former revision answers; both are ready.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.normalizer.normalize import values
from services.normalizer.normalize.links import without_credentials
from services.normalizer.normalize.result import Notes

STOP_ANNOTATION = "serving.kserve.io/stop"
MODE_ANNOTATION = "serving.kserve.io/deploymentMode"
_MODES_OF_KNATIVE = ("Serverless", "Knative")
_COMPONENTS = ("predictor", "transformer", "explainer", "prefill")
_LEAST = ("minReplicas", "replicas")
_LEAST_OF_KNATIVE = ("autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/minScale")
_READY = "Ready"
_CURRENT = "UpToDate"
_FAILED_TRANSITIONS = frozenset({"BlockedByFailedLoad", "InvalidSpec"})
_FAILED_STATE = "FailedToLoad"
_FOR_INFORMATION = "Info"
_MAX_MESSAGE = 200


UnreadyCause = Literal["not-ready", "stopped", "deleted", "ignored", "not-selected"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a deployment serves; `reason` and `cause` say why not.

    `since` is when it began, in milliseconds of the epoch, or 0 where that is not known.
    """

    ready: bool
    reason: str = ""
    cause: UnreadyCause = "not-ready"
    since: int = 0

    @property
    def stopped(self) -> bool:
        """Whether people wanted that (stop annotation, deletion, selection), so that there is no grace."""
        return self.cause != "not-ready"


READY = Readiness(True)


def read_readiness(*, metadata: Mapping[str, Any], status: Mapping[str, Any]) -> Readiness:
    """Return whether it serves and, when it does not, why."""
    if metadata.get("deletionTimestamp"):
        since = values.timestamp(metadata["deletionTimestamp"])
        return Readiness(False, "it is being deleted", "deleted", since)
    if values.line_at(metadata, "annotations", STOP_ANNOTATION).lower() == "true":
        return Readiness(False, f"it is stopped by the annotation {STOP_ANNOTATION}", "stopped")
    if not status:
        return Readiness(False, "it has no status yet")
    reason, since = _reason(status)
    return Readiness(False, reason, since=since) if reason else READY


def may_scale_to_zero(obj: Mapping[str, Any]) -> bool:
    """Return whether a deployment may have no pod although it is ready, so that a request would start one.

    Source: KServe API, `minReplicas` of components and `replicas` of LLMInferenceServices; Knative, min-scale. Where no
    minimum is given, Knative decides by the configuration of the cluster, so the answer is yes.
    """
    spec, status = values.mapping(obj.get("spec")), values.mapping(obj.get("status"))
    annotations = values.mapping(values.at(obj, "metadata", "annotations"))
    parts = [spec, *(values.mapping(spec[name]) for name in _COMPONENTS if name in spec)]
    scaled = (place for part in parts for place in (part, values.mapping(part.get("scaling"))))
    least = [values.line(place[name]) for place in scaled for name in _LEAST if name in place]
    annotated = (annotations, *(values.mapping(part.get("annotations")) for part in parts))
    least += [values.line(place[key]) for place in annotated for key in _LEAST_OF_KNATIVE if key in place]
    if "0" in least or _has_no_copy(status):
        return True
    return not any(least) and _is_of_knative(annotations, status)


def _has_no_copy(status: Mapping[str, Any]) -> bool:
    """Return whether the status says that no pod runs; Go leaves out a total of 0."""
    copies = values.mapping(values.at(status, "modelStatus", "copies"))
    return bool(copies) and values.line(copies.get("totalCopies")) in ("", "0")


def _is_of_knative(annotations: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    modes = (values.line(status.get("deploymentMode")), values.line(annotations.get(MODE_ANNOTATION)))
    mode = next(filter(None, modes), "")
    if mode:
        return mode in _MODES_OF_KNATIVE
    components = values.mapping(status.get("components"))
    return any(values.at(component, "latestReadyRevision") for component in components.values())


def note_failed_update(status: Mapping[str, Any], notes: Notes) -> None:
    """Note that an update has failed, if it has, while the previous revision still answers."""
    failed, message = _failure(status)
    if failed:
        notes.warning(
            "revision_failed",
            _shortened(f"its latest revision failed to load{f': {message}' if message else ''}"),
            "the revision before it answers as long as it is ready: correct the model, or undo the change",
        )


def _failure(status: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether its latest revision or the attempt at one has failed, and what KServe says of that."""
    model = values.mapping(status.get("modelStatus"))
    failed = (
        values.line(model.get("transitionStatus")) in _FAILED_TRANSITIONS
        or values.line_at(model, "states", "targetModelState") == _FAILED_STATE
    )
    info = values.mapping(model.get("lastFailureInfo"))
    return failed, values.line(info.get("message")) or values.line(info.get("reason"))


def _reason(status: Mapping[str, Any]) -> tuple[str, int]:
    """Return why it is not ready, empty when it is, and since when (milliseconds of the epoch).

    A runtime that does not exist, or a model that cannot be loaded, is only in the failure of the model's status.
    """
    reason, since = _unmet_of(status)
    if not reason:
        return reason, since
    failed, failure = _failure(status)
    if failed and failure and failure not in reason:
        reason = f"{reason}: {_shortened(failure)}"
    return reason, since


def _unmet_of(status: Mapping[str, Any]) -> tuple[str, int]:
    """Return the condition that is not met, and since when; an empty text when there is none."""
    conditions = [values.mapping(condition) for condition in values.items(status.get("conditions"))]
    ready = next((condition for condition in conditions if condition.get("type") == _READY), None)
    if ready is not None:
        return _unmet(ready), values.timestamp(ready.get("lastTransitionTime"))
    transition = values.line_at(status, "modelStatus", "transitionStatus")
    if transition != _CURRENT:
        return f"it has no condition Ready yet, and its model's transition status is {transition or 'empty'}", 0
    unmet = ((_unmet(each), values.timestamp(each.get("lastTransitionTime"))) for each in conditions if _counts(each))
    return next((each for each in unmet if each[0]), ("", 0))


def _counts(condition: Mapping[str, Any]) -> bool:
    """Return whether a condition counts where there is no condition Ready."""
    return values.line(condition.get("type")).endswith(_READY) and condition.get("severity") != _FOR_INFORMATION


def _unmet(condition: Mapping[str, Any]) -> str:
    """Return why a condition is not met, empty when it is."""
    state = values.line(condition.get("status"))
    if state == "True":
        return ""
    message = values.line(condition.get("message")) or values.line(condition.get("reason"))
    return _shortened(
        f"its condition {values.line(condition.get('type'))} is {state or 'empty'}{f': {message}' if message else ''}"
    )


def _shortened(text: str) -> str:
    return without_credentials(text)[:_MAX_MESSAGE]
