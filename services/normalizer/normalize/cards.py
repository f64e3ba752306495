"""Model cards: which one belongs to a version, and where the reader finds it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

from services.normalizer.normalize.registry_objects import ModelArtifact, RegisteredModel, RegistryRef, model_artifacts

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
        return f"/sources/{quote(self.source, safe='')}/models/{quote(f'{self.group}/{self.name}')}"


def catalog_model(artifacts: Iterable[ModelArtifact]) -> CatalogModel | None:
    """Return the catalog's model that a version was registered from, or None when it came from elsewhere."""
    for artifact in model_artifacts(artifacts):
        if artifact.model_source_class and artifact.model_source_group and artifact.model_source_name:
            return CatalogModel(artifact.model_source_class, artifact.model_source_group, artifact.model_source_name)
    return None


def readme_card(registry: RegistryRef, model: RegisteredModel) -> ReadmeCard | None:
    """Return the card made of the model's readme, or None when it has none; the catalog's card goes before it."""
    return ReadmeCard(f"readme-{registry.id}-{model.id}", model.readme) if model.readme else None


def card_url(key: str) -> str:
    """Return the address of a card, which the reader takes for the model's documentation."""
    return f"{_CARD_URL}{quote(key, safe='')}"
