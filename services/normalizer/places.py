"""The clusters that entries come from: what each is called, what its entities get by default, what may be linked.

Pure.
"""

from dataclasses import replace
from typing import Final

from services.normalizer.facts import LOCAL, Ref, cluster_of, cluster_of_id
from services.normalizer.normalize.registered_version import MLFLOW
from services.normalizer.normalize.result import Defaults, Place

SHARED: Final = "shared"
"""The place of registries that describe deployments of all clusters."""


class Places:
    """All clusters by their ids in references; what is in none of them belongs to the connector's own."""

    def __init__(self, defaults: Defaults) -> None:
        """`defaults` are those of what is in no cluster that was described."""
        self._own = Place(defaults=defaults)
        self._known: dict[str, Place] = {}

    def put(self, cluster: str, place: Place) -> bool:
        """Take how the entries of a cluster are shown; return whether that is news."""
        news = self._known.get(cluster, self._own) != place
        self._known[cluster] = place
        return news

    def home(self, cluster: str) -> str:
        """Return the cluster whose registries and catalogs describe what is in this one."""
        return cluster if cluster in self._known else LOCAL

    def of(self, ref: Ref, source: str = "") -> Place:
        """Return how what a reference names is shown, with the defaults of its source."""
        place = self._known.get(self.home(cluster_of(ref)), self._own)
        defaults = place.defaults.of(source)
        return place if defaults is place.defaults else replace(place, defaults=defaults)

    def may_describe(self, registry: str, cluster: str) -> bool:
        """Return whether a registry may hold versions that deployments in a cluster serve.

        An MLflow server is in no cluster: any may deploy from it.
        """
        return registry.startswith(MLFLOW) or cluster_of_id(registry) in (SHARED, self.home(cluster))
