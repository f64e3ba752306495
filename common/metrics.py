"""The Prometheus registry of one service, with the metrics of its process and of its conditions."""

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.health import Health

disable_created_metrics()  # type: ignore[no-untyped-call]  # they would add a second series for each counter

T = TypeVar("T")

_KIND = re.compile(r"([a-z][a-z-]{1,30}): ")
"""The first word of a reason, such as `forbidden: …`."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The registry to which the parts of a service add their metrics."""

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._health: Health | None = None
        self._shared: dict[Callable[[CollectorRegistry], Any], Any] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        tasks = Gauge("rhoai_connector_tasks", "Tasks of the event loop", registry=self.registry)
        tasks.set_function(_tasks)
        build = Gauge(
            "rhoai_connector_build_info",
            "Service and version, as labels; always 1",
            ["service", "version"],
            registry=self.registry,
        )
        build.labels(service, version).set(1)

    def shared(self, make: Callable[[CollectorRegistry], T]) -> T:
        """Return the metrics that `make` registers; made once, even if several servers of the process need them."""
        if make not in self._shared:
            self._shared[make] = make(self.registry)
        made: T = self._shared[make]
        return made

    def watch(self, health: Health) -> None:
        """Add the conditions of `health` to the metrics; once, even if several servers of the process share them."""
        if self._health is not health:
            self._health = health
            self.registry.register(_Conditions(health))

    def render(self) -> bytes:
        """Return all metrics in the text format, media type `CONTENT_TYPE`."""
        return generate_latest(self.registry)


class _Conditions(Collector):
    """`rhoai_connector_condition`: 1 if a condition holds, else 0 with the first word of the reason as a label."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Yield the current conditions."""
        family = GaugeMetricFamily(
            "rhoai_connector_condition",
            "1 while a condition of /readyz holds, else 0, with the kind of reason",
            labels=["name", "reason"],
        )
        for condition in self._health.report()["conditions"]:
            kind = _KIND.match(condition["reason"])
            reason = "" if condition["ok"] else kind[1] if kind else "unmet"
            family.add_metric([condition["name"], reason], condition["ok"])
        yield family


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # rendered outside of the event loop
        return 0
