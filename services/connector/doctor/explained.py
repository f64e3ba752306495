"""Findings of what a running normalizer says: about one model, and about the models that it hides. No I/O."""

from common.http.errors import RemoteError
from common.status import Explained, Explanation, HiddenStatus, SourceStatus, StatusModel
from common.words import listed
from services.connector.doctor.asking import Asked
from services.connector.doctor.model import FORWARD
from services.connector.doctor.report import Finding, FindingVerdict

_WANTED = frozenset({"stopped", "deleted", "ignored", "not-selected"})
"""Causes of hidden models that people have chosen."""


class HiddenModels(StatusModel):
    """The part of a normalizer's or location's status about hidden models."""

    hidden: tuple[HiddenStatus, ...]


class RunningSources(StatusModel):
    """The part of a normalizer's or location's status about sources."""

    sources: tuple[SourceStatus, ...]


def judge_explanation(answer: Asked[Explanation], *, known: bool) -> list[Finding]:
    """Return the findings of a running normalizer about the model; `known`: a source of it has the model."""
    if isinstance(answer, RemoteError):
        return [Finding("skipped", f"no running normalizer could be asked: {answer}", FORWARD.format(8081))]
    unread = [f"{each.source} ({each.reason})" if each.reason else each.source for each in answer.unread]
    findings = [_judge_explained(each) for each in answer.found]
    if not findings and (answer.near or not unread):
        near = f"; similar names: {listed(answer.near)}" if answer.near else ""
        if known:
            remedy = (
                "wait a few seconds and run this again; then see why it does not read the source of the model:\n"
                "kubectl logs -n NAMESPACE POD -c rhoai-normalizer"
            )
            findings.append(Finding("fault", f"it knows no model of this name{near}", remedy))
        else:
            findings.append(Finding("skipped", f"it knows no model of this name either{near}"))
    if unread and not any(each.state == "shown" for each in answer.found):
        findings.append(Finding("warning", f"the model may be in a source that cannot be read: {listed(unread)}"))
    return findings


def _judge_explained(each: Explained) -> Finding:
    since = f" since {each.since.isoformat()}" if each.since else ""
    reason = f": {each.reason}" if each.reason else ""
    if each.state == "shown":
        return Finding("ok", f"{each.object} is shown as {each.key}{reason}")
    if each.state == "on-its-way":
        return Finding("warning", f"{each.object} is on its way to storage{reason}")
    due = f", until {each.due.isoformat()} at the earliest" if each.due else ""
    cause = f" ({each.cause})" if each.cause else ""
    return Finding(
        "warning" if each.state == "leaving" else "fault",
        f"{each.object} is {each.state}{cause}{since}{due}{reason}",
        each.remedy,
    )


def judge_hidden(answer: Asked[HiddenModels]) -> list[Finding]:
    """Return the models that a running normalizer hides, except those that the InferenceServices already explain."""
    if isinstance(answer, RemoteError):
        message = f"it is not known which models the normalizer hides: {answer}"
        return [Finding("skipped", message, FORWARD.format(8081))]
    by_cause: dict[str, list[HiddenStatus]] = {}
    for each in answer.hidden:
        by_cause.setdefault(each.cause, []).append(each)
    findings = []
    for cause, hidden in sorted(by_cause.items()):
        verdict: FindingVerdict = "ok" if cause in _WANTED else "warning"
        first = hidden[0]
        findings.append(
            Finding(
                verdict,
                f"hidden ({cause}): {listed(each.object for each in hidden)}"
                + (f": {first.reason}" if first.reason else ""),
                "" if verdict == "ok" else first.remedy,
            )
        )
    return findings or [Finding("ok", "the normalizer hides no model")]
