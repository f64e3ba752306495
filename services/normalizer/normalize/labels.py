"""The labels by which an InferenceService names the registered version it serves.

The Open Data Hub dashboard writes the first family, the Kubeflow registry's own controller the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.normalizer.normalize import values

_FAMILIES = ("modelregistry.opendatahub.io/", "modelregistry.kubeflow.org/")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLabels:
    """Ids inside a registry, and the registry by name and namespace; empty where there is no such label."""

    model: str
    version: str
    inference_service: str
    registry_name: str
    registry_namespace: str

    @property
    def names_version(self) -> bool:
        """Whether they say which version is served."""
        return bool(self.version or self.inference_service)


def read_registry_labels(labels: Mapping[str, Any]) -> RegistryLabels | None:
    """Return what the labels of either family say, the first family first; None when there are none."""
    found = RegistryLabels(
        model=_label(labels, "registered-model-id"),
        version=_label(labels, "model-version-id"),
        inference_service=_label(labels, "inference-service-id"),
        registry_name=_label(labels, "name"),
        registry_namespace=_label(labels, "namespace"),
    )
    return found if found.model or found.names_version else None


def _label(labels: Mapping[str, Any], name: str) -> str:
    return next((text for family in _FAMILIES if (text := values.line(labels.get(family + name)))), "")
