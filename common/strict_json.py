"""Reading JSON that a stranger sent: strictly, and with errors that name the fault."""

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
    """Return `raw` as JSON, refusing what parsers disagree about.

    Raises:
        JsonError: on anything but one UTF-8 JSON value, on a name given twice, on NaN, on lone surrogates, on a
            nesting too deep or a number too long or too large to read.
    """
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()  # a lone surrogate came through as an escape
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    except UnicodeEncodeError:
        raise JsonError("not usable: half of a surrogate pair") from None
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
        raise JsonError(f"not usable: {twice[:80]!r} is given twice in one object")
    return fields


def _finite(number: str) -> float:
    value = float(number)
    if not isfinite(value):
        raise JsonError(f"not usable: {number[:20]} is larger than a number can be")
    return value


def _no_constant(name: str) -> None:
    raise JsonError(f"not JSON: {name}")


def parse_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object that `raw` must be."""
    return as_object(load(raw), "the body")


def as_object(value: object, what: str) -> dict[str, Any]:
    """Return `value`, which must be an object; `what` names it in the error."""
    if not isinstance(value, dict):
        raise JsonError(f"{what} must be a JSON object")
    return cast("dict[str, Any]", value)


def text(fields: Mapping[str, Any], name: str, *, required: bool = False) -> str:
    """Return a string, empty when it is absent or null."""
    value = fields.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise JsonError(f"{name} must be a string")
    if required and not value:
        raise JsonError(f"{name} must not be empty")
    return value


def flag(fields: Mapping[str, Any], name: str) -> bool:
    """Return a boolean, false when it is absent."""
    value = fields.get(name, False)
    if not isinstance(value, bool):
        raise JsonError(f"{name} must be true or false")
    return value


def moment(fields: Mapping[str, Any], name: str) -> int:
    """Return a point in time, written as RFC 3339 with its offset, in whole seconds of the epoch."""
    written = text(fields, name, required=True)
    try:
        when = datetime.fromisoformat(written)
    except ValueError:
        when = datetime.min
    if when.tzinfo is None or when.year < 1970:
        raise JsonError(f"{name} must be a time such as 2026-01-31T12:00:00Z, not {written[:40]!r}")
    return int(when.timestamp())


def timestamp(seconds: float) -> str:
    """Return a point in time, in seconds of the epoch, as `moment` reads it."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def items(fields: Mapping[str, Any], name: str) -> list[Any]:
    """Return a list, empty when it is absent or null."""
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
    """Return an object, empty when it is absent or null."""
    return as_object(fields.get(name) or {}, name)


def text_map(fields: Mapping[str, Any], name: str) -> dict[str, str]:
    """Return an object whose values are strings."""
    values = mapping(fields, name)
    if not all(isinstance(value, str) for value in values.values()):
        raise JsonError(f"{name} must map to strings")
    return values


def decoded(fields: Mapping[str, Any], name: str) -> bytes:
    """Return the bytes behind a base64 string that must not be empty."""
    try:
        return base64.b64decode(text(fields, name, required=True), validate=True)
    except ValueError as error:  # binascii.Error is one; so is what letters outside of ASCII end in
        raise JsonError(f"{name} is not base64: {error}") from None
