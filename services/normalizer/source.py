"""What a source is, and what it tells: a new kind of source is one module with a `Source`, and a line in a register.

The register is `KINDS` in `service.py`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from common.faults import Fault
from common.problems import Problem
from services.normalizer.facts import LOCAL, SHARED, Gone, Missing, Ref, Unusable
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.deployment import Fact
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.sourcebook import SourceKind

News = Mapping[Ref, Fact | Gone | Missing | Unusable]


class Sink(Protocol):
    """Whom a source tells; synchronous, and nothing is waited for."""

    def changed(self, news: News) -> None:
        """Objects are new, others, gone or missing."""

    def listed(self, *, lacking: Fault | None = None) -> None:
        """A look was complete: what was told is all there is.

        `lacking`: why not everything could be read of some of these objects.
        """

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        """The source cannot be read, or can again when there is no fault.

        `part` names something that belongs to it and that nothing waits for, such as `services`. `partly`: what can be
        read was told, and the rest is not waited for.
        """


class Source(Protocol):
    """A place where deployments are."""

    @property
    def id(self) -> str:
        """What its entries are stored under; lasting, and distinct from those of other sources."""

    @property
    def kind(self) -> SourceKind:
        """What it has."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that it looks at, all when empty."""

    async def run(self, sink: Sink) -> None:
        """Tell what there is and what changes, until cancelled."""

    def relist(self) -> None:
        """Look again soon, because something that the last look lacks is due to leave."""


@runtime_checkable
class Hearer(Protocol):
    """A source that passes on to the owners of objects what is wrong with them."""

    def hear(self, problems: Mapping[str, tuple[Problem, ...]]) -> None:
        """Take the problems of all objects, by reference."""


@runtime_checkable
class Provable(Protocol):
    """A source that can be asked for one object."""

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether it has no such object; raises a RemoteError when that cannot be said."""


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
