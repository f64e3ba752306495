"""What a source is, and what it reports: a new kind of source is one module with a `Source`, and a line in a register.

The register is `KINDS` in `service.py`.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from common.faults import Fault
from common.problems import Problem
from services.normalizer.facts import SHARED, Gone, Missing, Ref, Unusable
from services.normalizer.normalize.cards import CatalogModel
from services.normalizer.normalize.deployment import ObjectFact
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registered_version import RegisteredVersion, Registry
from services.normalizer.sourcebook import SourceKind

Fact = ObjectFact | Registry | RegisteredVersion
"""What a source can report about an object that exists."""
News = Mapping[Ref, Fact | Gone | Missing | Unusable]


class Sink(Protocol):
    """What a source reports to; its methods return at once."""

    def changed(self, news: News) -> None:
        """Report objects that are new, changed, gone, missing or unusable."""

    def listed(self, *, lacking: Fault | None = None) -> None:
        """Report that a look was complete: the objects that were reported are all that exist.

        `lacking`: why some of these objects could not be read completely.
        """

    def state(self, fault: Fault | None, *, part: str = "", partly: bool = False) -> None:
        """Report that the source cannot be read, or, without a fault, that it can again.

        `part` names a part of it that nothing waits for, such as `services`. `partly`: everything that can be read was
        reported, and the rest is not waited for.
        """


class Source(Protocol):
    """A place where deployments or registered versions are: a cluster, a server, a folder."""

    @property
    def id(self) -> str:
        """The id that its entries are stored under: lasting, and unique among sources."""

    @property
    def kind(self) -> SourceKind:
        """The kind of objects that it has."""

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces that it reads; empty for all."""

    async def run(self, sink: Sink) -> None:
        """Report what exists and what changes, until cancelled."""

    def relist(self) -> None:
        """Look again soon, because an entry that the last look lacks is about to be removed."""


@runtime_checkable
class ProblemListener(Protocol):
    """A source that shows the owners of objects the problems of these objects."""

    def on_problems(self, problems: Mapping[str, tuple[Problem, ...]]) -> None:
        """Take the problems of all objects, by reference."""


@runtime_checkable
class Locating(Protocol):
    """A source that knows where people have written an object."""

    def place_of(self, ref: Ref, problem: Problem) -> str:
        """Return the place of a problem of an object, such as `models/granite.yaml:7`; empty if it is unknown."""


@runtime_checkable
class Provable(Protocol):
    """A source that can be asked for one object."""

    async def is_gone(self, ref: Ref) -> bool:
        """Return whether the object does not exist; raises a RemoteError when that is not certain."""


Models = frozenset[CatalogModel]


class Lookups:
    """Passes requests for versions and cards to the registries and catalogs of each cluster."""

    def __init__(self) -> None:
        self._version_readers: dict[str, Callable[[RegistryLabels], None]] = {}
        self._card_readers: dict[str, Callable[[Models], None]] = {}
        self._models: Mapping[str, Models] = {}

    def serve_versions(self, read: Callable[[RegistryLabels], None], *, cluster: str) -> None:
        """Call `read` for each deployment of a cluster that names a version which no registry is known to have."""
        self._version_readers[cluster] = read

    def serve_cards(self, read: Callable[[Models], None], *, cluster: str) -> None:
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
