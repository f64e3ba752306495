"""Label and field selectors (Kubernetes API: labels and selectors; field selectors)."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from tests.fakes.kubernetes.status import ApiError, bad_request

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<op>in|notin)\s*\((?P<values>[^()]*)\)$")
_EQUALITY = re.compile(r"^(?P<key>[^\s=!]+)\s*(?P<op>==|=|!=)\s*(?P<value>[^\s=!]*)$")
_EXISTS = re.compile(r"^(?P<negated>!?)\s*(?P<key>[^\s=!(),]+)$")


@dataclass(frozen=True)
class Requirement:
    """One term of a selector. An absent key satisfies `notin` (and so `!=`)."""

    key: str
    operator: str  # in, notin, exists, absent
    values: frozenset[str] = frozenset()

    def matches(self, values: Mapping[str, str]) -> bool:
        """Whether these labels (or fields) satisfy the term."""
        if self.operator == "exists":
            return self.key in values
        if self.operator == "absent":
            return self.key not in values
        found = self.key in values and values[self.key] in self.values
        return found if self.operator == "in" else not found


@dataclass(frozen=True)
class Selector:
    """Labels and fields an object must have; without terms it matches everything."""

    labels: tuple[Requirement, ...] = ()
    fields: tuple[Requirement, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.labels or self.fields)

    def matches(self, labels: Mapping[str, str], fields: Callable[[str], str]) -> bool:
        """Whether an object with these labels and fields (each by its path) is selected."""
        return all(term.matches(labels) for term in self.labels) and all(
            term.matches({term.key: fields(term.key)}) for term in self.fields
        )


EVERYTHING = Selector()


def parse(label_selector: str, field_selector: str, selectable: Collection[str] = ()) -> Selector:
    """The selector of a request's query; `selectable` are the fields of the kind besides name and namespace.

    Raises:
        ApiError: 400 when it cannot be parsed or names a field that cannot be selected on.
    """
    labels = tuple(_requirement(term) for term in _terms(label_selector))
    fields = tuple(_requirement(term) for term in _terms(field_selector))
    for term in fields:
        if term.key not in ("metadata.name", "metadata.namespace", *selectable) or term.operator not in ("in", "notin"):
            raise bad_request(f"field label not supported: {term.key}")
    return Selector(labels, fields)


def _terms(text: str) -> list[str]:
    """The terms between the commas, those inside parentheses apart."""
    return [term.strip() for term in re.split(r",(?![^(]*\))", text) if term.strip()]


def _requirement(term: str) -> Requirement:
    if match := _SET.match(term):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["key"], match["op"], values)
    if match := _EQUALITY.match(term):
        return Requirement(match["key"], "notin" if match["op"] == "!=" else "in", frozenset([match["value"]]))
    if match := _EXISTS.match(term):
        return Requirement(match["key"], "absent" if match["negated"] else "exists")
    raise unparsable(term)


def unparsable(term: str) -> ApiError:
    """400 for a term in an unknown form."""
    return bad_request(f"unable to parse requirement: found '{term}', expected: ',' or 'end of string'")
