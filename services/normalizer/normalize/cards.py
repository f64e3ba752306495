"""Model cards: which one belongs to a version, where readers find it, and how a long one is shortened."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import quote

from common import LOCATION_PORT

CARD_LIMIT: Final = 1_000_000
"""Bytes of a card that is kept whole; storage and location take a little more (`DOCUMENT_LIMIT`)."""
_MOST_DEFINITIONS: Final = 20_000
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]+\S.*$", re.MULTILINE)
_MAX_NAME = 512
_CARD_URL = f"http://localhost:{LOCATION_PORT}/modelcard?key="


def shorten(card: str, *, most_bytes: int = CARD_LIMIT) -> str:
    """Return a card of at most `most_bytes` bytes; a longer one is cut at a heading or a paragraph, and says so.

    Link definitions in the part that is cut off are kept, because the other part may use them.
    """
    if not is_too_large(card, most_bytes=most_bytes):
        return card
    note = f"\n\n*The rest of this card is left out here: it is longer than {most_bytes // 1000} kB.*\n"
    room = most_bytes - len(note.encode())
    kept = _whole_parts(card, room - min(_MOST_DEFINITIONS, room // 10))
    definitions = "\n".join(_DEFINITION.findall(card, len(kept)))
    allowed = room - len(kept.encode()) - 2
    if definitions and len(definitions.encode()) <= allowed:
        return f"{kept}{note}\n{definitions}\n"[: len(kept) + len(note) + allowed]
    return kept + note


def _whole_parts(card: str, room: int) -> str:
    """Return the longest beginning of at most `room` bytes that ends before a heading, else before a blank line."""
    size = end = 0
    best_heading = best_blank = 0
    fence = ""
    for line in card.splitlines(keepends=True):
        marker = _FENCE.match(line)
        if marker and not fence:
            fence = marker[1]
        elif marker and marker[1].startswith(fence) and not line.strip().strip(fence[0]):
            fence = ""
        elif not fence and _HEADING.match(line):
            best_heading = end
        elif not fence and not line.strip():
            best_blank = end
        size += len(line.encode())
        if size > room:
            break
        end += len(line)
    cut = best_heading or best_blank
    if cut:
        return card[:cut].rstrip()
    text = card.encode()[:room].decode(errors="ignore").rstrip()
    return f"{text}\n{fence}" if fence else text


class ReadmeCard(NamedTuple):
    """A registered model's own documentation, as a card."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """A model of a model catalog, as artifacts registered from it name it."""

    source: str
    group: str
    name: str

    @property
    def key(self) -> str:
        """The key of its card."""
        return f"{self.source}{self.group}{self.name}".replace(" ", "")

    @property
    def path(self) -> str:
        """Its path below the root of the catalog's API, percent-encoded except for slashes."""
        whole = self.name if not self.group or self.name.startswith(f"{self.group}/") else f"{self.group}/{self.name}"
        return f"/sources/{quote(self.source, safe='')}/models/{quote(whole)}"


def named_model(source: str, name: str, *, group: str = "") -> CatalogModel | None:
    """Return the catalog model of that name, or None where a name is missing or impossible.

    With a part `..` the path would leave the models, and servers refuse paths that are too long.
    """
    parts = [source, *group.split("/"), *name.split("/")]
    usable = source and name and max(map(len, (source, group, name))) <= _MAX_NAME
    return CatalogModel(source, group, name) if usable and not {".", ".."} & set(parts) else None


def is_too_large(card: str, *, most_bytes: int = CARD_LIMIT) -> bool:
    """Return whether a card has too many bytes to be shown whole."""
    return len(card) * 4 > most_bytes and len(card.encode()) > most_bytes


def card_url(key: str) -> str:
    """Return the address of a card, which readers use as the model's documentation."""
    return f"{_CARD_URL}{quote(key, safe='')}"
