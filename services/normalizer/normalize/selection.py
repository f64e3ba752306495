"""Which deployments belong in the catalog: by labels, by the names of namespaces and objects, or by a mark."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.readiness import Readiness, UnreadyCause
from services.normalizer.normalize.result import IGNORE

_AI_ASSET = "opendatahub.io/genai-asset"
"""The label by which the OpenShift AI dashboard offers a deployment as an AI asset."""

_EXCLUDED = "!"
_KEY = r"(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?)?"
_EQUAL = re.compile(rf"(?P<key>{_KEY})\s*(?P<operator>==?|!=)\s*(?P<value>{_VALUE})\Z")
_SET = re.compile(rf"(?P<key>{_KEY})\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)\Z")
_EXISTS = re.compile(rf"(?P<not>!)?\s*(?P<key>{_KEY})\Z")
_BETWEEN = re.compile(r",(?![^()]*\))")


class Requirement(NamedTuple):
    """A requirement on one label: one of `values` or none of them; without values, that it exists or does not."""

    key: str
    values: frozenset[str] | None
    wanted: bool

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels meet the requirement; a missing label has none of the values."""
        if self.values is None:
            return (self.key in labels) == self.wanted
        return (self.key in labels and labels[self.key] in self.values) == self.wanted


def parse_selector(written: str) -> tuple[Requirement, ...]:
    """Return the requirements of a label selector, as kubectl takes it (Kubernetes: "Labels and Selectors").

    Raises:
        ValueError: a part of it is invalid; the text says which one.
    """
    return tuple(_requirement(part.strip()) for part in _BETWEEN.split(written) if part.strip())


def _requirement(part: str) -> Requirement:
    if equal := _EQUAL.match(part):
        return Requirement(equal["key"], frozenset({equal["value"]}), equal["operator"] != "!=")
    if one_of := _SET.match(part):
        values = frozenset(value.strip() for value in one_of["values"].split(","))
        if all(re.fullmatch(_VALUE, value) for value in values):
            return Requirement(one_of["key"], values, one_of["operator"] == "in")
    elif exists := _EXISTS.match(part):
        return Requirement(exists["key"], None, not exists["not"])
    raise ValueError(
        f"{part!r} is not a part of a label selector, such as team=a, tier!=test, env in (prod, dev) or !old"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which deployments are served; an empty selection means all.

    `namespaces` and `names` are patterns with `*`, of which the last one that matches decides. A pattern that begins
    with `!` excludes; if all do, everything else is served.
    """

    selector: Sequence[Requirement] = ()
    namespaces: Sequence[str] = ()
    names: Sequence[str] = ()
    ai_assets_only: bool = False

    def applied(self, deployment: Deployment) -> Deployment:
        """Return a selected deployment as it is, and any other one as stopped, as a status would say."""
        reason = self.refusal(deployment)
        if not reason:
            return deployment
        cause: UnreadyCause = "ignored" if deployment.stated.ignored else "not-selected"
        return replace(deployment, planned=False, readiness=Readiness(False, reason, cause))

    def refusal(self, deployment: Deployment) -> str:
        """Return why a deployment is not served, in words that fit after "it is not shown:", or nothing when it is."""
        if deployment.kind == "OpenAIServer":  # named one by one in the settings
            return ""
        labels = dict(deployment.stated.labels)
        if deployment.stated.ignored:
            return f'it is marked with {IGNORE}: "true"'
        if not _chosen(deployment.namespace, self.namespaces):
            return f"its namespace {deployment.namespace} is not selected by SELECT_NAMESPACES"
        if not _chosen(deployment.name, self.names):
            return "its name is not selected by SELECT_NAMES"
        if self.ai_assets_only and labels.get(_AI_ASSET, "").lower() != "true":
            return f'it has no label {_AI_ASSET}: "true", which AI_ASSETS_ONLY requires'
        if missed := next((each.key for each in self.selector if not each.is_met(labels)), ""):
            return f"its label {missed} does not match SELECTOR"
        return ""


ALL = Selection()


def _chosen(name: str, patterns: Sequence[str]) -> bool:
    chosen = all(pattern.startswith(_EXCLUDED) for pattern in patterns)
    for pattern in patterns:
        if fnmatchcase(name, pattern.removeprefix(_EXCLUDED)):
            chosen = not pattern.startswith(_EXCLUDED)
    return chosen
