"""Reads YAML into a pydantic model, and names the line and the field of everything that is wrong in it. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

_MESSAGES = {
    "missing": "this field is missing",
    "extra_forbidden": "there is no such field; see docs/clusters.md for those that there are",
    "tuple_type": "expected a list",
    "model_type": "expected fields with values",
    "dict_type": "expected fields with values",
    "string_type": "expected a text",
    "string_pattern_mismatch": "expected lower-case letters, digits and hyphens, not too many of them",
    "too_short": "expected at least one",
}


class InvalidYamlError(Exception):
    """A text is not YAML, or not of the model; the message begins with what follows the name of its file."""


def parse(model: type[M], text: str) -> M:
    """Return what a text says; an empty one has no fields.

    Raises:
        InvalidYamlError: something in it is wrong.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _refuse_repeated_keys(root)
        value = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InvalidYamlError(f"{line}: not YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError, ValueError, OverflowError) as error:
        raise InvalidYamlError(f": not YAML: {type(error).__name__}: {error}") from None
    try:
        return model.model_validate(value if value is not None else {})
    except ValidationError as error:
        faults = [_located(root, fault["loc"], _message(fault)) for fault in _relevant(error)]
        raise InvalidYamlError(", " + "; ".join(dict.fromkeys(faults))) from None


def _relevant(error: ValidationError) -> Sequence[Mapping[str, Any]]:
    """Return the faults without those that follow from others: a list with invalid items also counts as too short."""
    faults = error.errors(include_url=False, include_context=False)
    return [fault for fault in faults if fault["type"] != "too_short"] or faults


def _message(fault: Mapping[str, Any]) -> str:
    """Return in plain words what is wrong with a field."""
    return _MESSAGES.get(fault["type"], str(fault["msg"]).removeprefix("Value error, "))


def _located(root: yaml.Node | None, loc: Sequence[int | str], message: str) -> str:
    """Return a message with its line and field, such as `line 4, clusters[0].url: ...`."""
    node, field = root, ""
    for step in loc:
        inner = _inner(node, step)
        if inner is None and isinstance(step, str) and not step.isidentifier():
            continue  # pydantic's name for a member of a union
        node = inner or node
        field += f"[{step}]" if isinstance(step, int) else f".{step}" if field else str(step)
    line = node.start_mark.line + 1 if node is not None else 1
    return f"line {line}, {field or 'the file'}: {message}"


def _inner(node: yaml.Node | None, step: int | str) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        pairs = ((key, value) for key, value in node.value if key.value == step)
        return next((key if isinstance(value, yaml.ScalarNode) else value for key, value in pairs), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        found: yaml.Node = node.value[step]
        return found
    return None


def _refuse_repeated_keys(node: yaml.Node | None) -> None:
    """Raise an error for a repeated key, which YAML forbids and its reader accepts: it would keep the last one."""
    for mapping in _mappings(node, set()):
        seen: set[str] = set()
        for key, _ in mapping.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(key.value)


def _mappings(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.MappingNode]:
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield node
        for _, value in node.value:
            yield from _mappings(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _mappings(item, seen)
