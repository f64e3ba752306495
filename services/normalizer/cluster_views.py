"""How the entries of each cluster are shown, and which registries may describe its deployments. Pure."""

from dataclasses import replace
from typing import Final

from services.normalizer.facts import LOCAL, Ref, cluster_of, cluster_of_id
from services.normalizer.normalize.registered_version import MLFLOW
from services.normalizer.normalize.result import ClusterView, Defaults

SHARED: Final = "shared"
"""The place of registries that describe deployments of all clusters."""


class ClusterViews:
    """The clusters by their ids in references; an unknown cluster counts as our own."""

    def __init__(self, defaults: Defaults) -> None:
        """`defaults` are those of entries that are in no known cluster."""
        self._own = ClusterView(defaults=defaults)
        self._known: dict[str, ClusterView] = {}

    def put(self, cluster: str, view: ClusterView) -> bool:
        """Set how the entries of a cluster are shown; return whether that has changed."""
        changed = self._known.get(cluster, self._own) != view
        self._known[cluster] = view
        return changed

    def home(self, cluster: str) -> str:
        """Return the cluster whose registries and catalogs describe the deployments of a cluster."""
        return cluster if cluster in self._known else LOCAL

    def of(self, ref: Ref, source: str = "") -> ClusterView:
        """Return how the entry of a reference is shown, with the defaults of its source."""
        view = self._known.get(self.home(cluster_of(ref)), self._own)
        defaults = view.defaults.of(source)
        return view if defaults is view.defaults else replace(view, defaults=defaults)

    def may_describe(self, registry: str, cluster: str) -> bool:
        """Return whether a registry may hold versions that deployments in a cluster serve.

        An MLflow server is in no cluster: any may deploy from it.
        """
        return registry.startswith(MLFLOW) or cluster_of_id(registry) in (SHARED, self.home(cluster))
