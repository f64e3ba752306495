"""What exists and is not shown: why, since when, and what shows it. Pure."""

import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from common.problems import Problem
from services.normalizer.facts import Ref
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.result import IGNORE

HiddenCause = Literal[
    "not-ready",  # a condition of it does not hold
    "stopped",  # somebody has stopped it
    "deleted",  # it is being deleted
    "ignored",  # it is marked as not wanted
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
"""Causes that are problems, and are logged as such."""
_OVER: Final[frozenset[HiddenCause]] = frozenset({"archived"})
"""Causes that are told to those who ask for one object: registries keep what is archived, by the thousand."""
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Why:
    """Why something is not shown; `since` in seconds of the epoch, None where its source does not tell."""

    cause: HiddenCause
    reason: str
    remedy: str
    since: float | None = None

    def __str__(self) -> str:
        """Return the reason, and since when."""
        if not self.since:
            return self.reason
        return f"{self.reason} (since {datetime.fromtimestamp(int(self.since), UTC).isoformat()})"

    @property
    def state(self) -> tuple[str, str]:
        """What must change for this to be worth a line in the log: numbers in it, such as of attempts, do not count."""
        return self.cause, _NUMBER.sub("", self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    """Something that exists and is not shown: its reference, what people call it, and since when that is so."""

    ref: str
    object: str
    source: str
    why: Why
    since: float


def unready(facts: Deployment, *, in_files: bool = False) -> Why:
    """Return why a deployment that is not ready, or not wanted, is not shown; `in_files`: no cluster has it."""
    readiness = facts.readiness
    since = readiness.since / 1000 if readiness.since else None
    named = f"{facts.kind.lower()} {facts.name} -n {facts.namespace}"
    remedies: Mapping[str, str] = {
        "not-ready": f"it is served as soon as it is ready: kubectl describe {named}",
        "stopped": f"start it: kubectl annotate {named} serving.kserve.io/stop-",
        "deleted": "none: it is on its way out",
        "ignored": f"remove the mark: kubectl annotate {named} {IGNORE}-",
        "not-selected": "change that variable of the normalizer, or the object, if it is to be served",
    }
    if in_files:
        in_file = "take that annotation out of its file"
        remedies = {
            **remedies,
            "not-ready": "it is served as soon as the status in its file says so, or when there is none",
            "stopped": in_file,
            "ignored": in_file,
        }
    cause = readiness.cause
    return Why(cause, readiness.reason or "it is not ready", remedies[cause], since)


def faulty(cause: HiddenCause, problem: Problem) -> Why:
    """Return why something with a problem is not shown."""
    return Why(cause, problem.message, problem.remedy)


class HiddenBook:
    """Keeps account of what is hidden, and since when."""

    def __init__(self) -> None:
        self._hidden: dict[str, Hidden] = {}
        self._changes: list[tuple[Hidden, bool]] = []

    def __len__(self) -> int:
        """Return how much is hidden."""
        return len(self._hidden)

    def all(self) -> list[Hidden]:
        """Return all that is hidden, sorted by what it is called."""
        return sorted(self._hidden.values(), key=lambda hidden: (hidden.object, hidden.ref))

    def causes(self) -> Counter[str]:
        """Return how much is hidden by each cause."""
        return Counter[str](hidden.why.cause for hidden in self._hidden.values())

    def get(self, ref: str) -> Hidden | None:
        """Return why one object is hidden, None when it is not."""
        return self._hidden.get(ref)

    def take_changes(self) -> list[tuple[Hidden, bool]]:
        """Return what has changed since the last call and is worth a line in the log, and whether it is hidden now."""
        changes, self._changes = self._changes, []
        return changes

    def look(self, looked: Mapping[str, tuple[str, Why | None]], *, now: float) -> None:
        """Take, of each object that was looked at, its source, and why it is hidden or None; the others stay."""
        for ref, (source, why) in looked.items():
            if why is None or why.cause in _OVER:
                self._show(ref)
            else:
                self._hide(ref, source, why, now)

    def look_at_all(self, found: Mapping[str, tuple[str, Why]], *, among: Collection[str], now: float) -> None:
        """Take all that is hidden by one of the causes `among`: what is not found is hidden by these no more."""
        for ref in [ref for ref, each in self._hidden.items() if each.why.cause in among and ref not in found]:
            self._show(ref)
        self.look(found, now=now)

    def _hide(self, ref: str, source: str, why: Why, now: float) -> None:
        former = self._hidden.get(ref)
        same = former is not None and former.why.cause == why.cause
        since = why.since or (former.since if former is not None and same else now)
        hidden = Hidden(ref=ref, object=label_of(ref), source=source, why=why, since=since)
        self._hidden[ref] = hidden
        if former is None or former.why.state != why.state:
            self._change(hidden, True)

    def _show(self, ref: str) -> None:
        former = self._hidden.pop(ref, None)
        if former is not None:
            self._change(former, False)

    def _change(self, hidden: Hidden, is_hidden: bool) -> None:
        if hidden.why.cause not in _PROBLEMS:
            self._changes.append((hidden, is_hidden))


def label_of(ref: str) -> str:
    """Return what people call an object; what is no reference stands for itself."""
    try:
        return Ref.parse(ref).label
    except ValueError:
        return ref
