"""The Prometheus metrics of storage-rest."""

from functools import partial

from prometheus_client import Counter, Gauge

from common.metrics import Metrics


class StorageMetrics:
    """The service's own metrics, in addition to those of every server."""

    def __init__(self, metrics: Metrics) -> None:
        counter = partial(Counter, registry=metrics.registry)
        gauge = partial(Gauge, registry=metrics.registry)
        self.documents = gauge("rhoai_connector_storage_documents", "Documents in the cache")
        self.cards = gauge("rhoai_connector_storage_cards", "Model cards in the cache")
        self.complete = gauge("rhoai_connector_storage_complete", "1 if the cache is known to be complete")
        self.damaged = gauge(
            "rhoai_connector_storage_damaged",
            "1 while something is missing from the cache that it contained before, so that it is not served",
        )
        self.shard_bytes = gauge("rhoai_connector_storage_shard_bytes", "Bytes of values in a ConfigMap", ["shard"])
        self.writes = counter("rhoai_connector_storage_writes", "Writes to the store, by result", ["result"])
        self.written_bytes = counter("rhoai_connector_storage_written_bytes", "Bytes sent to the store")
        self.leaving = gauge(
            "rhoai_connector_storage_leaving",
            "Entries that will be removed unless their source lists them again, by reason",
            ["reason"],
        )
        self.departures = counter("rhoai_connector_storage_departures", "Removed entries, by reason", ["reason"])
        self.rejected = counter(
            "rhoai_connector_storage_rejected", "Refused documents and cards, by reason", ["reason"]
        )
        self.pushes = counter(
            "rhoai_connector_storage_pushes", "Requests that pushed changes to location, by result", ["result"]
        )
