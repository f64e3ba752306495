"""Objects of a model registry, read tolerantly: one odd field does not lose the object, one odd object not the page.

Kubeflow Model Registry REST API, v1alpha3 and v1: ids and times are strings, states are open enumerations here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass as validated

from common.details import DetailLink
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.result import IGNORE

LIVE = "LIVE"
DEPLOYED = "DEPLOYED"
MODEL_ARTIFACT = "model-artifact"

NO_PROPERTIES: Mapping[str, "PropertyValue"] = MappingProxyType({})
_STRING_TYPE = "MetadataStringValue"
_METRIC_TYPE = "MetadataDoubleValue"
# An artifact's state is UNKNOWN where its writer did not care, so that only these say that it is gone.
_GONE_STATES = frozenset({"MARKED_FOR_DELETION", "DELETED", "ABANDONED"})
_TEXT_KEYS = ("string_value", "int_value", "double_value", "bool_value")


class PropertyValue(NamedTuple):
    """A custom property: its text (empty for types that have none), and whether it is a string or a decimal number."""

    text: str
    is_string: bool
    is_metric: bool = False


def _properties(value: object) -> Mapping[str, PropertyValue]:
    found = {values.line(key): _property(stored) for key, stored in values.mapping(value).items()}
    return {key: stored for key, stored in found.items() if key and stored is not None} or NO_PROPERTIES


def _property(value: object) -> PropertyValue | None:
    if not isinstance(value, Mapping):
        return None
    text = next((values.block(value[key]) for key in _TEXT_KEYS if key in value), "")
    kind = value.get("metadataType", _STRING_TYPE)
    return PropertyValue(text, is_string=kind == _STRING_TYPE, is_metric=kind == _METRIC_TYPE)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for item in values.items(value) if (text := values.line(item)))


def _word(usual: str) -> BeforeValidator:
    """Return a reader of a text that is nearly always the same, and kept once then."""

    def read(value: object) -> str:
        word = values.line(value)
        return usual if word in ("", usual) else word

    return BeforeValidator(read)


Line = Annotated[str, BeforeValidator(values.line)]
Text = Annotated[str, BeforeValidator(values.text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Millis = Annotated[int, BeforeValidator(values.millis)]
Required = Annotated[Line, Field(min_length=1)]
LiveState = Annotated[str, _word(LIVE)]


_CONFIG = ConfigDict(alias_generator=to_camel, defer_build=True)


# Dataclasses with slots: a large registry has tens of thousands of objects, and each takes a quarter of a model's room.
@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class _Item:
    id: Required
    description: Text = ""
    created: Millis = Field(default=0, alias="createTimeSinceEpoch")
    updated: Millis = Field(default=0, alias="lastUpdateTimeSinceEpoch")
    properties: Annotated[Mapping[str, PropertyValue], PlainValidator(_properties)] = Field(
        default_factory=lambda: NO_PROPERTIES, alias="customProperties"
    )

    @property
    def is_ignored(self) -> bool:
        """Whether people have marked it to be left out of the catalog."""
        mark = self.properties.get(IGNORE)
        return mark is not None and mark.text.strip().lower() == "true"


@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class _Shown(_Item):
    name: Required
    state: LiveState = LIVE

    @property
    def is_live(self) -> bool:
        """Whether it is neither archived nor in a state unknown to us, nor marked; a version's model may be."""
        return self.state == LIVE and not self.is_ignored


@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class RegisteredModel(_Shown):
    """A registered model; the fields after `owner` exist on newer servers only."""

    owner: Line = ""
    language: Texts = ()
    library_name: Line = ""
    license: Text = ""
    license_link: Line = ""
    maturity: Line = ""
    provider: Line = ""
    readme: Annotated[str, BeforeValidator(values.block)] = ""
    tasks: Texts = ()


@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ModelVersion(_Shown):
    """A version of a registered model.

    `called` are further names by which storage URIs mean it: aliases and stages. `pages` are links to where people
    look at it. No Kubeflow registry has either.
    """

    registered_model_id: Required
    author: Line = ""
    called: tuple[str, ...] = ()
    pages: tuple[DetailLink, ...] = ()


@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ModelArtifact(_Item):
    """An artifact of a version; `is_model` tells models from documents, data sets, metrics and what is deleted.

    Without a `uri` the files are at `storage_path` in the storage of a connection, `storage_key`.
    """

    name: Line = ""
    artifact_type: Annotated[str, _word(MODEL_ARTIFACT)] = MODEL_ARTIFACT
    state: LiveState = LIVE
    uri: Line = ""
    storage_key: Line = ""
    storage_path: Line = ""
    model_format_name: Line = ""
    model_format_version: Line = ""
    model_source_kind: Line = ""
    model_source_class: Line = ""
    model_source_group: Line = ""
    model_source_name: Line = ""

    @property
    def is_model(self) -> bool:
        """Whether it is a model's file, and not gone."""
        return self.artifact_type == MODEL_ARTIFACT and self.state not in _GONE_STATES


@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class RegistryInferenceService(_Item):
    """The registry's record of a deployment; without a version id it means the model's newest version."""

    name: Line = ""
    registered_model_id: Required
    model_version_id: Line = ""
    serving_environment_id: Line = ""
    desired_state: Annotated[str, _word(DEPLOYED)] = DEPLOYED

    @property
    def is_deployed(self) -> bool:
        """Whether it is wanted."""
        return self.desired_state == DEPLOYED


@validated(frozen=True, slots=True, kw_only=True, config=_CONFIG)
class ServingEnvironment(_Item):
    """A place that models are deployed to; named as the Kubernetes namespace."""

    name: Line = ""


Item = TypeVar("Item", RegisteredModel, ModelVersion, ModelArtifact, RegistryInferenceService, ServingEnvironment)

_READERS: Mapping[type[Any], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in Item.__constraints__}
_OF_OTHERS = frozenset({"called", "pages"})
_FIELDS: Mapping[type[Any], tuple[str, ...]] = {
    kind: tuple(field.alias or name for name, field in kind.__pydantic_fields__.items() if name not in _OF_OTHERS)
    for kind in _READERS
}


def parse_item(
    kind: type[Item], raw: object, *, registry: str, further: Mapping[str, Any] = MappingProxyType({})
) -> Item | Problem:
    """Return one object of a list answer, or the problem that makes it unusable; `registry` is for its words.

    `further` are fields that no answer of a Kubeflow registry has.
    """
    try:
        # Only what is known: a name that is no Unicode text would be an error, even of a field that is ignored.
        given = values.mapping(raw)
        known = {name: given[name] for name in _FIELDS[kind] if name in given}
        item: Item = _READERS[kind].validate_python({**known, **further})
        return item
    except ValidationError as error:
        fields = ", ".join(sorted({str(fault["loc"][0]) for fault in error.errors()}))
        name = values.line_at(raw, "name") or values.line_at(raw, "id") or "without a name"
        return Problem(
            "registry_item_unusable",
            "error",
            f"{kind.__name__} {values.shown(name)} in registry {registry}",
            f"it is not usable without {fields}",
            "look at it in the registry's REST API; delete it there or register it again",
        )
