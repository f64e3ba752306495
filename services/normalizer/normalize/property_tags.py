"""Tags from what a registry says about a version: custom properties and the newer servers' own fields."""

from collections.abc import Iterable, Iterator, Mapping

from common import backstage
from services.normalizer.normalize.notes import Notes
from services.normalizer.normalize.registry_objects import ModelArtifact, ModelVersion, PropertyValue, RegisteredModel
from services.normalizer.normalize.tags import tag_set

PROVIDER = "Provider"
_VALUE_ONLY = frozenset(
    {
        "API Type",
        PROVIDER,
        "Registered from",
        "Source model",
        "Source model version",
        "_registeredFromCatalogRepositoryName",
    }
)
_LAST_MODIFIED = "_lastModified"
_LAST_MODIFIED_TAG = "last-modified-time-"
_TIME_SEPARATORS = str.maketrans({":": "-", ".": "-", "T": "-", "Z": None})
_INTERNAL = "_"
_MAX_TOLD = 5

_Properties = Mapping[str, PropertyValue]


def property_tags(
    model: RegisteredModel,
    version: ModelVersion,
    artifacts: Iterable[ModelArtifact],
    *,
    with_own_place: frozenset[str],
    notes: Notes,
) -> tuple[str, ...]:
    """Return the tags of a document, sorted; what Backstage would drop is left out and noted.

    The properties `with_own_place` in the document are no tags beside it.
    """
    sources = [model.properties, version.properties, *(artifact.properties for artifact in artifacts)]
    wanted = {
        wished: key for properties in sources for key, wished in _wished(properties, with_own_place=with_own_place)
    }
    wanted |= {tag: _LAST_MODIFIED for properties in sources[1:] for tag in _last_modified(properties)}
    _tell_lost([key for wished, key in wanted.items() if not backstage.is_tag(wished)], notes)
    return tag_set((*filter(backstage.is_tag, wanted), *_field_tags(model, version)))


def _wished(properties: _Properties, *, with_own_place: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Yield each property's key and the tag it would be, if Backstage took it."""
    for key, (text, is_string) in properties.items():
        if key in _VALUE_ONLY:
            if text:
                yield key, text.lower()
        elif key not in with_own_place and not key.startswith(_INTERNAL):
            yield key, (f"{key}-{text}" if is_string and text else key).lower()


def _last_modified(properties: _Properties) -> Iterator[str]:
    if (stored := properties.get(_LAST_MODIFIED)) and stored.text:
        yield f"{_LAST_MODIFIED_TAG}{stored.text.translate(_TIME_SEPARATORS)}"


def _field_tags(model: RegisteredModel, version: ModelVersion) -> Iterator[str | None]:
    if PROVIDER not in model.properties and PROVIDER not in version.properties:
        yield backstage.tag(model.provider)
    yield from map(backstage.tag, (model.library_name, *model.tasks))
    yield from (backstage.tag(f"language-{language}") for language in model.language)
    yield backstage.tag(f"maturity-{model.maturity}") if model.maturity else None


def _tell_lost(keys: list[str], notes: Notes) -> None:
    if not keys:
        return
    more = f" and {len(keys) - _MAX_TOLD} more" if len(keys) > _MAX_TOLD else ""
    notes.info(
        f"no tag can be made of the custom properties {', '.join(sorted(keys)[:_MAX_TOLD])}{more}",
        "tags are made of letters, digits, ':', '+', '#' and single '-', with at most 63 characters",
    )
