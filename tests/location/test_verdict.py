"""The line that says how everything is."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.status import ConditionStatus, LeavingStatus, ProblemStatus
from services.location.status.answer import FeedStatus, ReaderStatus, ServiceStatus
from services.location.status.verdict import Findings, verdict

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
BEGAN = NOW - timedelta(hours=2)
JUST_NOW = NOW - timedelta(seconds=40)


def condition(name: str, reason: str = "", *, ok: bool = False) -> ConditionStatus:
    return ConditionStatus(name=name, ok=ok, reason=reason, since=BEGAN)


def service(name: str, *conditions: ConditionStatus, fault: str = "", answers: bool = True) -> ServiceStatus:
    return ServiceStatus(name=name, answers=answers, fault=fault, started=BEGAN, conditions=conditions)


def leaving(reason: str, **fields: Any) -> LeavingStatus:
    return LeavingStatus(key="a_b", reason=reason, since=BEGAN, **fields)


def found(*services: ServiceStatus, complete: bool = True, read: datetime | None = JUST_NOW, **fields: Any) -> Findings:
    feed = FeedStatus(complete=complete, waiting_for="" if complete else "storage-rest", documents=12)
    reader = ReaderStatus(id="first-generation", name="", last=read)
    return Findings(**{"at": NOW, "feed": feed, "services": services, "sources": (), "readers": (reader,), **fields})


FORBIDDEN = condition("kserve", "forbidden: apply deploy/rbac")
SILENT = service("storage-rest", fault="it does not answer (refused)", answers=False)
ERROR = ProblemStatus(severity="error", object="InferenceService models/iris", message="it cannot be read")

CASES: dict[str, tuple[Findings, str, str, str]] = {
    "all is well": (found(service("location")), "ok", "All is well: 12 models are served, and read by Backstage", ""),
    "nothing is complete and no one knows why": (
        found(complete=False),
        "error",
        "Nothing is served: the feed waits for storage-rest.",
        "the sources are being read",
    ),
    "nothing is complete, for a source is forbidden": (
        found(service("location", condition("feed")), service("rhoai-normalizer", FORBIDDEN), complete=False),
        "error",
        "Nothing is served",
        "kserve: forbidden: apply deploy/rbac",
    ),
    "a source is forbidden": (
        found(service("rhoai-normalizer", condition("discovery", "x"), FORBIDDEN)),
        "warning",
        "12 models are served; something is wrong with kserve and discovery.",
        "kserve: forbidden",
    ),
    "a service is silent, and another complains of it": (
        found(service("rhoai-normalizer", condition("storage", "refused")), SILENT),
        "warning",
        "something is wrong with storage-rest and storage",
        "storage-rest: it does not answer",
    ),
    "a service is the original's": (
        found(service("storage-rest", fault="it knows no /status")),
        "ok",
        "All is well",
        "",
    ),
    "some are about to leave": (
        found(leaving=(leaving("not-listed"), leaving("not-ready"), leaving("not-listed", refused=True))),
        "warning",
        "1 of them is about to leave (not-listed)",
        "the command that confirms it",
    ),
    "some are not ready": (found(leaving=(leaving("not-ready"),)), "ok", "All is well", ""),
    "an object cannot be read": (found(problems=(ERROR,)), "warning", "1 object has an error", "says what to do"),
    "there are no models": (
        found(feed=FeedStatus(complete=True), hidden=3),
        "warning",
        "No model is served",
        "3 are hidden",
    ),
    "no one reads": (
        found(service("location"), read=None),
        "warning",
        "Backstage has not read them since the start at 2026-11-25 10:00 UTC",
        "backstage-backend",
    ),
    "no one reads any more": (
        found(service("location"), read=NOW - timedelta(minutes=20)),
        "warning",
        "has not read them since 11:40 UTC",
        "app-config",
    ),
}


@pytest.mark.parametrize(("findings", "level", "text", "remedy"), CASES.values(), ids=CASES)
def test_the_verdict_names_the_first_cause(findings: Findings, level: str, text: str, remedy: str) -> None:
    said = verdict(findings)

    assert said.level == level
    assert text in said.text
    assert remedy in said.remedy
    assert bool(said.remedy) == bool(remedy)
