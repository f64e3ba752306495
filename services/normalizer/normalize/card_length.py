"""Model cards that are longer than can be kept: cut where a part of them ends."""

import re
from typing import Final

MOST_BYTES: Final = 1_000_000
"""Bytes of a card that is kept; storage and location take a little more (`DOCUMENT_LIMIT`)."""
_MOST_DEFINITIONS: Final = 20_000
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n]+\]:[ \t]+\S.*$", re.MULTILINE)


def shorten(card: str, *, most_bytes: int = MOST_BYTES) -> str:
    """Return a card of at most `most_bytes` bytes: a longer one up to a heading, or else a paragraph, and says so.

    Definitions of links in the part that is left out stay, for the part that is kept may use them.
    """
    if len(card) * 4 <= most_bytes or len(card.encode()) <= most_bytes:
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
    """Return the longest beginning of a card with at most `room` bytes that ends before a heading, or a blank line."""
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
