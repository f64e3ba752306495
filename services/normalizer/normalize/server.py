"""How a served model is reached: the part of an InferenceService that both mappings show as the model server."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from common.backstage import is_link
from services.normalizer.normalize.isvc import Isvc, ServiceAccountFacts, ServiceFacts, owns

INTERNAL_URL_ANNOTATION = "rhdh.modelcatalog.io/internal-service-url"
EXTERNAL_URL_ANNOTATION = "rhdh.modelcatalog.io/external-route-url"
_PREDICTOR_SUFFIX = "-predictor"
_CLUSTER_DOMAIN = ".svc.cluster.local"
_API_FIELDS = ("apispec", "apitype")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """A server with an address; `annotations` are those of its API, `said` what the isvc says about the API."""

    name: str
    url: str
    authentication: bool
    annotations: Mapping[str, str]
    said: Mapping[str, str]


def server_facts(
    isvc: Isvc, *, services: Sequence[ServiceFacts], service_accounts: Sequence[ServiceAccountFacts]
) -> ServerFacts | None:
    """Return how the isvc is reached, or None when it has no address.

    `services` and `service_accounts` are those of its namespace, or fewer: only what the isvc owns counts.
    """
    if not isvc.url:
        return None
    internal = _predictor_url(isvc, services)
    external = "" if _is_internal(isvc.url) else isvc.url
    annotations = {INTERNAL_URL_ANNOTATION: internal, EXTERNAL_URL_ANNOTATION: external}
    return ServerFacts(
        name=isvc.name,
        url=external or internal or isvc.url,
        authentication=isvc.asks_authentication
        or any(owns(isvc, account.owners) for account in service_accounts if account.namespace == isvc.namespace),
        annotations={key: url for key, url in annotations.items() if url},
        said={field: text for field, text in isvc.said if field in _API_FIELDS},
    )


def _is_internal(url: str) -> bool:
    return (urlsplit(url).hostname or "").endswith(_CLUSTER_DOMAIN)


def _predictor_url(isvc: Isvc, services: Sequence[ServiceFacts]) -> str:
    """Return the address of the isvc's predictor inside the cluster, or nothing when it has no such Service."""
    predictors = [
        service
        for service in services
        if service.namespace == isvc.namespace
        and service.name.endswith(_PREDICTOR_SUFFIX)
        and owns(isvc, service.owners)
    ]
    if not predictors:
        return ""
    usual = f"{isvc.name}{_PREDICTOR_SUFFIX}"
    service = min(predictors, key=lambda service: (service.name != usual, service.name))
    port = f":{service.port}" if service.port else ""
    url = f"http://{service.name}.{service.namespace}{_CLUSTER_DOMAIN}{port}"
    return url if is_link(url) else ""
