"""What storage-rest counts."""

from prometheus_client import Counter, Gauge

from common.metrics import Metrics


class Telemetry:
    """The service's own metrics, beside those of every server."""

    def __init__(self, metrics: Metrics) -> None:
        registry = metrics.registry
        self.documents = Gauge("rhoai_connector_storage_documents", "Documents in the cache", registry=registry)
        self.cards = Gauge("rhoai_connector_storage_cards", "Model cards in the cache", registry=registry)
        self.complete = Gauge(
            "rhoai_connector_storage_complete", "Whether the cache is known to be everything", registry=registry
        )
        self.damaged = Gauge(
            "rhoai_connector_storage_damaged",
            "1 while the cache lacks something that it held once, and is not served for that reason",
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
            "Entries that are in doubt and leave unless they are seen again, by reason",
            ["reason"],
            registry=registry,
        )
        self.departures = Counter(
            "rhoai_connector_storage_departures", "Entries that have left, by reason", ["reason"], registry=registry
        )
        self.rejected = Counter(
            "rhoai_connector_storage_rejected",
            "Documents and cards not taken, by reason",
            ["reason"],
            registry=registry,
        )
        self.pushes = Counter(
            "rhoai_connector_storage_pushes", "Requests that told location of changes", ["result"], registry=registry
        )
