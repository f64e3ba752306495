"""How an InferenceService names the registered version that it serves: by labels with ids, or by its storage URI.

The Open Data Hub dashboard writes the first family of labels, the controller of the Kubeflow registry the second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import unquote

from services.normalizer.facts import RegistryApi
from services.normalizer.normalize import values

_REGISTRY_SCHEME = "model-registry://"
_MLFLOW_SCHEME = "models:/"
FAMILIES = ("modelregistry.opendatahub.io/", "modelregistry.kubeflow.org/")
"""The prefixes of such labels; messages name the first where no one has written any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryLabels:
    """Ids in a registry, and the name and namespace of the registry; empty where there is no such label.

    A model without a version means its newest live version. `family` is the prefix of the labels that were written.
    """

    family: str = FAMILIES[0]
    model: str
    version: str
    inference_service: str
    registry_name: str
    registry_namespace: str

    @property
    def names_version(self) -> bool:
        """Whether they say which version is served."""
        return bool(self.model or self.version or self.inference_service)


def read_registry_labels(labels: Mapping[str, Any]) -> RegistryLabels | None:
    """Return the labels of either family, preferring the first; None when there are none."""
    family = next((family for family in FAMILIES if any(str(key).startswith(family) for key in labels)), "")
    if not family:
        return None
    found = RegistryLabels(
        family=family,
        model=_label(labels, "registered-model-id"),
        version=_label(labels, "model-version-id"),
        inference_service=_label(labels, "inference-service-id"),
        registry_name=_label(labels, "name"),
        registry_namespace=_label(labels, "namespace"),
    )
    return found if found.names_version else None


class NamedVersion(NamedTuple):
    """A version by names: of the registry's host, the model, and the version (empty: the newest live one).

    `api` is that of the registries that may be meant.
    """

    host: str
    model: str
    version: str
    api: RegistryApi = "kubeflow"


def read_registry_uri(uri: str) -> tuple[NamedVersion, ...]:
    """Return what a storage URI may mean that names a registered version, the likeliest first.

    `model-registry://[host/]<model>[/<version>]` (Kubeflow Model Registry, custom storage initializer): the first part
    is a host when it is the registry's, which only the reader of the registries can know; names with slashes come last.
    `models:/<model>/<version, stage or latest>` and `models:/<model>@<alias>` (MLflow: "Model Registry", URIs).
    """
    if uri.startswith(_MLFLOW_SCHEME):
        return _read_mlflow_uri(uri.removeprefix(_MLFLOW_SCHEME))
    if not uri.startswith(_REGISTRY_SCHEME):
        return ()
    parts = [unquote(part) for part in uri.removeprefix(_REGISTRY_SCHEME).rstrip("/").split("/")]
    if not all(parts):
        return ()
    readings = [NamedVersion("", parts[0], parts[1] if len(parts) == 2 else "")] if len(parts) <= 2 else []
    if len(parts) in (2, 3):
        readings.append(NamedVersion(parts[0], parts[1], parts[2] if len(parts) == 3 else ""))
    if len(parts) > 1:
        readings += [NamedVersion("", "/".join(parts[:-1]), parts[-1]), NamedVersion("", "/".join(parts), "")]
    return tuple(dict.fromkeys(readings))


def _read_mlflow_uri(path: str) -> tuple[NamedVersion, ...]:
    """Return the version that MLflow finds under a path; one without a version is a model that is not registered."""
    model, at, alias = path.rpartition("@")
    if at and model and alias and "/" not in path:
        return (NamedVersion("", unquote(model), f"@{unquote(alias)}", "mlflow"),)
    model, _, version = path.partition("/")
    if not model or not version or "/" in version:
        return ()
    version = unquote(version)
    named = version if version.isdigit() else version.lower()  # a stage in any case
    return (NamedVersion("", unquote(model), "" if named == "latest" else named, "mlflow"),)


def _label(labels: Mapping[str, Any], name: str) -> str:
    return next((text for family in FAMILIES if (text := values.line(labels.get(family + name)))), "")
