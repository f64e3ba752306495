"""Models that exist and are not shown: why, since when, and what people can do. Pure."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from common.problems import Problem
from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.result import IGNORE

HiddenCause = Literal[
    "not-ready",  # its condition Ready is not true
    "stopped",  # people have stopped it
    "deleted",  # it is being deleted
    "ignored",  # people have marked it so
    "not-selected",  # the settings leave it out
    "unusable",  # it cannot be read
    "not-rendered",  # an internal error
    "waiting-for-registry",  # a registry that was not read yet may describe it
    "not-read",  # its registry was not read to the end
    "archived",  # it is archived in its registry, or the model that it is a version of is
    "refused",  # storage does not take its document
    "untrusted-registry",  # its registry is outside the trusted namespaces
]

_PROBLEMS: Final[frozenset[HiddenCause]] = frozenset({"unusable", "not-rendered", "refused", "untrusted-registry"})
"""Causes that are already logged as problems."""
_ONLY_EXPLAINED: Final[frozenset[HiddenCause]] = frozenset({"archived"})
"""Causes that are shown only when one object is asked for: registries may have thousands of archived versions."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Why:
    """Why a model is not shown; `since` is in seconds of the epoch, None where its source does not say."""

    cause: HiddenCause
    reason: str
    remedy: str
    since: float | None = None

    def __str__(self) -> str:
        """Return the reason, and since when it holds."""
        if not self.since:
            return self.reason
        return f"{self.reason} (since {datetime.fromtimestamp(int(self.since), UTC).isoformat()})"

    @property
    def essence(self) -> tuple[str, str]:
        """What is compared to decide whether to log again; numbers, such as of attempts, are left out."""
        return self.cause, _NUMBER.sub("", self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """A model that exists and is not shown: its reference, its name for people, why, and since when."""

    ref: str
    object: str
    source: str
    why: Why
    since: float


def unready(facts: Deployment, *, in_files: bool = False) -> Why:
    """Return why a deployment that is not ready or not selected is hidden; `in_files`: it is in no cluster."""
    readiness = facts.readiness
    since = readiness.since / 1000 if readiness.since else None
    named = f"{facts.kind.lower()} {facts.name} -n {facts.namespace}"
    remedies: Mapping[str, str] = {
        "not-ready": f"it is shown as soon as it is ready; to see what it waits for: kubectl describe {named}",
        "stopped": f"to show it, start it: kubectl annotate {named} serving.kserve.io/stop-",
        "deleted": "nothing needs to be done: it leaves the catalog when it is gone",
        "ignored": f"to show it, remove that mark: kubectl annotate {named} {IGNORE}-",
        "not-selected": "to show it, change that setting of the normalizer, or the object so that it is selected",
    }
    if in_files:
        in_file = "to show it, remove that annotation or label from its file"
        remedies = {
            **remedies,
            "not-ready": "it is shown as soon as the status in its file says that it is ready, or is removed",
            "stopped": in_file,
            "ignored": in_file,
        }
    cause = readiness.cause
    return Why(cause, readiness.reason or "it is not ready", remedies[cause], since)


def faulty(cause: HiddenCause, problem: Problem) -> Why:
    """Return why a model with a problem is hidden."""
    return Why(cause, problem.message, problem.remedy)


class HiddenBook:
    """Records which models are hidden, and since when."""

    def __init__(self) -> None:
        self._hidden: dict[str, Hidden] = {}

    def all(self) -> list[Hidden]:
        """Return all hidden models, sorted by name."""
        return sorted(self._hidden.values(), key=lambda hidden: (hidden.object, hidden.ref))

    def get(self, ref: str) -> Hidden | None:
        """Return a hidden model, None when the model of that reference is not hidden."""
        return self._hidden.get(ref)

    def update(self, looked: Mapping[str, tuple[str, Why | None]], *, now: float) -> list[tuple[Hidden, bool]]:
        """Set the source of each given object, and why it is hidden, or None when it is shown.

        Returns the changes that should be logged: a model, and whether it is hidden now.
        """
        changes: list[tuple[Hidden, bool]] = []
        for ref, (source, why) in looked.items():
            former = self._hidden.pop(ref, None)
            if why is None or why.cause in _ONLY_EXPLAINED:
                changes += [(former, False)] if former is not None else []
                continue
            same = former is not None and former.why.cause == why.cause
            since = why.since or (former.since if former is not None and same else now)
            self._hidden[ref] = Hidden(ref=ref, object=label_of(ref), source=source, why=why, since=since)
            if former is None or former.why.essence != why.essence:
                changes.append((self._hidden[ref], True))
        return [(hidden, is_hidden) for hidden, is_hidden in changes if hidden.why.cause not in _PROBLEMS]

    def set_all(
        self, found: Mapping[str, tuple[str, Why]], *, causes: Collection[str], now: float
    ) -> list[tuple[Hidden, bool]]:
        """Set all models that are hidden by one of the `causes`, as `update` does; others of these are now shown."""
        over = {ref: (each.source, None) for ref, each in self._hidden.items() if each.why.cause in causes}
        return self.update({**over, **found}, now=now)


def label_of(ref: str) -> str:
    """Return the name of an object for people; a text that is not a reference is returned as it is."""
    parsed = Ref.try_parse(ref)
    return ref if parsed is None else parsed.label
