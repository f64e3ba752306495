"""Reports the state of a reflector in metrics, log lines and callbacks."""

from collections.abc import Callable
from typing import Literal

import structlog

from common.faults import Fault, kind_of
from common.kube.metrics import KubeMetrics

log = structlog.get_logger("reflector")

Step = Literal["list", "watch"]
STARTING = Fault(kind="starting", reason="not listed yet")
KINDS = ("starting", "ok", "absent", "forbidden", "unauthorized", "unreachable", "error")
"""What is shown of a reflector in the metrics: the kinds of faults that it can have, or none."""


class StateReporter:
    """The metrics, log lines and fault of one reflector; `on_fault` is called with each new fault, None without one."""

    def __init__(self, *, metrics: KubeMetrics, name: str, on_fault: Callable[[Fault | None], None]) -> None:
        self._metrics = metrics
        self._name = metrics.named(name)
        self._on_fault = on_fault
        self._failing: Step | None = None
        self.fault: Fault | None = STARTING
        self._show()

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

    def failing(self, step: Step, fault: Fault) -> None:
        """Record that a step fails."""
        self._failing = step
        self._become(fault)

    def working(self, step: Step) -> None:
        """Record that a step succeeded; a successful watch clears any failure, a list only that of a list."""
        if step == "list" and self._failing == "watch":
            return
        self._failing = None
        self._become(None)

    def _become(self, fault: Fault | None) -> None:
        if fault == self.fault:
            return
        if fault is not None:
            log.warning("collection_unreadable", reflector=self._name, reason=fault.reason, remedy=fault.remedy)
        elif self.fault != STARTING:
            log.info("collection_readable_again", reflector=self._name)
        self.fault = fault
        self._show()
        self._on_fault(fault)

    def _show(self) -> None:
        for kind in KINDS:
            self._metrics.state.labels(self._name, kind).set(kind == kind_of(self.fault))
