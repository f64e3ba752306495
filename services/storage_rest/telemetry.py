"""The Prometheus metrics of storage-rest."""

from prometheus_client import Counter, Gauge

from common.metrics import Metrics


class StorageMetrics:
    """The service's own metrics, in addition to those of every server."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.documents = Gauge("rhoai_connector_storage_documents", "Documents in the cache", registry=registry)
        self.cards = Gauge("rhoai_connector_storage_cards", "Model cards in the cache", registry=registry)
        self.complete = Gauge(
            "rhoai_connector_storage_complete", "1 if the cache is known to be complete", registry=registry
        )
        self.damaged = Gauge(
            "rhoai_connector_storage_damaged",
            "1 while something is missing from the cache that it contained before, so that it is not served",
            registry=registry,
        )
        self.shard_bytes = Gauge(
            "rhoai_connector_storage_shard_bytes", "Bytes of values in a ConfigMap", ["shard"], registry=registry
        )
        self.writes = Counter(
            "rhoai_connector_storage_writes", "Writes to the store, by result", ["result"], registry=registry
        )
        self.written_bytes = Counter(
            "rhoai_connector_storage_written_bytes", "Bytes sent to the store", registry=registry
        )
        self.leaving = Gauge(
            "rhoai_connector_storage_leaving",
            "Entries that will be removed unless their source lists them again, by reason",
            ["reason"],
            registry=registry,
        )
        self.departures = Counter(
            "rhoai_connector_storage_departures", "Removed entries, by reason", ["reason"], registry=registry
        )
        self.rejected = Counter(
            "rhoai_connector_storage_rejected",
            "Refused documents and cards, by reason",
            ["reason"],
            registry=registry,
        )
        self.pushes = Counter(
            "rhoai_connector_storage_pushes",
            "Requests that pushed changes to location, by result",
            ["result"],
            registry=registry,
        )
