"""The Prometheus metrics of requests to Kubernetes and of followed collections."""

from copy import copy
from typing import Self

from prometheus_client import Counter, Gauge

from common.metrics import Metrics


class KubeMetrics:
    """One for each service, shared by its clients and reflectors.

    `rest_client_requests_total` has the name and labels of controller-runtime, so that existing dashboards can use it.
    The label `name` is a reflector's name.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._suffix = ""
        self._names: set[str] = set()
        self._hosts: set[str] = set()
        registry = metrics.registry
        self.requests = Counter(
            "rest_client_requests",
            "Requests to the Kubernetes API by status code, method and host; code <error>: no answer",
            ["code", "host", "method"],
            registry=registry,
        )
        self.lists = Counter("rhoai_connector_reflector_lists", "Complete lists read", ["name"], registry=registry)
        self.last_sync = Gauge(
            "rhoai_connector_reflector_last_sync_timestamp_seconds",
            "When the last complete list was read, in seconds since the epoch",
            ["name"],
            registry=registry,
        )
        self.objects = Gauge("rhoai_connector_reflector_objects", "Objects known now", ["name"], registry=registry)
        self.invalid = Gauge(
            "rhoai_connector_reflector_invalid_objects", "Objects that could not be read", ["name"], registry=registry
        )
        self.state = Gauge(
            "rhoai_connector_reflector_state",
            "1 for the current state of the reflector: starting, ok, or why it cannot read",
            ["name", "state"],
            registry=registry,
        )
        self.events = Counter(
            "rhoai_connector_watch_events", "Events received by watches", ["name", "type"], registry=registry
        )
        self.last_event = Gauge(
            "rhoai_connector_watch_last_event_timestamp_seconds",
            "When a watch received its last event or bookmark, in seconds since the epoch",
            ["name"],
            registry=registry,
        )
        self.restarts = Counter(
            "rhoai_connector_watch_restarts",
            "Watches that ended, by reason: closed, expired, unreachable, garbled, refused, relist",
            ["name", "reason"],
            registry=registry,
        )

    def of_cluster(self, cluster: str) -> Self:
        """Return the same metrics for another cluster: the names of its reflectors end in `@cluster`."""
        view = copy(self)
        view._suffix, view._names, view._hosts = f"@{cluster}", set(), set()  # noqa: SLF001 - of the same class
        return view

    def named(self, reflector: str) -> str:
        """Return the label value for a reflector, and remember it for `forget`."""
        name = f"{reflector}{self._suffix}"
        self._names.add(name)
        return name

    def host(self, host: str) -> str:
        """Return the label value for a host, and remember it for `forget`."""
        self._hosts.add(host)
        return host

    def forget(self) -> None:
        """Drop the metrics of all reflectors and hosts of this cluster, because it is no longer followed."""
        of_reflectors = (
            self.lists,
            self.last_sync,
            self.objects,
            self.invalid,
            self.state,
            self.events,
            self.last_event,
            self.restarts,
        )
        for metric in of_reflectors:
            for name in self._names:
                metric.remove_by_labels({"name": name})
        for host in self._hosts:
            self.requests.remove_by_labels({"host": host})
