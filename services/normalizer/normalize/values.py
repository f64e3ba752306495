"""Reads values from JSON objects of unknown shape: a value of the wrong type counts as absent."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from services.normalizer.normalize.links import without_credentials

DISPLAY_NAME = "openshift.io/display-name"
"""The annotation in which OpenShift's dashboards keep the title of an object."""

# Control characters break the readers' database (PostgreSQL has no NUL in text); lone surrogates are not valid UTF-8.
_UNWANTED = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_LINE_BREAK = re.compile("\r\n?")
_MAX_DIGITS = 18
_SHOWN = 60


def mapping(value: object) -> Mapping[str, Any]:
    """Return `value` when it is a JSON object, else an empty one."""
    if value is None:
        return {}
    # It is nearly always a dict, and checking against an abstract class takes ten times as long.
    return value if isinstance(value, dict) or isinstance(value, Mapping) else {}  # noqa: SIM101 - see above


def at(value: object, *path: str) -> Any:
    """Return the value at `path` in nested JSON objects, or None."""
    for key in path:
        if not isinstance(value, dict):  # nearly always one, see `mapping`
            value = mapping(value)
        value = value.get(key)
    return value


def items(value: object) -> Sequence[Any]:
    """Return `value` when it is a JSON array, else an empty one."""
    return value if isinstance(value, list | tuple) else ()


def items_at(value: object, *path: str) -> Sequence[Any]:
    """Return the JSON array at `path`, else an empty one."""
    return items(at(value, *path))


def block(value: object) -> str:
    """Return a text with its inner layout, line breaks as `\\n`, without blank lines at its ends; numbers as text."""
    if value is None:
        return ""
    if isinstance(value, str):
        if value.isprintable():
            return value.rstrip()
        return _UNWANTED.sub("", _LINE_BREAK.sub("\n", value)).rstrip().lstrip("\n")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value) if abs(value) < 10**_MAX_DIGITS else ""
    return ""


def text(value: object) -> str:
    """Return a text without blanks at its ends; it may have several lines."""
    return block(value).strip()


def line(value: object) -> str:
    """Return a text in one line, with every run of blanks made one space."""
    if value is None:  # of most fields that there may be
        return ""
    if type(value) is str and value.isprintable() and " " not in value:
        return value  # most texts are one word, and need no work
    return " ".join(block(value).split())


def line_at(value: object, *path: str) -> str:
    """Return the text at `path` in one line, see `line`."""
    return line(at(value, *path))


def millis(value: object) -> int:
    """Return an epoch time in milliseconds as registries write it (a string of digits), else 0."""
    digits = value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS else 0


def timestamp(value: object) -> int:
    """Return a Kubernetes time (RFC 3339, or what a YAML parser made of it) in milliseconds since the epoch, else 0."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        return 0
    if not isinstance(moment, datetime):
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(aware.timestamp() * 1000))


def shown(value: str) -> str:
    """Return `value` quoted for a message, without credentials, shortened when it is long."""
    value = without_credentials(value)
    return repr(value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…")
