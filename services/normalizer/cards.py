"""The texts of model cards, and the choice of the card that a document shows. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from common.wire import Stored, card_digest
from services.normalizer.facts import LOCAL
from services.normalizer.normalize.cards import CatalogModel, ReadmeCard


@dataclass(frozen=True, slots=True)
class Card:
    """The text (Markdown) of a model card, and its digest."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the card of that text."""
        return cls(text, card_digest(text))


class Cards:
    """The cards that model catalogs have, and the texts of those that documents show."""

    def __init__(self) -> None:
        self._catalog: dict[str, Card | None] = {}
        self._cluster_of: dict[str, str] = {}
        self._chosen: dict[str, Card] = {}

    def put(self, cards: Mapping[str, str | None], *, cluster: str = LOCAL) -> None:
        """Set cards of a cluster's model catalogs by key, None where there is none; others are not changed.

        When catalogs of several clusters have a card, that of our own cluster is used, else that of the first cluster
        by name, so that the order of answers does not matter.
        """
        for key, text in cards.items():
            holder = self._cluster_of.get(key, cluster)
            if holder != cluster and (not text or _precedence(holder) < _precedence(cluster)):
                continue
            self._cluster_of[key] = cluster
            if not text:
                del self._cluster_of[key]
            card = self._catalog[key] = Card.of(text) if text else None
            if card and key in self._chosen:
                self._chosen[key] = card

    def forget(self, keys: Iterable[str], *, cluster: str = LOCAL) -> None:
        """Drop the cards of a cluster's catalogs that nothing in the cluster refers to any more."""
        for key in keys:
            if self._cluster_of.get(key, cluster) == cluster:
                self._catalog.pop(key, None)
                self._cluster_of.pop(key, None)

    def release(self, cluster: str) -> None:
        """Let the catalogs of other clusters replace the cards of a cluster that is no longer followed."""
        self._cluster_of = {key: holder for key, holder in self._cluster_of.items() if holder != cluster}

    def choose(self, origin: CatalogModel | None, *, stored: Stored | None, readme: ReadmeCard | None = None) -> str:
        """Return the key of the card that a document shows, empty without one.

        It is the card of `origin` in the model catalog, else the model's own readme.

        `stored` is the document's entry of an earlier run, whose card is kept until the catalog has been read.
        """
        if origin is not None:
            if card := self._catalog.get(origin.key):
                self._chosen[origin.key] = card
                return origin.key
            in_storage = stored is not None and stored.card_key == origin.key  # from an earlier run
            if origin.key not in self._catalog and (in_storage or origin.key in self._chosen):
                return origin.key
        if readme is None:
            return ""
        self._chosen[readme.key] = Card.of(readme.text)
        return readme.key

    def lacks(self, model: CatalogModel | None) -> bool:
        """Return whether the catalogs were read and have no card of a model."""
        return model is not None and self._catalog.get(model.key, model) is None

    def shown(self, keys: Iterable[str]) -> Mapping[str, Card]:
        """Return the cards among `keys` whose text is known, and forget the others."""
        if self._chosen:
            used = set(keys)
            self._chosen = {key: card for key, card in self._chosen.items() if key in used}
        return self._chosen


def _precedence(cluster: str) -> tuple[bool, str]:
    return cluster != LOCAL, cluster
