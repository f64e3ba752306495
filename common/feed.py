"""The rules for keys, paths and documents in the feed: every reader must be able to parse them. No I/O.

The first-generation reader abandons its whole round, for all models, if it cannot parse one document: `models` missing,
an empty name, `tags`, `annotations` or `API` null, a tag that is not a string. storage-rest refuses such a document
before it is stored, and location before it is served, by these rules. A fault that only affects its own entity (an
invalid tag or link) is accepted: our normalizer corrects it, and for other writers it is their decision.
"""

import json
import re
from typing import Any

from common import identity, strict_json

LONGEST_KEY = 253
"""Most characters in a key of a ConfigMap."""
LONGEST_PATH = 1024
"""Most characters in the path of a document."""

_KEY = re.compile(r"[-._a-zA-Z0-9]+\Z")
_SEGMENT = r"[a-zA-Z0-9](?:[-._a-zA-Z0-9]*[a-zA-Z0-9])?"
_PATH = re.compile(rf"/{_SEGMENT}/{_SEGMENT}/{re.escape(identity.DOCUMENT_NAME)}\Z")


class Refused(ValueError):
    """A key, a path or a document is refused; the text says why."""


def check_key(key: str) -> None:
    """Check that a key is valid in a ConfigMap and has two parts.

    Raises:
        Refused: it is not; the text says why.
    """
    shown = repr(key[:80])
    if len(key) > LONGEST_KEY:
        raise Refused(f"the key {shown}… has {len(key)} characters, more than {LONGEST_KEY}")
    if not _KEY.match(key) or key.startswith(".."):
        raise Refused(f"the key {shown} may contain only letters, digits, '-', '_' and '.', and not begin with '..'")
    first, underscore, second = key.partition("_")
    if not underscore:
        raise Refused(f"the key {shown} has no '_' between its two parts")
    if not first or not second:
        raise Refused(f"one of the two parts of the key {shown} is empty")


def path_of(key: str, uri: str) -> str:
    """Return the path at which the document of `key` is served: its `uri`, else the path in the original's feed.

    Raises:
        Refused: the key or the path is invalid.
    """
    check_key(key)
    path = uri or identity.uri_of(identity.segments_of(key))
    if len(path) > LONGEST_PATH or not _PATH.match(path):
        raise Refused(f"the URI {path[:80]!r} is not a path of the feed: expected /name/name/{identity.DOCUMENT_NAME}")
    return path


def fix_document(body: bytes) -> bytes:
    """Return the document without fields and items that are null, as every reader can parse it.

    The original writes `"tags": null` if there are none, and its own reader fails on that.

    Raises:
        Refused: as `check_document`.
    """
    if b"null" in body:
        try:
            document = strict_json.parse_object(body)
        except strict_json.JsonError as error:
            raise Refused(f"the document cannot be served: {error}") from None
        fixed = _without_nulls(document)
        if fixed != document:
            body = json.dumps(fixed, ensure_ascii=False, separators=(",", ":")).encode()
    check_document(body)
    return body


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value


def check_document(body: bytes) -> None:
    """Check that every reader can parse a document.

    Raises:
        Refused: it cannot; the text names the first fault.
    """
    try:
        document = strict_json.parse_object(body)
        models = document.get("models")
        if not isinstance(models, list) or not models:
            raise strict_json.JsonError("models must be a list with at least one model")
        for number, model in enumerate(models):
            _check_part(model, f"models[{number}]")
        if "modelServer" in document:
            server = _check_part(document["modelServer"], "modelServer")
            if "API" in server:
                _check_collections(strict_json.as_object(server["API"], "modelServer.API"), "modelServer.API")
    except strict_json.JsonError as error:
        raise Refused(f"the document cannot be served: {error}") from None


def _check_part(value: object, where: str) -> dict[str, Any]:
    part = strict_json.as_object(value, where)
    name = part.get("name")
    if not isinstance(name, str) or not name.strip():
        raise strict_json.JsonError(f"{where}.name must be a non-empty string")
    _check_collections(part, where)
    return part


def _check_collections(part: dict[str, Any], where: str) -> None:
    tags = part.get("tags", [])
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise strict_json.JsonError(f"{where}.tags must be a list of strings, or absent")
    annotations = part.get("annotations", {})
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise strict_json.JsonError(f"{where}.annotations must be an object with strings as values, or absent")
