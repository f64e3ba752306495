"""Annotations of our prefixes that mean nothing, and which one was probably meant."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import NamedTuple

from services.normalizer.normalize.profile import ANNOTATION_PREFIX, FIELDS, SUCCESSOR_PREFIX, annotation_field

OWN_PREFIX = "rhdh.modelcatalog.io/"
_NAMES = "model-"
# In the spelling that the documentation has, for suggestions.
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
    OWN_PREFIX: ("model-name", "ignore", "license", "internal-service-url", "external-route-url"),
}


class Misspelt(NamedTuple):
    """An unknown annotation, and the one that was probably meant, empty when none is similar."""

    key: str
    meant: str


def misspelt(keys: Iterable[str]) -> Iterator[Misspelt]:
    """Yield those of an object's annotations that have one of our prefixes, or nearly so, and mean nothing."""
    for key in keys:
        prefix, slash, name = key.partition("/")
        known = _KNOWN.get(f"{prefix}/")
        if not slash:
            continue
        if known is None:
            if prefix_meant := _near(f"{prefix}/", _KNOWN, cutoff=0.85):
                yield Misspelt(key, f"{prefix_meant}{_near(name, _KNOWN[prefix_meant]) or name}")
        elif name not in known and not _is_known(f"{prefix}/", name):
            meant = _near(name, known)
            yield Misspelt(key, f"{prefix}/{meant}" if meant else "")


def _is_known(prefix: str, name: str) -> bool:
    return prefix != OWN_PREFIX and (name.startswith(_NAMES) or annotation_field(name) is not None)


def _near(written: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    spelt = {name.lower(): name for name in known}
    return next((spelt[found] for found in get_close_matches(written.lower(), spelt, n=1, cutoff=cutoff)), "")
