"""Model cards: which one belongs to a version, and where the reader finds it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from services.normalizer.normalize.card_length import shorten
from services.normalizer.normalize.registry_objects import ModelArtifact, RegisteredModel, RegistryRef, model_artifacts

CARD_LIMIT = 1024 * 1024
"""A card with more bytes is shortened: storage takes none (DOCUMENT_LIMIT), and a link to it would lead nowhere."""
_MAX_NAME = 512
_CARD_URL = "http://localhost:9090/modelcard?key="


@dataclass(frozen=True, slots=True)
class CardRef:
    """A card that exists, by its key."""

    key: str


class ReadmeCard(NamedTuple):
    """A registered model's own documentation, as a card."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model of the model catalog, as the artifacts made from it name it."""

    source: str
    group: str
    name: str

    @property
    def key(self) -> str:
        """The key of its card."""
        return f"{self.source}{self.group}{self.name}".replace(" ", "")

    @property
    def path(self) -> str:
        """Its path below the catalog's API root, percent-encoded; the slashes in a model's name stay."""
        whole = self.name if not self.group or self.name.startswith(f"{self.group}/") else f"{self.group}/{self.name}"
        return f"/sources/{quote(self.source, safe='')}/models/{quote(whole)}"


def catalog_model(artifacts: Iterable[ModelArtifact]) -> CatalogModel | None:
    """Return the catalog's model that a version was registered from, or None when it came from elsewhere.

    Dashboards since September 2025 write the whole name, with slashes or without, and no group. Pipeline runs (`kfp`)
    and transfer jobs name a source too, which no catalog has.
    """
    for artifact in model_artifacts(artifacts):
        model = named_model(artifact.model_source_class, artifact.model_source_name, group=artifact.model_source_group)
        if artifact.model_source_kind in ("", "catalog") and model is not None:
            return model
    return None


def named_model(source: str, name: str, *, group: str = "") -> CatalogModel | None:
    """Return the catalog's model of that name, or None where a name is missing or no model can have it.

    A part `..` would lead to another path than that of a model, and servers refuse addresses that are too long.
    """
    parts = [source, *group.split("/"), *name.split("/")]
    usable = source and name and max(map(len, (source, group, name))) <= _MAX_NAME
    return CatalogModel(source, group, name) if usable and not {".", ".."} & set(parts) else None


def readme_card(registry: RegistryRef, model: RegisteredModel) -> ReadmeCard | None:
    """Return the card made of the model's readme, or None when it has none; the catalog's card goes before it."""
    if not model.readme:
        return None
    return ReadmeCard(f"readme-{registry.id}-{model.id}", shorten(model.readme))


def is_too_large(card: str) -> bool:
    """Return whether a card has too many bytes to be shown whole."""
    return len(card) * 4 > CARD_LIMIT and len(card.encode()) > CARD_LIMIT


def card_url(key: str) -> str:
    """Return the address of a card, which the reader takes for the model's documentation."""
    return f"{_CARD_URL}{quote(key, safe='')}"
