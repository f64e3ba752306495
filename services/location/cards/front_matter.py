"""Reads the front matter of model cards: YAML above the text, as Hugging Face defines it. No I/O."""

import re
from collections.abc import Mapping

import yaml

from common.texts import unicode

_FENCED = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_MOST_BYTES = 64 * 1024
_MOST_ITEMS = 30
_MOST_CHARACTERS = 300
_SHOWN = {
    "license": "License",
    "license_name": "License",
    "license_link": "License text",
    "provider": "Provider",
    "author": "Author",
    "base_model": "Base model",
    "pipeline_tag": "Task",
    "tasks": "Tasks",
    "language": "Languages",
    "library_name": "Library",
    "datasets": "Data sets",
    "metrics": "Metrics",
    "tags": "Tags",
    "version": "Version",
}
"""The fields that are shown, in this order, and their labels (huggingface.co/docs/hub/model-cards)."""


def split(card: str) -> tuple[str, str]:
    """Return the front matter of a card (empty if there is none) and the text below it."""
    match = _FENCED.match(card)
    if match is None or len(match[1]) > _MOST_BYTES:
        return "", card
    return match[1], card[match.end() :]


def facts_table(matter: str) -> str:
    """Return the fields of a front matter as a Markdown table; empty if there are none."""
    try:
        facts = yaml.load(matter, Loader=yaml.BaseLoader) if matter else None  # noqa: S506 - it reads only strings
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        return ""
    if not isinstance(facts, Mapping):
        return ""
    rows: dict[str, str] = {}
    for key, name in _SHOWN.items():
        if text := _text(facts.get(key)):
            rows.setdefault(name, text)
    if not rows:
        return ""
    return "\n".join(["|  |  |", "| --- | --- |", *(f"| {name} | {text} |" for name, text in rows.items())])


def _text(value: object) -> str:
    items = value[:_MOST_ITEMS] if isinstance(value, list) else [value]
    texts = (" ".join(unicode(item).split()) for item in items if isinstance(item, str))
    shown = ", ".join(filter(None, texts))[:_MOST_CHARACTERS]
    return re.sub(r"([\\`*_{}\[\]|~^=])", r"\\\1", shown.replace("&", "&amp;").replace("<", "&lt;"))
