"""What all mappings share: defaults, the clusters that entries are in, results, and problems that are noted."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from common import backstage
from common.details import NO_DETAILS, Details
from common.problems import Problem, ProblemId
from services.normalizer.facts import LOCAL, MLFLOW, SHARED, Ref, cluster_of, cluster_of_id
from services.normalizer.normalize import values
from services.normalizer.normalize.links import read_link

if TYPE_CHECKING:  # slow to import, and not needed by what only reads facts
    from common.catalog import CatalogDocument
    from common.wire import Reconciler

DEFAULT_OWNER = "rhdh-rhoai-bridge"
"""The owner where none is given, as the original has it."""
IGNORE = "rhdh.modelcatalog.io/ignore"
"""The annotation, label or custom property that keeps an object out of the catalog: `"true"`."""
SourceField = Literal["lifecycle", "owner", "system"]
"""A field that sources may have defaults of their own for."""
# What Kubernetes admits as the name of a namespace or an isvc, and what is valid in a path and a ConfigMap key.
_KUBERNETES_NAME = re.compile(r"[a-zA-Z0-9](?:[-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Defaults:
    """The values that an entity gets where its object says nothing.

    `tags_ignored` are patterns of labels and properties that do not become tags, after the built-in ones.
    `dashboard_url` is the address of the OpenShift AI or Open Data Hub dashboard, for links to it, or empty.
    `readable_names`: new entities have names with dots and capitals. `system` is the Backstage System that models are
    part of, or empty.
    `of_sources` are owners, lifecycles and systems by source and field, which override the others.
    """

    owner: str = DEFAULT_OWNER
    lifecycle: str = "development"
    tags_ignored: tuple[str, ...] = ()
    dashboard_url: str = ""
    system: str = ""
    readable_names: bool = False
    of_sources: tuple[tuple[str, SourceField, str], ...] = ()

    def of(self, source: str) -> "Defaults":
        """Return the defaults for the entries of a source."""
        given: dict[str, Any] = {field: value for id_, field, value in self.of_sources if id_ == source}
        return replace(self, **given) if given else self


@dataclass(frozen=True, slots=True)
class ClusterView:
    """How entries show the cluster that they are in; `name` is empty where there is only one cluster."""

    name: str = ""
    defaults: Defaults = Defaults()


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalized:
    """One document, with what is needed to give it its names, compare it and store it.

    `ref` is the lasting name of the object that it was made from. `segments` and the names in the document are the
    preferred ones: two objects may want the same. `own_names` are the names of the model and its server at their
    source, empty where they are too long for an entity. `created` is in milliseconds of the epoch, 0 when unknown;
    `updated` is the registry's last update time as the registry writes it, else empty. `origin` identifies a registered
    version whatever its registry is called.
    """

    ref: str
    source: str
    segments: tuple[str, str]
    document: "CatalogDocument"
    reconciler: "Reconciler"
    created: int
    own_names: tuple[str, str] = ("", "")
    updated: str = ""
    origin: str = ""
    card_key: str = ""
    details: Details = NO_DETAILS
    problems: tuple[Problem, ...] = ()


def segment(raw: str) -> str:
    """Return the sanitised name of a registered model or version, or a stable hash of it when nothing would be left."""
    return backstage.entity_name(raw)


def kubernetes_segment(name: str) -> str:
    """Return a Kubernetes name as it is; a name that no API server would admit is sanitised."""
    return name if _KUBERNETES_NAME.match(name) else segment(name)


class Notes:
    """The problems of one object, in the order in which they were found.

    `place` turns the name of a field (`howtouse`) into the place where people write it, for messages and remedies: an
    annotation, a custom property. `key` turns it into the key of the annotation, empty if it is none.
    """

    def __init__(
        self,
        subject: str,
        *,
        place: Callable[[str], str] = str,
        key: Callable[[str], str] = lambda _field: "",
        found: Iterable[Problem] = (),
    ) -> None:
        self.subject = subject
        self.place = place
        self.key = key
        self._found = list(found)

    def warning(self, id_: ProblemId, message: str, remedy: str, *, key: str = "") -> None:
        """Record that a part of the object is not shown; `key` is that of the annotation or field that it is about."""
        self._found.append(Problem(id_, "warning", self.subject, message, remedy, key))

    def info(self, id_: ProblemId, message: str, remedy: str, *, key: str = "") -> None:
        """Record that a part of the object is shown in another form than it was written."""
        self._found.append(Problem(id_, "info", self.subject, message, remedy, key))

    def add(self, problems: Iterable[Problem]) -> None:
        """Record problems of other objects that belong to this one."""
        self._found += problems

    def link(self, written: str, *, place: str, correct: str, replace: str = "", key: str = "") -> str:
        """Return an absolute URL without credentials, empty when there is none; what is removed is recorded.

        `place` is where it is written, `correct` what to do if it is invalid, `replace` if it has credentials.
        """
        link = read_link(written) if written else None
        if written and link is None:
            message = f"{values.shown(written)} in {place} is an invalid URL and is left out"
            self.warning("invalid_url", message, correct, key=key)
        if link and link.stripped:
            self.credentials(place, replace, key=key)
        return link.url if link else ""

    def credentials(self, place: str, replace: str = "", *, key: str = "") -> None:
        """Record that credentials were removed from what is written at a place."""
        usual = f"remove them from {place} too, and replace them: anyone who could read it has seen them"
        self.warning("credentials_removed", f"credentials were removed from {place}", replace or usual, key=key)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems that were found so far."""
        return tuple(self._found)
