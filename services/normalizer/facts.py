"""References to the objects that sources report, and the facts that an object is gone, missing or unusable.

A deployment is an InferenceService, an LLMInferenceService, or a server that settings name; its companions are the
Services and ServiceAccounts that belong to it, the ServingRuntime that it is made of, and the connection that leads to
its model's files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, Self, cast

from common.problems import Problem

DeploymentKind = Literal["InferenceService", "LLMInferenceService", "OpenAIServer"]
"""The kinds of objects that serve a model; the last is no object of a cluster, but a server that settings name."""
RefKind = Literal["isvc", "llmisvc", "openai", "registry", "service", "serviceaccount", "runtime", "connection"]
RegistryApi = Literal["kubeflow", "mlflow"]
"""What a registry speaks."""

_OF_DEPLOYMENT: Mapping[DeploymentKind, RefKind] = {
    "InferenceService": "isvc",
    "LLMInferenceService": "llmisvc",
    "OpenAIServer": "openai",
}
_LABELS: Mapping[RefKind, str] = {
    **{ref_kind: kind for kind, ref_kind in _OF_DEPLOYMENT.items()},
    "service": "Service",
    "serviceaccount": "ServiceAccount",
    "runtime": "ServingRuntime",
    "connection": "connection",
}

LOCAL: Final = "local"
"""The name, in references, of the cluster that the connector itself runs in."""
MANIFESTS: Final = "manifests"
"""The same for what is only written down in files."""
SHARED: Final = "shared"
"""The same for registries that describe deployments of all clusters."""
MLFLOW: Final = "mlflow:"
"""The beginning of the id of an MLflow server, so that it is never that of another registry."""
_AT: Final = "@"

DELETED: Final = "deleted"
"""The proof that an object is gone: an event, or the answer to a request for it."""


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The lasting name of an object.

    `place` is the cluster or registry that it is in, `ids` name it there: namespace and name of a Kubernetes object, or
    the ids of a registered model and its version.
    """

    kind: RefKind
    place: str
    ids: tuple[str, str]

    @classmethod
    def deployment(cls, kind: DeploymentKind, cluster: str, namespace: str, name: str) -> Self:
        """Return the reference of an InferenceService or LLMInferenceService."""
        return cls(_OF_DEPLOYMENT[kind], cluster, (namespace, name))

    @classmethod
    def isvc(cls, cluster: str, namespace: str, name: str) -> Self:
        """Return the reference of an InferenceService."""
        return cls("isvc", cluster, (namespace, name))

    @classmethod
    def version(cls, registry: str, model: str, version: str) -> Self:
        """Return the reference of a version of a registered model, from the ids of all three."""
        return cls("registry", registry, (model, version))

    @classmethod
    def registry(cls, registry: str) -> Self:
        """Return the reference of a registry itself."""
        return cls("registry", registry, ("", ""))

    @classmethod
    @lru_cache(maxsize=4096)  # a reference is parsed several times for each document
    def parse(cls, written: str) -> "Ref":
        """Return the reference that `str` wrote.

        Raises:
            ValueError: it is something else.
        """
        kind, _, rest = written.partition(":")
        if kind == "registry" and rest.count(":") >= 2:
            registry, model, version = rest.rsplit(":", 2)  # a registry's id may hold a port
            return cls("registry", registry, (model, version))
        if kind in _LABELS:
            cluster, _, object_ = rest.partition(":")
            namespace, separator, name = object_.partition("/")
            if separator:
                return cls(cast("RefKind", kind), cluster, (namespace, name))
        raise ValueError(f"{written[:200]!r} is not a reference")

    @classmethod
    def try_parse(cls, written: str) -> "Ref | None":
        """Return the reference that `str` wrote, None for another text, such as the key of an entry without one."""
        try:
            return cls.parse(written)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}:{(':' if self.kind == 'registry' else '/').join(self.ids)}"

    @property
    def is_deployment(self) -> bool:
        """Whether it names an object that serves a model."""
        return self.kind in _OF_DEPLOYMENT.values()

    @property
    def has_entries(self) -> bool:
        """Whether it can have an entry, which is kept for a while when a look lacks the object."""
        return self.is_deployment or self.kind == "registry"

    @property
    def label(self) -> str:
        """The name of the object in messages."""
        if self.kind != "registry":
            return f"{_LABELS[self.kind]} {'/'.join(filter(None, self.ids))}"
        model, version = self.ids
        if not version:
            return f"model registry {self.place}"
        return f"ModelVersion {version} of RegisteredModel {model} in registry {self.place}"


def in_cluster(id_: str, cluster: str) -> str:
    """Return the id of a source or a registry, distinct from those of other clusters; the own one's are plain."""
    return id_ if cluster == LOCAL else f"{id_}{_AT}{cluster}"


def cluster_of_id(id_: str) -> str:
    """Return the cluster that a source or a registry is in, by its id."""
    return id_.rpartition(_AT)[2] if _AT in id_ else LOCAL


def cluster_of(ref: Ref) -> str:
    """Return the cluster that an object, or the registry of a version, is in."""
    return cluster_of_id(ref.place) if ref.kind == "registry" else ref.place


@dataclass(frozen=True, slots=True)
class Gone:
    """It is proven that an object is gone."""

    reason: str = DELETED


@dataclass(frozen=True, slots=True)
class Missing:
    """A complete look lacks an object, which does not prove that it is gone."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """An object exists but cannot be read."""

    problem: Problem
