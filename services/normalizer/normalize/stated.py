"""What people say about deployments in labels and annotations, of objects and of namespaces, also when misspelt."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from common import backstage
from common.annotations import NAME_ANNOTATION
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.cards import CatalogModel, named_model
from services.normalizer.normalize.containers import unique_names
from services.normalizer.normalize.labels import RegistryLabels, read_registry_labels
from services.normalizer.normalize.links import without_credentials
from services.normalizer.normalize.profile import FIELDS, NAMES, TITLE, stated_names
from services.normalizer.normalize.result import IGNORE
from services.normalizer.normalize.tags import label_tag, tag_set

ANNOTATION_PREFIX = "modelcatalogbridge.rhdh.io/"
"""The prefix of our annotations; they override those of the same name under `SUCCESSOR_PREFIX`."""
SUCCESSOR_PREFIX = "rhdh.io/"

_CATALOG_SOURCE = f"{SUCCESSOR_PREFIX}catalog-source"
_CATALOG_MODEL = f"{SUCCESSOR_PREFIX}catalog-model"
AUTH_ANNOTATION = "security.opendatahub.io/enable-auth"
_MODEL_TYPE = "opendatahub.io/model-type"
_USE_CASE = "opendatahub.io/genai-use-case"
_PREDICTIVE = "predictive"
_INHERITED = frozenset({"lifecycle", "owner", "system"})
_OWN_PREFIX = "rhdh.modelcatalog.io/"
_NAMES_PREFIX = "model-"  # of annotations with names that the server answers to, after their prefix
_DASHBOARD_KEYS = {"description": "openshift.io/description", TITLE: values.DISPLAY_NAME}
# As the documentation spells them, for suggestions.
_SPELT = {"apientityref": "api-entity-ref", "servertype": "serverType"}
_FIELDS = tuple(_SPELT.get(field, field) for field in sorted(FIELDS))
_KNOWN = {
    ANNOTATION_PREFIX: (*_FIELDS, "catalog-source", "catalog-model"),
    SUCCESSOR_PREFIX: (
        *_FIELDS,
        "catalog-source",
        "catalog-model",
        "ai-asset-category",
        "ai-asset-source",
        "ai-asset-version",
    ),
    _OWN_PREFIX: ("model-name", "ignore", "license", "internal-service-url", "external-route-url"),
}


class StatedField(NamedTuple):
    """A field as people wrote it: its name, its text, and the place to correct it, such as `the annotation …`.

    `key` is that of the annotation; empty if it is none.
    """

    name: str
    text: str
    place: str
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What the labels and annotations of a deployment say; empty or None where they say nothing.

    `fields` are those for Backstage, `names` the names that clients may use for the model. `catalog_named` is the
    source and name of the catalog model whose card documents this one. `ignored`: it must not be in the catalog.
    `kinds` are tags in addition to those of the labels.
    """

    fields: tuple[StatedField, ...]
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
        """The catalog model whose card documents this one; None when no possible one is named."""
        return named_model(*self.catalog_named)

    @property
    def texts(self) -> dict[str, str]:
        """The texts of the fields, by name."""
        return {field.name: field.text for field in self.fields}

    def place(self, name: str) -> str:
        """Return where a field is written, or should be if it is not."""
        return next(
            (field.place for field in self.fields if field.name == name), f"the annotation {ANNOTATION_PREFIX}{name}"
        )

    def key(self, name: str) -> str:
        """Return the key of the annotation with a field."""
        return next((field.key for field in self.fields if field.name == name), f"{ANNOTATION_PREFIX}{name}")

    def tags(self, ignored: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Return the tags, without those of labels that match the patterns `ignored`."""
        return tag_set((*(label_tag(key, value, ignored) for key, value in self.labels), *self.kinds))


def read_stated(metadata: Mapping[str, Any], *, further_tags: Iterable[str] = ()) -> Stated:
    """Return what the metadata of an object say; `further_tags` become tags in addition to the labels."""
    labels, annotations = values.mapping(metadata.get("labels")), values.mapping(metadata.get("annotations"))
    model_type, use_case = values.line(annotations.get(_MODEL_TYPE)), values.line(annotations.get(_USE_CASE))
    kinds = [f"model-type-{model_type}" if model_type else "", f"genai-use-case-{use_case}" if use_case else ""]
    fields = _read_fields(annotations)
    texts = {name: field.text for name, field in fields.items()}
    return Stated(
        fields=tuple(sorted(fields.values())),
        names=unique_names((values.line(annotations.get(NAME_ANNOTATION)), *stated_names(texts))),
        registry=read_registry_labels(labels),
        catalog_named=(values.line(annotations.get(_CATALOG_SOURCE)), values.line(annotations.get(_CATALOG_MODEL))),
        asks_authentication=_asks_authentication(annotations, labels),
        ignored=any(values.line(place.get(IGNORE)).lower() == "true" for place in (annotations, labels)),
        predictive=model_type.lower() == _PREDICTIVE,
        labels=tuple((sys.intern(str(key)), sys.intern(values.line(value))) for key, value in labels.items()),
        kinds=tag_set(backstage.tag(without_credentials(text)) for text in (*further_tags, *kinds) if text),
    )


def _read_fields(annotations: Mapping[str, object], *, place: str = "the annotation {}") -> dict[str, StatedField]:
    """Return the fields in the annotations of a Kubernetes object, by their names.

    Both prefixes count, and any spelling that differs only by case and hyphens (`serverType`); the usual one, in lower
    case, is preferred. The OpenShift AI dashboard's description and display name are used where our own are missing.
    `place` is what messages call an annotation.
    """
    fields: dict[str, StatedField] = {}
    if not annotations:
        return fields

    def state(name: str, text: str, key: str) -> None:
        fields.setdefault(name, StatedField(name, text, sys.intern(place.format(key)), sys.intern(key)))

    names: dict[str, str] = {}
    for prefix in (ANNOTATION_PREFIX, SUCCESSOR_PREFIX):
        for key in sorted((key for key in annotations if key.startswith(prefix)), key=lambda key: key.lower() != key):
            name, text = key.removeprefix(prefix), values.block(annotations[key])
            if name.startswith(_NAMES_PREFIX):
                names.setdefault(name, values.line(text))
            elif (known := _field_of(name)) and text.strip():
                state(known, text, key)
    if found := sorted({name for name in names.values() if name}):
        state(NAMES, "\n".join(found), f"{_NAMES_PREFIX}*")
    for name, key in _DASHBOARD_KEYS.items():
        if (text := values.block(annotations.get(key))).strip():
            state(name, text, key)
    return fields


def _field_of(name: str) -> str | None:
    """Return the field of an annotation by its name without the prefix, or None when there is no such field."""
    plain = name.lower().replace("-", "")
    return plain if plain in FIELDS else None


def card_problems(stated: Stated, *, subject: str, lacking: bool) -> tuple[Problem, ...]:
    """Return why a deployment does not get the card that it names; `lacking`: the catalogs were read and lack it."""
    source, name = stated.catalog_named
    if bool(source) != bool(name):
        given, missing = (_CATALOG_SOURCE, _CATALOG_MODEL) if source else (_CATALOG_MODEL, _CATALOG_SOURCE)
        message = f"it has the annotation {given} and not {missing}: no card is looked for"
        remedy = f"add {missing}, or remove {given}"
        return (Problem("catalog_model_incomplete", "warning", subject, message, remedy, given),)
    if not source or (stated.catalog_model is not None and not lacking):
        return ()
    message = f"the model catalog has no card of model {values.shown(name)} in source {values.shown(source)}"
    remedy = (
        "write the source's id and the model's whole name, with its group, as the catalog has them, in "
        f"{_CATALOG_SOURCE} and {_CATALOG_MODEL}"
    )
    return (Problem("catalog_model_unknown", "warning", subject, message, remedy, _CATALOG_MODEL),)


def _asks_authentication(annotations: Mapping[str, Any], labels: Mapping[str, Any]) -> bool | None:
    """Return what the annotation says, else the label (Open Data Hub up to 2.25), None when neither does."""
    for place in (annotations, labels):
        written = values.line(place.get(AUTH_ANNOTATION)).lower()
        if written in ("true", "false"):
            return written == "true"
    return None


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What a namespace says, for all deployments in it: fields for Backstage, and labels, which become tags."""

    fields: tuple[StatedField, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def added_to(self, stated: Stated) -> Stated:
        """Return what a deployment states, with what its namespace says where it says nothing itself."""
        fields = {field.name: field for field in (*self.fields, *stated.fields)}
        labels = dict(self.labels) | dict(stated.labels)
        if len(fields) == len(stated.fields) and len(labels) == len(stated.labels):
            return stated
        return replace(stated, fields=tuple(sorted(fields.values())), labels=tuple(labels.items()))


NOTHING = Inheritance()


def read_namespace(obj: Mapping[str, Any]) -> Inheritance:
    """Return what a Namespace (v1) says in its annotations, or else in labels of the same names."""
    metadata = values.mapping(obj.get("metadata"))
    labels = values.mapping(metadata.get("labels"))
    of_namespace = f"{{}} of namespace {values.line(metadata.get('name'))}"
    annotated = _read_fields(values.mapping(metadata.get("annotations")), place=f"the annotation {of_namespace}")
    fields = _read_fields(labels, place=f"the label {of_namespace}") | annotated
    return Inheritance(
        fields=tuple(sorted(field for field in fields.values() if field.name in _INHERITED)),
        labels=tuple(sorted((str(key), values.line(value)) for key, value in labels.items())),
    )


class Misspelling(NamedTuple):
    """An unknown annotation, and the known one that is most like it, empty when none is."""

    key: str
    meant: str


def misspellings(keys: Iterable[str]) -> Iterator[Misspelling]:
    """Yield annotations whose prefix is one of ours, or nearly so, and whose name is unknown."""
    for key in keys:
        prefix, slash, name = key.partition("/")
        known = _KNOWN.get(f"{prefix}/")
        if not slash:
            continue
        if known is None:
            if prefix_meant := _near(f"{prefix}/", _KNOWN, cutoff=0.85):
                yield Misspelling(key, f"{prefix_meant}{_near(name, _KNOWN[prefix_meant]) or name}")
        elif name not in known and not _is_known(f"{prefix}/", name):
            meant = _of_another_prefix(name) or (f"{prefix}/{near}" if (near := _near(name, known)) else "")
            yield Misspelling(key, meant)


def annotations_among(labels: Iterable[str]) -> Iterator[str]:
    """Yield labels that have the name of one of our annotations and are read as an annotation only."""
    for key in labels:
        prefix, _, name = key.partition("/")
        if key != IGNORE and f"{prefix}/" in _KNOWN and (name in _KNOWN[f"{prefix}/"] or _is_known(f"{prefix}/", name)):
            yield key


def _of_another_prefix(name: str) -> str:
    """Return the annotation with this name and another prefix of ours, empty if there is none."""
    found = (f"{prefix}{known}" for prefix in (SUCCESSOR_PREFIX, _OWN_PREFIX) for known in _KNOWN[prefix])
    return next((key for key in found if key.partition("/")[2].lower() == name.lower()), "")


def _is_known(prefix: str, name: str) -> bool:
    return prefix != _OWN_PREFIX and (name.startswith(_NAMES_PREFIX) or _field_of(name) is not None)


def _near(written: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    spelt = {name.lower(): name for name in known}
    return next((spelt[found] for found in get_close_matches(written.lower(), spelt, n=1, cutoff=cutoff)), "")
