"""The annotations of entities that lead Backstage and its plugins to a model and its server. No I/O."""

from urllib.parse import quote

from services.location.servers import Server
from services.location.view import LOCATION_ANNOTATION, View

_INFERENCE_SERVICE = "InferenceService"
_LLM_INFERENCE_SERVICE = "LLMInferenceService"


def of_model(view: View) -> dict[str, str]:
    """Return the annotations of a model: its page, and where its files are."""
    annotations = _page(view)
    if view.files:
        annotations[LOCATION_ANNOTATION] = view.files
    return annotations


def of_server(view: View, server: Server) -> dict[str, str]:
    """Return the annotations of a model's server.

    `rhdh.io/…` are read by the second-generation reader and the AI Catalog page of Red Hat Developer Hub; the others
    are Backstage's well-known annotations.
    """
    annotations = {
        **_page(view),
        **_kubernetes(view),
        "rhdh.io/ai-asset-category": "model-server",
        "rhdh.io/ai-asset-source": view.details.provider,
        "rhdh.io/ai-asset-version": view.semantic_version,
        "rhdh.io/serverType": server.server_type,
        "rhdh.io/system": view.system,
        "rhdh.io/default": server.names[0],
        "rhdh.io/lifecycle": view.lifecycle,
        "rhdh.io/api-entity-ref": view.api_entity,
    }
    return {key: value for key, value in annotations.items() if value}


def card_query(view: View) -> str:
    """Return the query for the documentation of a model that has no card of its own."""
    return f"entry={quote(view.key, safe='')}"


def _page(view: View) -> dict[str, str]:
    """Return what "View source" and "Edit" open; without these annotations it is an address inside the pod."""
    if not view.page:
        return {}
    return {
        "backstage.io/view-url": view.page,
        "backstage.io/edit-url": view.page,
        "backstage.io/source-location": f"url:{view.page.rstrip('/')}/",
    }


def _kubernetes(view: View) -> dict[str, str]:
    """Return the annotations by which Backstage's Kubernetes plugin finds the pods."""
    details = view.details
    selectors = {
        _INFERENCE_SERVICE: f"serving.kserve.io/inferenceservice={details.deployment}",
        _LLM_INFERENCE_SERVICE: f"app.kubernetes.io/part-of=llminferenceservice,"
        f"app.kubernetes.io/name={details.deployment}",
    }
    selector = selectors.get(details.kind)
    if not (selector and details.namespace and details.deployment):
        return {}
    return {
        "backstage.io/kubernetes-namespace": details.namespace,
        "backstage.io/kubernetes-label-selector": selector,
        # Restricts the plugin to one cluster (Backstage, "Kubernetes plugin", single-tenant service locator).
        **({"backstage.io/kubernetes-cluster": details.cluster} if details.cluster else {}),
    }
