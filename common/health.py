"""The conditions of a service that `/readyz` reports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from common.clocks import wall_time
from common.strict_json import timestamp


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold for the service to work; `since` is in seconds since the epoch."""

    ok: bool
    reason: str
    since: float


class Health:
    """The conditions of one service by name; it is ready if there is at least one and all hold.

    The reasons are public: they say what is missing and what to do, and contain nothing private. `started` is when the
    service started, in seconds since the epoch.
    """

    def __init__(self, *, clock: Callable[[], float] = wall_time) -> None:
        self._clock = clock
        self.started = clock()
        self._conditions: dict[str, Condition] = {}

    def set(self, condition: str, ok: bool, reason: str = "") -> bool:
        """Record whether `condition` holds, and return whether that has changed."""
        former = self._conditions.get(condition)
        if former and former.ok == ok:
            if former.reason != reason:
                self._conditions[condition] = Condition(ok, reason, former.since)
            return False
        self._conditions[condition] = Condition(ok, reason, self._clock())
        return True

    def remove(self, condition: str) -> None:
        """Remove a condition whose subject no longer exists; an unknown one is ignored."""
        self._conditions.pop(condition, None)

    @property
    def conditions(self) -> Mapping[str, Condition]:
        """The conditions by name, sorted."""
        return dict(sorted(self._conditions.items()))

    @property
    def ready(self) -> bool:
        """Whether every condition holds; without any condition the service is not ready."""
        return bool(self._conditions) and all(c.ok for c in self._conditions.values())

    def report(self) -> dict[str, Any]:
        """Return the body of `/readyz`: `{"status", "conditions": [{"name", "ok", "reason", "since"}]}`.

        `since` is a time in RFC 3339 (UTC).
        """
        conditions = [
            {"name": name, "ok": c.ok, "reason": c.reason, "since": timestamp(c.since)}
            for name, c in self.conditions.items()
        ]
        return {"status": "ready" if self.ready else "not ready", "conditions": conditions}
