"""Reports the state of a reflector in metrics, log lines and callbacks."""

from collections.abc import Callable
from typing import Literal

import structlog

from common.kube.metrics import KubeMetrics
from common.kube.state import OK, STARTING, STATE_KINDS, State

log = structlog.get_logger("reflector")

Step = Literal["list", "watch"]


class StateReporter:
    """The metrics, log lines and state of one reflector; `on_state` is called with each new state."""

    def __init__(self, *, metrics: KubeMetrics, name: str, on_state: Callable[[State], None]) -> None:
        self._metrics = metrics
        self._name = metrics.named(name)
        self._on_state = on_state
        self._failing: Step | None = None
        self.state = STARTING
        self._show_state()

    def listed(self) -> None:
        """Record a complete list."""
        self._metrics.lists.labels(self._name).inc()
        self._metrics.last_sync.labels(self._name).set_to_current_time()

    def event(self, kind: str) -> None:
        """Record an event of a watch."""
        self._metrics.events.labels(self._name, kind).inc()
        self._metrics.last_event.labels(self._name).set_to_current_time()

    def holds(self, objects: int, invalid: int) -> None:
        """Record how many objects are known, and how many could not be read."""
        self._metrics.objects.labels(self._name).set(objects)
        self._metrics.invalid.labels(self._name).set(invalid)

    def restarted(self, reason: str) -> None:
        """Record the end of a watch."""
        self._metrics.restarts.labels(self._name, reason).inc()

    def failing(self, step: Step, state: State) -> None:
        """Record that a step fails."""
        self._failing = step
        self._become(state)

    def working(self, step: Step) -> None:
        """Record that a step succeeded; a successful watch clears any failure, a list only that of a list."""
        if step == "list" and self._failing == "watch":
            return
        self._failing = None
        self._become(OK)

    def _become(self, state: State) -> None:
        if state == self.state:
            return
        if not state.ok:
            log.warning("collection_unreadable", reflector=self._name, reason=state.reason, remedy=state.remedy)
        elif self.state != STARTING:
            log.info("collection_readable_again", reflector=self._name)
        self.state = state
        self._show_state()
        self._on_state(state)

    def _show_state(self) -> None:
        for kind in STATE_KINDS:
            self._metrics.state.labels(self._name, kind).set(kind == self.state.kind)
