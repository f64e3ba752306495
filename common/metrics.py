"""Prometheus metrics of one service, in a registry of its own."""

import asyncio
from collections.abc import Callable
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

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, for nobody

T = TypeVar("T")

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The registry that a service's parts put their metrics into, with those of the process itself."""

    def __init__(self, service: str, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._shared: dict[Callable[[CollectorRegistry], Any], Any] = {}
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        tasks = Gauge("rhoai_connector_tasks", "Tasks of the event loop", registry=self.registry)
        tasks.set_function(_tasks)
        build = Gauge(
            "rhoai_connector_build_info",
            "Which build of which service this is; always 1",
            ["service", "version"],
            registry=self.registry,
        )
        build.labels(service, version).set(1)

    def shared(self, make: Callable[[CollectorRegistry], T]) -> T:
        """Return what `make` puts into the registry, made once however many servers of the process ask for it."""
        if make not in self._shared:
            self._shared[make] = make(self.registry)
        made: T = self._shared[make]
        return made

    def render(self) -> bytes:
        """Return all metrics in the text format, media type `CONTENT_TYPE`."""
        return generate_latest(self.registry)


def _tasks() -> int:
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:  # rendered outside of the event loop
        return 0
