"""Kubernetes objects in files, each with its place: YAML and JSON, as kubectl reads them.

A file is taken apart into documents first, and only those that may hold something of ours are parsed: a folder of
manifests has much else in it, templates among it, and none of that is anybody's fault.
"""

import codecs
import json
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

SUFFIXES = (".yaml", ".yml", ".json")
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")

Stamp = tuple[int, int, int]
"""What changes when a file does: time of modification, size, inode."""

_MAX_BYTES = 16 * 1024 * 1024
# Deeper than any manifest. libyaml composes nodes recursively and ends the process at some ten thousand levels.
_MAX_DEPTH = 100
# The longer marks first: that of UTF-16 begins that of UTF-32.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DOCUMENT = re.compile(r"^---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^%", re.MULTILINE)
_DEEP_BLOCK = re.compile(rf"^[ \t?-]{{{_MAX_DEPTH}}}", re.MULTILINE)
_MAY_BE_OURS = re.compile("Service|kserve|kubeflow|seldon")
_OURS = "InferenceService"
_TEMPLATE = re.compile(r"\{\{|\{%|<%|\$\{|\{[a-z_]+\}", re.IGNORECASE)


class Place(NamedTuple):
    """Where something stands: a file's path, and a line counted from 1, or 0 for the file as a whole."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


class Manifest(NamedTuple):
    """A Kubernetes object and where it stands."""

    obj: dict[str, Any]
    place: Place


class Fault(NamedTuple):
    """A document that cannot be read. `template`: it is one that has to be rendered first, and so no manifest."""

    place: Place
    message: str
    template: bool = False


class FileContents(NamedTuple):
    """What a file holds of ours, and which of its documents cannot be read."""

    manifests: tuple[Manifest, ...] = ()
    faults: tuple[Fault, ...] = ()


class Unquoted(str):
    """A text that other readers of YAML take for a number, a date or a truth value, for it stands without quotes."""


def find_manifests(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the manifest files among `paths` and below the folders among them, with what tells of a change.

    Names that begin with a dot are left out below a folder: tools' own, and the folders behind a mounted ConfigMap.

    Raises:
        FileNotFoundError: one of `paths` does not exist.
    """
    found: dict[Path, Stamp] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        for file in _below(path) if path.is_dir() else (path,):
            try:
                status = file.stat()
            except OSError:  # it went away while we looked
                continue
            found[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def read_file(path: Path, *, everything: bool = False) -> FileContents:
    """Return what a file holds; never raises, what is wrong with it is among its faults.

    With `everything` all of its objects, and the faults of all of its documents, whatever they are about.
    """
    everything = everything or path.name in KUSTOMIZATIONS
    try:
        if path.stat().st_size > _MAX_BYTES:
            fault = Fault(Place(str(path)), f"it is larger than {_MAX_BYTES} bytes")
            return FileContents(faults=(fault,) if everything or _mentions_ours(path) else ())
        raw = path.read_bytes()
    except OSError as error:
        return FileContents(faults=(Fault(Place(str(path)), error.strerror or str(error)),))
    return read_bytes(raw, str(path), everything=everything)


def read_bytes(raw: bytes, path: str, *, everything: bool = False) -> FileContents:
    """Return what the bytes of a file hold, as `read_file` does."""
    try:
        text = decoded(raw)
    except UnicodeDecodeError as error:
        message = f"it is neither UTF-8 nor marked as UTF-16 (byte {error.start})"
        return FileContents(faults=(Fault(Place(path), message),) if everything or _OURS.encode() in raw else ())
    manifests: list[Manifest] = []
    faults: list[Fault] = []
    for document, line in _documents(text):
        if not everything and not _MAY_BE_OURS.search(document):
            continue
        try:
            manifests += [Manifest(obj, Place(path, line + at)) for obj, at in _objects(document)]
        except _UnreadableError as error:
            if everything or _OURS in document:
                template = _TEMPLATE.search(document) is not None
                faults.append(Fault(Place(path, line + error.line), error.message, template))
    return FileContents(tuple(manifests), tuple(faults))


def decoded(raw: bytes) -> str:
    """Return the text of a file: UTF-8, or what its mark says.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return raw[len(mark) :].decode(encoding)
    return raw.decode("utf-8")


def _mentions_ours(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_OURS.encode()) >= 0


class _UnreadableError(Exception):
    """A document that cannot be read; `line` counts from 0 in the document."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


def _below(folder: Path) -> Iterator[Path]:
    for directory, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if (name.lower().endswith(SUFFIXES) and not name.startswith(".")) or name in KUSTOMIZATIONS:
                yield Path(directory, name)


def _documents(text: str) -> Iterator[tuple[str, int]]:
    """Yield the documents of a text, and in which line each begins, counted from 1."""
    # A directive belongs to the document after the next marker.
    starts = [0] if _DIRECTIVE.search(text) else [0, *(match.start() for match in _DOCUMENT.finditer(text))]
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end], line
        line += text.count("\n", start, end)


def _objects(document: str) -> Iterator[tuple[dict[str, Any], int]]:
    """Yield the Kubernetes objects of a document, and in which line of it each begins; a List is taken apart.

    Raises:
        _UnreadableError: it is neither JSON nor YAML, or holds something else.
    """
    for value, line in _parsed(document):
        if isinstance(value, _Located):
            yield from _taken_apart(value, line)
        elif value is not None:
            raise _UnreadableError(f"a {type(value).__name__} stands where a Kubernetes object is expected", line)


def _taken_apart(obj: "_Located", line: int) -> Iterator[tuple[dict[str, Any], int]]:
    items, kind = obj.get("items"), str(obj.get("kind", ""))
    if not kind.endswith("List"):
        yield obj, line
    elif isinstance(items, list):
        for item in items:
            if isinstance(item, _Located):
                if kind != "List":  # in a list of one kind, as the API server answers, the items do not repeat it
                    item.setdefault("apiVersion", obj.get("apiVersion"))
                    item.setdefault("kind", kind.removesuffix("List"))
                yield item, item.line if item.line >= 0 else line


class _Located(dict[str, Any]):
    """A JSON object with the line that it begins in, -1 when it is unknown."""

    line = -1


def _parsed(document: str) -> list[tuple[Any, int]]:
    if not document.lstrip().startswith(("{", "[")):
        return _parsed_yaml(document)
    try:
        return _parsed_json(document)
    except _UnreadableError as error:
        if "{{" in document:
            raise
        try:  # YAML in flow style looks like JSON
            return _parsed_yaml(document)
        except _UnreadableError:
            raise error from None


_JSON = json.JSONDecoder(object_pairs_hook=_Located, strict=False)


def _parsed_json(document: str) -> list[tuple[Any, int]]:
    """Return the JSON values of a document, which may be several one after another, as jq prints them."""
    found: list[tuple[Any, int]] = []
    at = len(document) - len(document.lstrip())
    try:
        while at < len(document):
            value, end = _JSON.raw_decode(document, at)
            found.append((value, document.count("\n", 0, at)))
            at = end + len(document[end:]) - len(document[end:].lstrip())
    except json.JSONDecodeError as error:
        raise _UnreadableError(f"{error.msg} (column {error.colno})", error.lineno - 1) from None
    except (RecursionError, ValueError) as error:
        raise _UnreadableError("it is nested too deeply" if isinstance(error, RecursionError) else str(error)) from None
    return found


def _parsed_yaml(document: str) -> list[tuple[Any, int]]:
    try:
        _guard_depth(document)
        loader = _Loader(document)
        try:
            found = []
            while loader.check_node():
                node = loader.get_node()
                found.append((_value(node, {}), node.start_mark.line))
            return found
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        message = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark or error.context_mark
        if mark is None:
            raise _UnreadableError(message) from None
        # What is missing at the end is missing in the last line that holds something.
        line = min(mark.line, document.rstrip().count("\n"))
        raise _UnreadableError(f"{message} (column {mark.column + 1})", line) from None
    except yaml.YAMLError as error:
        raise _UnreadableError(" ".join(str(error).split())) from None


def _guard_depth(document: str) -> None:
    """Refuse what is nested too deeply, before anything recurses on it."""
    if document.count("[") + document.count("{") < _MAX_DEPTH and not _DEEP_BLOCK.search(document):
        return
    depth = 0
    for event in yaml.parse(document, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise _UnreadableError("it is nested too deeply", event.start_mark.line if event.start_mark else 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


_NULL, _BOOL, _INT, _TEXT, _MERGE, _UNQUOTED = "null", "bool", "int", "text", "merge", "unquoted"
# YAML 1.2, core schema, without floats: nothing here is one, and `version: 1.10` is not to become 1.1.
_PLAIN = re.compile(
    r"(?P<null>~|null|Null|NULL|)\Z|(?P<bool>true|True|TRUE|false|False|FALSE)\Z|(?P<int>-?(?:0|[1-9][0-9]*))\Z|(?P<merge><<)\Z"
    # What YAML 1.1 and Kubernetes' own reader take for something else than a text.
    r"|(?P<unquoted>(?i:yes|no|on|off|y|n)|[-+]?(?:\.?[0-9][0-9_.:eE+-]*|0[xob][0-9a-fA-F_]+|\.(?:inf|nan))"
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*)?)\Z"
)
_MAX_DIGITS = 18
_LONGEST_WORD = len("false")
_NUMERIC = frozenset("+-.0123456789")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The parser of PyYAML with a resolver of our own: plain scalars get one of the kinds above as their tag."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode or not implicit[0] or (len(value) > _LONGEST_WORD and value[0] not in _NUMERIC):
            return _TEXT
        found = _PLAIN.match(value)
        return found.lastgroup or _TEXT if found else _TEXT

    def descend_resolver(self, current_node: Any, current_index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...


def _value(node: yaml.Node, known: dict[int, Any]) -> Any:
    """Return a node's value; `known` has those of nodes that anchors may name once more."""
    if type(node) is yaml.ScalarNode:
        return node.value if node.tag is _TEXT else _scalar(node)
    if id(node) in known:
        if known[id(node)] is None:
            raise _UnreadableError(
                "an alias leads to what it stands in", node.start_mark.line if node.start_mark else 0
            )
        return known[id(node)]
    known[id(node)] = None
    value = (
        _mapping(node, known) if isinstance(node, yaml.MappingNode) else [_value(each, known) for each in node.value]
    )
    known[id(node)] = value
    return value


def _mapping(node: yaml.MappingNode, known: dict[int, Any]) -> _Located:
    value = _Located()
    value.line = node.start_mark.line
    merged: list[Any] = []
    for key, each in node.value:
        if key.tag == _MERGE:
            found = _value(each, known)
            merged += found if isinstance(found, list) else [found]
        elif isinstance(key, yaml.ScalarNode):
            value[key.value] = _value(each, known)
        else:
            raise _UnreadableError("a key is no text", key.start_mark.line)
    for source in merged:
        if isinstance(source, dict):
            for name, each in source.items():
                value.setdefault(name, each)
    return value


def _scalar(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    match node.tag:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" if len(text) <= _MAX_DIGITS:
            return int(text)
        case "unquoted" | "int":
            return Unquoted(text)
        case _:
            return text
