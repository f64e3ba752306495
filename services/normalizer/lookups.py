"""What deployments need from registries and catalogs: versions that are not known yet, and model cards."""

from collections.abc import Callable, Mapping

from services.normalizer.cluster_views import SHARED
from services.normalizer.facts import LOCAL
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.labels import RegistryLabels

Models = frozenset[CatalogModel]


class Lookups:
    """Passes requests for versions and cards to the registries and catalogs of each cluster."""

    def __init__(self) -> None:
        self._version_readers: dict[str, Callable[[RegistryLabels], None]] = {}
        self._card_readers: dict[str, Callable[[Models], None]] = {}
        self._models: Mapping[str, Models] = {}

    def serve_versions(self, read: Callable[[RegistryLabels], None], *, cluster: str = LOCAL) -> None:
        """Call `read` for each deployment of a cluster that names a version which no registry is known to have."""
        self._version_readers[cluster] = read

    def serve_cards(self, read: Callable[[Models], None], *, cluster: str = LOCAL) -> None:
        """Call `read` with all models of a cluster's catalogs whose cards deployments name, whenever these change."""
        self._card_readers[cluster] = read
        if models := self._models.get(cluster):
            read(models)

    def remove_cluster(self, cluster: str) -> None:
        """Send no further requests to the registries and catalogs of a cluster."""
        self._version_readers.pop(cluster, None)
        self._card_readers.pop(cluster, None)

    def request_version(self, cluster: str, labels: RegistryLabels) -> None:
        """Have a version read that no registry of a cluster is known to have."""
        for place in (cluster, SHARED):
            if (read := self._version_readers.get(place)) is not None:
                read(labels)

    def request_cards(self, models: Mapping[str, Models]) -> None:
        """Set the catalog models whose cards deployments name now, by cluster, and have their cards read."""
        former, self._models = self._models, models
        for cluster, read in self._card_readers.items():
            if (named := models.get(cluster, frozenset())) != former.get(cluster, frozenset()):
                read(named)
