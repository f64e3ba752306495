"""Which fields the API server knows in a deployment, and which types it takes in them.

Source: the table manifest_fields.json, which `scripts/manifest_fields.py` makes from KServe's and Kubernetes' schemas.
"""

import json
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from services.normalizer.sources.manifest_files import is_placeholder
from services.normalizer.sources.manifest_text import Located, Unquoted

_TEXT, _NUMBER, _BOOLEAN, _ANY = "text", "number", "boolean", "any"
_EXPECTED = {_TEXT: "a text", _NUMBER: "a whole number", _BOOLEAN: "true or false"}
_REMEDIES = {
    _TEXT: "write it in quotes",
    _NUMBER: "write it in digits, without quotes",
    _BOOLEAN: "write true or false, without quotes",
}
_MEANT: Mapping[str, str] = {
    "modelFormat": "write the name of the format below it: modelFormat: {name: onnx}",
    "storage": "write a location as storageUri, and below storage key, path and parameters",
}
"""What people probably mean who write a text instead of an object."""
_EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "spec": ("predictor", "transformer", "explainer"),
    "predictor": ("model", "minReplicas", "maxReplicas"),
    "model": ("modelFormat", "storageUri", "runtime", "uri"),
    "resources": ("limits", "requests"),
}
"""The fields that people probably want to write; of others, the first ones are named."""
# Where a field that is in the wrong place most often belongs.
_USUAL = ("metadata", "spec", "predictor", "model")
_OF_METADATA = ("annotations", "labels", "name", "namespace")
_BOOLEAN_WORDS = ("yes", "no", "on", "off", "y", "n")

_Above: TypeAlias = tuple[tuple[str, str], ...]
"""Paths and types of the objects around a value, the outermost first."""


class WrongType(NamedTuple):
    """A field with a value of a type that the API server refuses, and the line of the object that it is in."""

    field: str
    expected: str
    found: str
    remedy: str
    line: int


class UnknownField(NamedTuple):
    """A field that the API server does not know, and the line of the object that it is in.

    `meant` is the field that was probably meant, empty if there is none: its name, or its path if it is elsewhere.
    """

    field: str
    meant: str
    line: int


class RepeatedField(NamedTuple):
    """A field that an object has more than once, and the line where it is again; the last one counts."""

    field: str
    line: int


FieldFault: TypeAlias = WrongType | UnknownField | RepeatedField


class Table(NamedTuple):
    """The types of all fields, by the name of the object's type, and the versions that they are from.

    A field is `text`, `number`, `boolean`, `any` or the name of a type, `[…]` for a list, `{…}` for any names.
    """

    types: Mapping[str, Mapping[str, str]]
    kserve: str
    kubernetes: str


@cache
def table() -> Table:
    """Return the table."""
    read = json.loads(Path(__file__).with_name("manifest_fields.json").read_text(encoding="utf-8"))
    kserve, kubernetes = (read["versions"][name].rpartition(".")[0] for name in ("kserve", "kubernetes"))
    return Table(read["types"], kserve, kubernetes)


def field_faults(
    value: object, type_: str, field: str = "", line: int = -1, above: _Above = ()
) -> Iterator[FieldFault]:
    """Yield what is wrong with the fields of a value; null counts as absent, and a placeholder may become anything.

    `line` is that of the object around the value, -1 where it is unknown.
    """
    if value is None or type_ == _ANY:
        return
    if type_.startswith("["):
        if isinstance(value, list | tuple):
            for number, each in enumerate(value):
                yield from field_faults(each, type_[1:-1], f"{field}[{number}]", line, above)
            return
        expected, remedy = "a list", "write each item in a line of its own, after '- '"
    elif type_ in _EXPECTED:
        if _is(value, type_):
            return
        expected, remedy = _EXPECTED[type_], _REMEDIES[type_]
    else:
        if isinstance(value, Mapping):
            line = value.line if isinstance(value, Located) and value.line >= 0 else line
            yield from _faults_within(value, type_, field, line, above)
            return
        expected, remedy = "an object", _as_object(field, type_)
    if not (isinstance(value, str) and is_placeholder(value)):
        yield WrongType(field, expected, _named(value), remedy, line)


def _faults_within(value: Mapping[str, Any], type_: str, field: str, line: int, above: _Above) -> Iterator[FieldFault]:
    prefix = f"{field}." if field else ""
    if isinstance(value, Located) and value.repeated:
        yield from (RepeatedField(prefix + name, at) for name, at in value.repeated)
    if type_.startswith("{"):
        if (of_each := type_[1:-1]) != _ANY:
            for name, each in value.items():
                yield from field_faults(each, of_each, prefix + name, line, above)
        return
    fields = table().types[type_]
    above = (*above, (prefix, type_))
    for name, each in value.items():
        if (of_field := fields.get(name)) == _TEXT and type(each) is str:  # most are: no need to look further
            continue
        if of_field is not None:
            yield from field_faults(each, of_field, prefix + name, line, above)
        elif not is_placeholder(name):
            yield UnknownField(prefix + name, _meant(name, value, above), line)


def _meant(name: str, value: Mapping[str, Any], above: _Above) -> str:
    """Return the field that is probably meant by the unknown field `name` of `value`, empty if none is similar."""
    prefix, type_ = above[-1]
    if prefix == "spec." and name in _OF_METADATA:
        return f"metadata.{name}"
    present = [each for each in value if isinstance(value[each], Mapping)]
    if found := _below(name, prefix, type_, [*present, *_USUAL]):
        return found
    for around, of_around in reversed(above[:-1]):
        if around and name in table().types[of_around]:
            return around + name
    spelt = {each.lower(): each for each in table().types[type_]}
    near = get_close_matches(name.lower(), spelt, n=1)
    return spelt[near[0]] if near else ""


def _below(name: str, prefix: str, type_: str, parts: list[str]) -> str:
    """Return the path of a field of that name in one of the parts of an object, or in a usual part of these."""
    types = table().types
    known = [(part, types[type_][part]) for part in parts if types[type_].get(part) in types]
    for part, of_part in known:
        if name in types[of_part]:
            return f"{prefix}{part}.{name}"
    return next(filter(None, (_below(name, f"{prefix}{part}.", each, [*_USUAL]) for part, each in known)), "")


def _is(value: object, type_: str) -> bool:
    if type_ == _TEXT:
        return isinstance(value, str) and not isinstance(value, Unquoted)
    if type_ == _BOOLEAN:
        return isinstance(value, bool) or (isinstance(value, Unquoted) and value.lower() in _BOOLEAN_WORDS)
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _as_object(field: str, type_: str) -> str:
    name = field.rpartition(".")[2]
    fields = table().types.get(type_, {})
    inner = [each for each in _EXAMPLES.get(name, ()) if each in fields] or list(fields)[:4] or ["names with values"]
    return _MEANT.get(name, f"write below {name} what it is to have: {', '.join(inner)}")


def _named(value: Any) -> str:
    """Return what the type of a value is called."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float) or (isinstance(value, Unquoted) and value[:1] in "+-.0123456789"):
        return "a number"
    return "a word that kubectl takes for true or false" if isinstance(value, Unquoted) else "a text"
