"""What the mappings take for granted and what they give back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from common.catalog import CatalogDocument
from common.details import NO_DETAILS, Details
from common.problems import Problem

Reconciler = Literal["kserve", "kubeflow"]
DeploymentKind = Literal["InferenceService", "LLMInferenceService"]
"""The kinds of objects that serve a model."""

_PREFIXES: Mapping[DeploymentKind, str] = {"InferenceService": "isvc", "LLMInferenceService": "llmisvc"}


@dataclass(frozen=True, slots=True)
class Defaults:
    """What an entity gets where nobody says anything.

    `tags_ignored` are patterns of labels and properties that are no tags, after the built-in ones; `dashboard_url` is
    where the dashboard of OpenShift AI or Open Data Hub is, for links to it, or empty.
    """

    owner: str = "rhdh-rhoai-bridge"
    lifecycle: str = "development"
    tags_ignored: tuple[str, ...] = ()
    dashboard_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalized:
    """One document with what identity, plan and storage need to know of it.

    `ref` names the object it was made of for good. `segments` and the names inside the document are those it asks
    for; two objects may ask for the same ones. `created` is in milliseconds since the epoch, 0 when unknown;
    `updated` is the registry's last update time as it writes it, else empty. `origin` tells a registered version from
    all others, whatever its registry is called.
    """

    ref: str
    source: str
    segments: tuple[str, str]
    document: CatalogDocument
    reconciler: Reconciler
    created: int
    updated: str = ""
    origin: str = ""
    card_key: str = ""
    details: Details = NO_DETAILS
    problems: tuple[Problem, ...] = ()


def deployment_ref(kind: DeploymentKind, cluster: str, namespace: str, name: str) -> str:
    """Return the lasting name of an InferenceService or LLMInferenceService."""
    return f"{_PREFIXES[kind]}:{cluster}:{namespace}/{name}"


def isvc_ref(cluster: str, namespace: str, name: str) -> str:
    """Return the lasting name of an InferenceService."""
    return deployment_ref("InferenceService", cluster, namespace, name)


def version_ref(registry: str, model: str, version: str) -> str:
    """Return the lasting name of a registered model's version, from the ids of all three."""
    return f"registry:{registry}:{model}:{version}"


def described(ref: str) -> str:
    """Return what people call the object of a reference: `InferenceService ns/name`, a version by its ids."""
    prefix, _, rest = ref.partition(":")
    if kind := next((kind for kind, of_kind in _PREFIXES.items() if of_kind == prefix), None):
        return f"{kind} {rest.partition(':')[2]}"
    registry, model, version = rest.rsplit(":", 2)
    return f"ModelVersion {version} of RegisteredModel {model} in registry {registry}"
