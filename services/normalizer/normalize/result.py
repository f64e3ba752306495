"""What both mappings share: what they get by default, what they give back, and the problems that they note."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from common import backstage
from common.catalog import CatalogDocument
from common.details import NO_DETAILS, Details
from common.problems import Problem, ProblemId

IGNORE = "rhdh.modelcatalog.io/ignore"
"""The annotation, label or custom property that keeps an object out of the catalog: `"true"`."""
SourceField = Literal["lifecycle", "owner", "system"]
"""A field that sources may have defaults of their own for."""
Reconciler = Literal["kserve", "kubeflow"]
# What Kubernetes admits as a namespace or an isvc's name, and what no path or ConfigMap key stumbles over.
_KUBERNETES_NAME = re.compile(r"[a-zA-Z0-9](?:[-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?\Z")


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an entity gets where nobody says anything.

    `tags_ignored` are patterns of labels and properties that are no tags, after the built-in ones; `dashboard_url` is
    where the dashboard of OpenShift AI or Open Data Hub is, for links to it, or empty. `readable_names`: new entities
    have names with dots and capitals. `system` is the Backstage System that models are part of, or empty.
    `of_sources` are owners, lifecycles and systems by source and field, which go before the others.
    """

    owner: str = "rhdh-rhoai-bridge"
    lifecycle: str = "development"
    tags_ignored: tuple[str, ...] = ()
    dashboard_url: str = ""
    system: str = ""
    readable_names: bool = False
    of_sources: tuple[tuple[str, SourceField, str], ...] = ()

    def of(self, source: str) -> "Defaults":
        """Return the defaults for what a source has."""
        given: dict[str, Any] = {field: value for id_, field, value in self.of_sources if id_ == source}
        return replace(self, **given) if given else self


@dataclass(frozen=True, slots=True)
class Place:
    """A cluster as its entries show it; `name` is empty where there is no more than one."""

    name: str = ""
    defaults: Defaults = Defaults()


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalized:
    """One document with what identity, plan and storage need to know of it.

    `ref` names the object it was made of for good. `segments` and the names inside the document are those it asks
    for; two objects may ask for the same ones. `own_names` are what the model and its server are called where they
    come from, empty where that is too long for an entity's name. `created` is in milliseconds since the epoch, 0
    when unknown; `updated` is the registry's last update time as it writes it, else empty. `origin` tells a
    registered version from all others, whatever its registry is called.
    """

    ref: str
    source: str
    segments: tuple[str, str]
    document: CatalogDocument
    reconciler: Reconciler
    created: int
    own_names: tuple[str, str] = ("", "")
    updated: str = ""
    origin: str = ""
    card_key: str = ""
    details: Details = NO_DETAILS
    problems: tuple[Problem, ...] = ()


def segment(raw: str) -> str:
    """Return the sanitised name of a registered model or version; a stable hash of it when nothing is left."""
    return backstage.entity_name(raw)


def kubernetes_segment(name: str) -> str:
    """Return a Kubernetes name as it is; one that no API server would have admitted is made a segment."""
    return name if _KUBERNETES_NAME.match(name) else segment(name)


class Notes:
    """The problems found with one object, in the order of finding.

    `place` turns the name of a field (`howtouse`) into the place where the object's owner wrote it, for messages
    and remedies: an annotation, a custom property.
    """

    def __init__(self, subject: str, *, place: Callable[[str], str], found: Iterable[Problem] = ()) -> None:
        self.subject = subject
        self.place = place
        self._found = list(found)

    def warning(self, id_: ProblemId, message: str, remedy: str) -> None:
        """Record that something of the object is not shown."""
        self._found.append(Problem(id_, "warning", self.subject, message, remedy))

    def info(self, id_: ProblemId, message: str, remedy: str) -> None:
        """Record that something of the object is shown in another form than it was written in."""
        self._found.append(Problem(id_, "info", self.subject, message, remedy))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What was found so far."""
        return tuple(self._found)
