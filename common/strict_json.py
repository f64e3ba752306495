"""Reads JSON from other programs strictly, with errors that name the fault."""

import base64
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, cast


class JsonError(ValueError):
    """The bytes, or a value in them, cannot be used; the text says why."""


def load(raw: bytes) -> Any:
    """Return the JSON value in `raw`, refusing everything on which parsers disagree.

    Raises:
        JsonError: it is not one JSON value in UTF-8, or contains a duplicate name, NaN, a lone surrogate, too deep a
            nesting, or too large a number.
    """
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # fails on a lone surrogate that was written as an escape
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except UnicodeEncodeError:
        raise JsonError("not usable: a lone surrogate") from None
    except RecursionError:
        raise JsonError("not usable: JSON nested too deeply") from None
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(f"not JSON: {error}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise JsonError(f"not usable: {twice[:80]!r} occurs twice in one object")
    return fields


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise JsonError(f"not usable: the number {number[:20]} is too large")
    return value


def _no_constant(name: str) -> None:
    raise JsonError(f"not JSON: {name}")


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`."""
    return as_object(load(raw), "the body")


def as_object(value: object, what: str) -> dict[str, Any]:
    """Return `value`, which must be an object; `what` names it in the error."""
    if not isinstance(value, dict):
        raise JsonError(f"{what} must be a JSON object")
    return cast("dict[str, Any]", value)


def text(fields: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """Return a string, empty if it is absent or null."""
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise JsonError(f"{name} must be a string")
    if required and not value:
        raise JsonError(f"{name} must not be empty")
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, False if it is absent."""
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise JsonError(f"{name} must be true or false")
    return value


def epoch_seconds(fields: Mapping[str, Any], name: str) -> int:
    """Return a time, written as in RFC 3339 with its offset, in whole seconds since the epoch."""
    written = text(fields, name, required=True)
    try:
        when = datetime.fromisoformat(written)
    except ValueError:
        when = datetime.min
    if when.tzinfo is None or when.year < 1970:
        raise JsonError(f"{name} must be a time such as 2026-01-31T12:00:00Z, not {written[:40]!r}")
    return int(when.timestamp())


def timestamp(seconds: float) -> str:
    """Return a time, in seconds since the epoch, in the form that `epoch_seconds` reads."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def items(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list, empty if it is absent or null."""
    value = fields.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise JsonError(f"{name} must be a list")
    return value


def texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of strings."""
    values = items(fields, name)
    if not all(isinstance(value, str) for value in values):
        raise JsonError(f"{name} must be a list of strings")
    return tuple(values)


def mapping(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object, empty if it is absent or null."""
    return as_object(fields.get(name) or {}, name)


def text_map(fields: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return an object whose values are strings."""
    values = mapping(fields, name)
    if not all(isinstance(value, str) for value in values.values()):
        raise JsonError(f"{name} must be an object with strings as values")
    return values


def decoded(fields: Mapping[str, Any], name: str) -> bytes:
    """Return the bytes in a base64 string that must not be empty."""
    try:
        return base64.b64decode(text(fields, name, required=True), validate=True)
    except ValueError as error:  # binascii.Error, or what characters outside ASCII raise
        raise JsonError(f"{name} is not base64: {error}") from None
