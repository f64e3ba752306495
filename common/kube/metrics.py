"""Metrics of the requests to Kubernetes and of the collections that are followed."""

from prometheus_client import Counter, Gauge

from common.metrics import Metrics


class KubeMetrics:
    """One per service, shared by its clients and reflectors.

    `rest_client_requests_total` is named and labelled as controller-runtime does, so that dashboards made for other
    controllers read it. The label `name` is a reflector's name.
    """

    def __init__(self, metrics: Metrics) -> None:
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
            "When the last complete list was read, seconds of the epoch",
            ["name"],
            registry=registry,
        )
        self.objects = Gauge("rhoai_connector_reflector_objects", "Objects known now", ["name"], registry=registry)
        self.invalid = Gauge(
            "rhoai_connector_reflector_invalid_objects", "Objects that could not be read", ["name"], registry=registry
        )
        self.state = Gauge(
            "rhoai_connector_reflector_state",
            "1 for the state that the reflector is in: starting, ok, or what keeps it from reading",
            ["name", "state"],
            registry=registry,
        )
        self.events = Counter(
            "rhoai_connector_watch_events", "Events that watches brought", ["name", "type"], registry=registry
        )
        self.last_event = Gauge(
            "rhoai_connector_watch_last_event_timestamp_seconds",
            "When a watch brought its last event or bookmark, seconds of the epoch",
            ["name"],
            registry=registry,
        )
        self.restarts = Counter(
            "rhoai_connector_watch_restarts",
            "Watches that ended, by reason: closed, expired, unreachable, garbled, refused, relist",
            ["name", "reason"],
            registry=registry,
        )
