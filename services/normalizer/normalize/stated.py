"""What people and dashboards say of a deployment in its labels and annotations, whatever its kind."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common import backstage
from common.annotations import NAME_ANNOTATION
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import CatalogModel, named_model
from services.normalizer.normalize.labels import RegistryLabels, read_registry_labels
from services.normalizer.normalize.links import without_credentials
from services.normalizer.normalize.model_names import unique_names
from services.normalizer.normalize.profile import SUCCESSOR_PREFIX, said_in_annotations, said_names
from services.normalizer.normalize.result import IGNORE
from services.normalizer.normalize.tags import label_tag, tag_set

CATALOG_SOURCE = f"{SUCCESSOR_PREFIX}catalog-source"
CATALOG_MODEL = f"{SUCCESSOR_PREFIX}catalog-model"
AUTH_ANNOTATION = "security.opendatahub.io/enable-auth"
_MODEL_TYPE = "opendatahub.io/model-type"
_USE_CASE = "opendatahub.io/genai-use-case"
_PREDICTIVE = "predictive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What the labels and annotations say; empty or None where they say nothing. `ignored`: to be left out.

    `said` are the fields for Backstage, `names` those that a client may write as the model's. `kinds` are tags.
    `catalog_named` are source and name of the model of the catalog whose card documents this one.
    """

    said: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    registry: RegistryLabels | None
    catalog_named: tuple[str, str]
    asks_authentication: bool | None
    ignored: bool
    predictive: bool
    labels: tuple[tuple[str, str], ...]
    kinds: tuple[str, ...]

    @property
    def catalog_model(self) -> CatalogModel | None:
        """The model of the catalog whose card documents this one; None when none, or none that can be, is named."""
        return named_model(*self.catalog_named)

    def tags(self, ignored: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the tags, those of labels that the patterns `ignored` match left out."""
        return tag_set((*(label_tag(key, value, ignored) for key, value in self.labels), *self.kinds))


def read_stated(metadata: Mapping[str, Any], *, further_tags: Iterable[str] = ()) -> Stated:
    """Return what an object's metadata say; `further_tags` become tags beside the labels."""
    labels, annotations = values.mapping(metadata.get("labels")), values.mapping(metadata.get("annotations"))
    model_type, use_case = values.line(annotations.get(_MODEL_TYPE)), values.line(annotations.get(_USE_CASE))
    kinds = [f"model-type-{model_type}" if model_type else "", f"genai-use-case-{use_case}" if use_case else ""]
    said = said_in_annotations(annotations)
    return Stated(
        said=tuple(sorted(said.items())),
        names=unique_names((values.line(annotations.get(NAME_ANNOTATION)), *said_names(said))),
        registry=read_registry_labels(labels),
        catalog_named=(values.line(annotations.get(CATALOG_SOURCE)), values.line(annotations.get(CATALOG_MODEL))),
        asks_authentication=_asks_authentication(annotations, labels),
        ignored=any(values.line(place.get(IGNORE)).lower() == "true" for place in (annotations, labels)),
        predictive=model_type.lower() == _PREDICTIVE,
        labels=tuple((sys.intern(str(key)), sys.intern(values.line(value))) for key, value in labels.items()),
        kinds=tag_set(backstage.tag(without_credentials(text)) for text in (*further_tags, *kinds) if text),
    )


def card_problems(stated: Stated, *, subject: str, lacking: bool) -> tuple[Problem, ...]:
    """Return what keeps a deployment from the card that it names; `lacking`: the catalogs were read and have none."""
    source, name = stated.catalog_named
    if bool(source) != bool(name):
        given, missing = (CATALOG_SOURCE, CATALOG_MODEL) if source else (CATALOG_MODEL, CATALOG_SOURCE)
        message = f"it has the annotation {given} and not {missing}: no card is looked for"
        return (Problem("catalog_model_incomplete", "warning", subject, message, f"add {missing}, or remove {given}"),)
    if not source or (stated.catalog_model is not None and not lacking):
        return ()
    message = f"the model catalog has no card of model {values.shown(name)} in source {values.shown(source)}"
    remedy = (
        "write the source's id and the model's whole name, with its group, as the catalog has them, in "
        f"{CATALOG_SOURCE} and {CATALOG_MODEL}"
    )
    return (Problem("catalog_model_unknown", "warning", subject, message, remedy),)


def _asks_authentication(annotations: Mapping[str, Any], labels: Mapping[str, Any]) -> bool | None:
    """Return what the annotation says, else the label (Open Data Hub up to 2.25), None when neither does."""
    for place in (annotations, labels):
        said = values.line(place.get(AUTH_ANNOTATION)).lower()
        if said in ("true", "false"):
            return said == "true"
    return None
