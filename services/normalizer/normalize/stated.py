"""What people and dashboards say of a deployment in its labels and annotations, whatever its kind."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common import backstage
from common.annotations import NAME_ANNOTATION
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import CatalogModel, named_model
from services.normalizer.normalize.labels import RegistryLabels, read_registry_labels
from services.normalizer.normalize.links import without_credentials
from services.normalizer.normalize.model_names import unique_names
from services.normalizer.normalize.profile import SUCCESSOR_PREFIX, said_in_annotations, said_names
from services.normalizer.normalize.result import IGNORE
from services.normalizer.normalize.tags import label_tag, tag_set

AUTH_ANNOTATION = "security.opendatahub.io/enable-auth"
_MODEL_TYPE = "opendatahub.io/model-type"
_USE_CASE = "opendatahub.io/genai-use-case"
_PREDICTIVE = "predictive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What the labels and annotations say; empty or None where they say nothing. `ignored`: to be left out.

    `said` are the fields for Backstage, `names` those that a client may write as the model's. `kinds` are tags.
    `catalog_model` is the model whose card documents this one.
    """

    said: tuple[tuple[str, str], ...]
    names: tuple[str, ...]
    registry: RegistryLabels | None
    catalog_model: CatalogModel | None
    asks_authentication: bool | None
    ignored: bool
    predictive: bool
    labels: tuple[tuple[str, str], ...]
    kinds: tuple[str, ...]

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
        catalog_model=_catalog_model(annotations),
        asks_authentication=_asks_authentication(annotations, labels),
        ignored=any(values.line(place.get(IGNORE)).lower() == "true" for place in (annotations, labels)),
        predictive=model_type.lower() == _PREDICTIVE,
        labels=tuple((sys.intern(str(key)), sys.intern(values.line(value))) for key, value in labels.items()),
        kinds=tag_set(backstage.tag(without_credentials(text)) for text in (*further_tags, *kinds) if text),
    )


def _catalog_model(annotations: Mapping[str, Any]) -> CatalogModel | None:
    source, model = (values.line(annotations.get(f"{SUCCESSOR_PREFIX}catalog-{part}")) for part in ("source", "model"))
    return named_model(source, model)


def _asks_authentication(annotations: Mapping[str, Any], labels: Mapping[str, Any]) -> bool | None:
    """Return what the annotation says, else the label (Open Data Hub up to 2.25), None when neither does."""
    for place in (annotations, labels):
        said = values.line(place.get(AUTH_ANNOTATION)).lower()
        if said in ("true", "false"):
            return said == "true"
    return None
