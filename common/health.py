"""What a service says of itself to `/readyz`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.strict_json import timestamp


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold for the service to do its work; `since` in seconds of the epoch."""

    ok: bool
    reason: str
    since: float


class Health:
    """The conditions of one service, by name; ready when there is one and all hold.

    The reasons are shown to anyone who asks: they say what is missing and what to do, and nothing private. `started` is
    when the service began, in seconds of the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.started = clock()
        self._conditions: dict[str, Condition] = {}

    def set(self, condition: str, ok: bool, reason: str = "") -> bool:
        """Record that `condition` holds or not, and return whether that is news."""
        former = self._conditions.get(condition)
        if former and former.ok == ok:
            if former.reason != reason:
                self._conditions[condition] = Condition(ok, reason, former.since)
            return False
        self._conditions[condition] = Condition(ok, reason, self._clock())
        return True

    def remove(self, condition: str) -> None:
        """Forget a condition whose subject is gone; unknown ones are ignored."""
        self._conditions.pop(condition, None)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """The conditions by name, sorted."""
        return dict(sorted(self._conditions.items()))

    @property
    def ready(self) -> bool:
        """Whether every condition holds; a service that has told nothing yet is not ready."""
        return bool(self._conditions) and all(c.ok for c in self._conditions.values())

    def report(self) -> dict[str, Any]:
        """Return the body of `/readyz`: `{"status", "conditions": [{"name", "ok", "reason", "since"}]}`.

        `since` is a time as in RFC 3339, in UTC.
        """
        conditions = [
            {"name": name, "ok": c.ok, "reason": c.reason, "since": timestamp(c.since)}
            for name, c in self.conditions.items()
        ]
        return {"status": "ready" if self.ready else "not ready", "conditions": conditions}
