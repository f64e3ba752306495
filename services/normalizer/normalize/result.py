"""What the mappings take for granted and what they give back."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from common.catalog import CatalogDocument
from common.details import NO_DETAILS, Details
from common.problems import Problem

IGNORE = "rhdh.modelcatalog.io/ignore"
"""The annotation, label or custom property that keeps an object out of the catalog: `"true"`."""

SourceField = Literal["lifecycle", "owner", "system"]
"""A field that sources may have defaults of their own for."""
Reconciler = Literal["kserve", "kubeflow"]


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
