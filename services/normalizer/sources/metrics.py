"""Metrics of polled sources."""

from prometheus_client import Counter, Gauge, Histogram

from common.metrics import Metrics


class SourceMetrics:
    """One set for all registries and catalogs; `source` is a ref's id."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.stale = Gauge(
            "rhoai_connector_source_stale",
            "1 while a source could not be read completely; what it had stays",
            ["source"],
            registry=registry,
        )
        self.poll_seconds = Histogram(
            "rhoai_connector_source_poll_seconds",
            "How long it took to read a source",
            ["source"],
            registry=registry,
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self.requests = Counter(
            "rhoai_connector_source_requests",
            "Requests sent to a source, by the status of the answer, or none",
            ["source", "code"],
            registry=registry,
        )

    def forget(self, source: str) -> None:
        """Drop the series of a source that is gone."""
        self.stale.remove_by_labels({"source": source})
        self.poll_seconds.remove_by_labels({"source": source})
        self.requests.remove_by_labels({"source": source})
