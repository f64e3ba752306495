"""Objects of a cluster and of a registry, as small as a test can have them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from common.catalog import CatalogDocument, Model, ModelServer
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import (
    NOTHING,
    Belongings,
    Deployment,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.document import normalize_deployment
from services.normalizer.normalize.kserve_objects import read_isvc, read_llmisvc
from services.normalizer.normalize.result import Defaults, Normalized
from services.normalizer.normalize.runtimes import Runtime

URL = "https://mnist-vision.apps.example.com"
ANNOTATION = "modelcatalogbridge.rhdh.io/"
DEFAULTS = Defaults()


def status(url: str | None = URL, **conditions: str) -> dict[str, Any]:
    states = {"Ready": "True", "PredictorReady": "True", "IngressReady": "True"} | conditions
    return {
        "conditions": [{"type": kind, "status": state} for kind, state in states.items()],
        "modelStatus": {"transitionStatus": "UpToDate"},
        **({"url": url} if url else {}),
    }


def isvc(
    *,
    name: str = "mnist",
    namespace: str = "vision",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    said: dict[str, str] | None = None,
    predictor: dict[str, Any] | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """Return a ready InferenceService; `said` are annotations for Backstage, by field."""
    said_annotations = {ANNOTATION + field: text for field, text in (said or {}).items()}
    return {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": labels or {},
            "annotations": (annotations or {}) | said_annotations,
            **rest.pop("metadata", {}),
        },
        "spec": {"predictor": predictor or {"model": {"storageUri": "oci://quay.io/acme/mnist:1"}}},
        "status": status(),
        **rest,
    }


def owned(kind: str, name: str, *, by: str = "mnist", uid: str = "", **spec: Any) -> dict[str, Any]:
    """Return a Service or ServiceAccount in the namespace vision with an owner reference."""
    owner = {"apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "name": by, "uid": uid}
    metadata = {"name": name, "namespace": "vision", "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}


def normalized(*objects: dict[str, Any], planned: bool = False, defaults: Defaults = DEFAULTS) -> Normalized:
    """Return how the first object is shown, an InferenceService or LLMInferenceService, next to the others."""
    first, *others = objects
    read = read_llmisvc if first["kind"] == "LLMInferenceService" else read_isvc
    return normalized_deployment(
        read(first, planned=planned),
        own=belongings(others),
        defaults=defaults,
    )


def belongings(objects: Sequence[dict[str, Any]]) -> Belongings:
    """Return the Services and ServiceAccounts among objects, as what may belong to a deployment."""
    return Belongings(
        services=[read_service(obj) for obj in objects if obj["kind"] == "Service"],
        service_accounts=[read_service_account(obj) for obj in objects if obj["kind"] == "ServiceAccount"],
    )


def normalized_deployment(
    deployment: Deployment,
    *,
    own: Belongings = NOTHING,
    runtime: Runtime | None = None,
    connection: Connection | None = None,
    card: str = "",
    defaults: Defaults = DEFAULTS,
) -> Normalized:
    """Return how a deployment is shown, for one of the cluster `local`."""
    return normalize_deployment(
        deployment,
        cluster="local",
        source="isvc:local",
        own=replace(own, runtime=runtime or own.runtime, connection=connection or own.connection),
        defaults=defaults,
        card=card,
    )


def model_of(document: CatalogDocument) -> Model:
    return document.models[0]


def server_of(document: CatalogDocument) -> ModelServer:
    assert document.model_server is not None
    return document.model_server
