"""YAML and JSON as Kubernetes reads them, with the line of each object: one parser for what people keep in files.

YAML is read by the core schema of YAML 1.2 without floats (no bare `=`, no `yes` for true), so that a plain scalar
loses nothing; JSON by a JSON parser, whose escapes YAML's does not know.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import yaml

from common.texts import without_lone_escapes

# Deeper than any manifest. libyaml composes nodes recursively and ends the process at some ten thousand levels.
_MAX_DEPTH = 100
_DEEP_BLOCK = re.compile(rf"^[ \t?-]{{{_MAX_DEPTH}}}", re.MULTILINE)


_CONFLICT = re.compile(r"^(?:<<<<<<<|>>>>>>>)(?= )", re.MULTILINE)


class UnreadableError(Exception):
    """A document that cannot be read; `line` counts from 0 in the document."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line


class Unquoted(str):
    """A text that kubectl takes for a number or a truth value, because it has no quotes."""


class Located(dict[str, Any]):
    """A JSON object with the line that it begins in, -1 when it is unknown.

    `repeated` are the keys that it has more than once, of which the last one counts, each with its line.
    """

    line = -1
    repeated: tuple[tuple[str, int], ...] = ()


def parse_objects(document: str) -> list[tuple[Any, int]]:
    """Return the values of a document, each with the line that it begins in, counted from 0; objects are `Located`.

    Raises:
        UnreadableError: it is neither JSON nor YAML.
    """
    content = f"   {document[3:]}" if document.startswith("---") else document
    if not content.lstrip().startswith(("{", "[")):
        return _parsed_yaml(document)
    try:
        return _parsed_json(content)
    except UnreadableError as error:
        if "{{" in document:
            raise
        try:  # YAML in flow style looks like JSON
            return _parsed_yaml(document)
        except UnreadableError:
            raise error from None


_JSON_MEANINGS = {
    "Expecting property name": "a name in double quotes is missing: a comma is too many, or the text is cut off",
    "Expecting value": "a value is missing: a comma is too many, or the text is cut off",
    "Expecting ','": "a comma or a closing bracket is missing",
    "Expecting ':'": "a colon is missing after a name",
    "Unterminated string": "a quotation mark is not closed",
}
"""What a message of the JSON parser means, by how it begins."""
_JSON = json.JSONDecoder(object_pairs_hook=Located, strict=False)


def _parsed_json(document: str) -> list[tuple[Any, int]]:
    """Return the JSON values of a document, which may be several one after another, as jq prints them."""
    document = without_lone_escapes(document)
    found: list[tuple[Any, int]] = []
    at = len(document) - len(document.lstrip())
    try:
        while at < len(document):
            value, end = _JSON.raw_decode(document, at)
            found.append((value, document.count("\n", 0, at)))
            at = end + len(document[end:]) - len(document[end:].lstrip())
    except json.JSONDecodeError as error:
        message = next((words for part, words in _JSON_MEANINGS.items() if error.msg.startswith(part)), error.msg)
        raise UnreadableError(f"{message} (column {error.colno})", error.lineno - 1) from None
    except (RecursionError, ValueError) as error:
        raise UnreadableError("it is nested too deeply" if isinstance(error, RecursionError) else str(error)) from None
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
        raise _in_plain_words(error, document) from None
    except yaml.YAMLError as error:
        raise UnreadableError(" ".join(str(error).split())) from None


class _Meaning(NamedTuple):
    """What a message of the parser usually means; `at_start`: the mistake is where the part begins that it is about."""

    message: str
    at_start: bool = False


_MEANINGS: Mapping[str, _Meaning] = {
    "a tab character": _Meaning("a tab stands where only blanks may indent a line"),
    "cannot start any token": _Meaning("a text that begins with this character needs quotes"),
    "mapping values are not allowed": _Meaning(
        "a colon stands where none may be: this line is indented wrongly, the line before lacks its colon, or a text "
        "with a colon needs quotes"
    ),
    "block sequence entries are not allowed": _Meaning("a list has to begin in a line of its own"),
    "unexpected end of stream": _Meaning("a quotation mark is not closed", at_start=True),
    "could not find expected ':'": _Meaning(
        "a key has no colon, or a text of several lines needs quotes", at_start=True
    ),
    "did not find expected ',' or": _Meaning("a bracket is not closed, or a comma is missing", at_start=True),
    "did not find expected node content": _Meaning("a bracket is not closed, or a value is missing"),
    "did not find expected key": _Meaning("this line is indented wrongly, or a quotation mark or bracket is missing"),
    "did not find expected '-' indicator": _Meaning("this line is indented wrongly, or it lacks a '-'"),
    "undefined alias": _Meaning("an alias (*name) refers to an anchor (&name) that does not exist in this document"),
    "invalid Unicode character escape code": _Meaning(
        "an escape (\\u, \\U) within double quotes is no character: write the character itself"
    ),
    "unknown escape character": _Meaning("a backslash within double quotes has no meaning here: use single quotes"),
}
"""By a part of the message of libyaml."""


def _in_plain_words(error: yaml.MarkedYAMLError, document: str) -> UnreadableError:
    """Return what an error of the parser means, as far as that is known, and where the mistake is."""
    if conflict := _CONFLICT.search(document):
        line = document.count("\n", 0, conflict.start())
        return UnreadableError(f"a merge conflict is not resolved ({conflict.group()})", line)
    problem = error.problem or ""
    meaning = next((each for part, each in _MEANINGS.items() if part in problem), None)
    at_start = meaning is not None and meaning.at_start
    mark = (error.context_mark if at_start else None) or error.problem_mark or error.context_mark
    message = meaning.message if meaning is not None else " ".join(filter(None, (error.context, problem)))
    if mark is None:
        return UnreadableError(message)
    # What is missing at the end is missing in the last line that holds something.
    lines = document.rstrip().split("\n")
    line = min(mark.line, len(lines) - 1)
    if lines[line][mark.column : mark.column + 1] == "\t":
        message = _MEANINGS["a tab character"].message
    return UnreadableError(f"{message} (column {mark.column + 1})", line)


def _guard_depth(document: str) -> None:
    """Refuse what is nested too deeply, before anything recurses on it."""
    if document.count("[") + document.count("{") < _MAX_DEPTH and not _DEEP_BLOCK.search(document):
        return
    depth = 0
    for event in yaml.parse(document, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                raise UnreadableError("it is nested too deeply", event.start_mark.line if event.start_mark else 0)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


_NULL, _BOOL, _INT, _TEXT, _MERGE, _UNQUOTED = "null", "bool", "int", "text", "merge", "unquoted"
# YAML 1.2, core schema, without floats: nothing here is one, and `version: 1.10` is not to become 1.1.
_PLAIN = re.compile(
    r"(?P<null>~|null|Null|NULL|)\Z|(?P<bool>true|True|TRUE|false|False|FALSE)\Z|(?P<int>-?(?:0|[1-9][0-9]*))\Z|(?P<merge><<)\Z"
    # What kubectl takes for something else than a text (sigs.k8s.io/yaml, goyaml.v2, resolve.go). Dates, times and
    # numbers with several dots are texts to it.
    r"|(?P<unquoted>(?i:yes|no|on|off|y|n)|[-+]?(?:(?:[0-9][0-9_]*\.?|\.[0-9])[0-9_]*(?:[eE][-+]?[0-9]+)?"
    r"|0[xob][0-9a-fA-F_]+|\.(?i:inf|nan)))\Z"
)
_MAX_DIGITS = 18
_LONGEST_WORD = len("false")
_NUMERIC = frozenset("+-.0123456789")


def _tag(text: str) -> str:
    """Return the kind of a plain scalar."""
    found = _PLAIN.match(text)
    return found.lastgroup or _TEXT if found else _TEXT


_tag_of_word = lru_cache(maxsize=1024)(_tag)  # most are keys, and these are the same in all files


class _Loader(yaml.cyaml.CParser if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """The parser of PyYAML with a resolver of our own: plain scalars get one of the kinds above as their tag."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is not yaml.ScalarNode or not implicit[0]:
            return _TEXT
        if len(value) <= _LONGEST_WORD:
            return _tag_of_word(value)
        return _tag(value) if value[0] in _NUMERIC else _TEXT

    def descend_resolver(self, current_node: Any, current_index: Any) -> None: ...

    def ascend_resolver(self) -> None: ...


def _value(node: yaml.Node, known: dict[int, Any]) -> Any:
    """Return a node's value; `known` has those of nodes that anchors may name again."""
    if type(node) is yaml.ScalarNode:
        return node.value if node.tag is _TEXT else _scalar(node)
    if id(node) in known:
        if known[id(node)] is None:
            raise UnreadableError(
                "an alias refers to an object that contains it", node.start_mark.line if node.start_mark else 0
            )
        return known[id(node)]
    known[id(node)] = None
    value = (
        _mapping(node, known) if isinstance(node, yaml.MappingNode) else [_value(each, known) for each in node.value]
    )
    known[id(node)] = value
    return value


def _mapping(node: yaml.MappingNode, known: dict[int, Any]) -> Located:
    value = Located()
    value.line = node.start_mark.line
    merged: list[Any] = []
    for key, each in node.value:
        if key.tag == _MERGE:
            found = _value(each, known)
            merged += found if isinstance(found, list) else [found]
        elif isinstance(key, yaml.ScalarNode):
            is_text = each.tag is _TEXT and type(each) is yaml.ScalarNode  # most are: see `_value`
            value[key.value] = each.value if is_text else _value(each, known)
        else:
            raise UnreadableError("a key is no text", key.start_mark.line)
    if len(value) != len(node.value):
        value.repeated = _repeated(node)
    for source in merged:
        if isinstance(source, dict):
            for name, each in source.items():
                value.setdefault(name, each)
    return value


def _repeated(node: yaml.MappingNode) -> tuple[tuple[str, int], ...]:
    """Return the keys that occur again in a node, with their lines."""
    known: set[str] = set()
    found = []
    for key, _ in node.value:
        if key.tag != _MERGE and key.value in known:
            found.append((key.value, key.start_mark.line))
        known.add(key.value)
    return tuple(found)


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
