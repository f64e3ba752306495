"""The servers that models and cards are read from: ids, addresses, and the settings that name them."""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit

from services.normalizer.facts import MLFLOW, RegistryApi
from services.normalizer.normalize.addresses import DEFAULT_PORTS
from services.normalizer.normalize.registered_version import Registry

ServerKind = Literal["registry", "catalog", "openai"]
Api = RegistryApi | Literal["openai"]

ACCOUNT = "the service account rhdh-rhoai-connector"
_NAMED_URL = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._/-]*)=(?P<url>https?://.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingNames:
    """What a remedy calls the settings that decide how a server is read.

    By default they are variables; those of a cluster in CLUSTERS_FILE are fields of its entry there. `urls` names
    registries by their addresses, `namespaces` those in which they are trusted, `authority` the file with their
    certificate authority. `renewal` is what to do where their token is not accepted.
    """

    urls: str = "MODEL_REGISTRY_URLS"
    namespaces: str = "MODEL_REGISTRY_NAMESPACES"
    authority: str = "MODEL_REGISTRY_CA_FILE"
    renewal: str = (
        "delete the Secret rhdh-rhoai-connector-token, apply the overlay of deploy/rbac again and restart the pod, or "
        "set KFMR_TOKEN"
    )


OF_ENVIRONMENT = SettingNames()
OF_KFMR_TOKEN = SettingNames(
    renewal="set KFMR_TOKEN to a valid token, or remove it, so that the token of the service account is sent"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRef:
    """One model registry or model catalog.

    `id` lasts as long as the server does: "namespace/name" of its Service, the name given with an explicit URL, else
    the URL's host, port and path. `url` is the root that the API's paths are added to, empty while nothing says where
    the server is. `name` and `namespace` are empty when it is known by its URL alone. `verify`: its certificate
    is checked. `trusted`: it is read and gets the token. `origin` names the setting or object that it was found by.
    `api` is its API: an MLflow server is a registry too, and never gets the service account's token. `settings` are
    those that remedies name.
    """

    id: str
    kind: ServerKind
    url: str
    origin: str
    name: str = ""
    namespace: str = ""
    verify: bool = True
    trusted: bool = True
    api: Api = "kubeflow"
    settings: SettingNames = OF_ENVIRONMENT

    @property
    def label(self) -> str:
        """Its name in messages."""
        named = {"mlflow": "MLflow", "openai": "OpenAI-compatible server"}.get(self.api)
        return f"{named} {self.name}" if named else f"model {self.kind} {self.id}"

    @property
    def source(self) -> str:
        """The id of its source: of its entries, its condition and its metrics."""
        return f"{self.kind}:{self.id}"

    @property
    def of_platform(self) -> bool:
        """Whether it belongs to the platform, and gets the token for that; others have credentials of their own."""
        return self.api == "kubeflow"

    @property
    def registry(self) -> Registry:
        """The registry that it is, for the mapping."""
        if self.api == "mlflow":  # its name is no Kubernetes object's
            return Registry(self.id, api=self.api)
        return Registry(self.id, self.name, self.namespace)

    @property
    def address(self) -> tuple[str | None, int | None, str]:
        """Host, port and path of its URL."""
        parts = urlsplit(self.url)
        return parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme), parts.path

    def is_named_in(self, entries: Collection[str]) -> bool:
        """Return whether a setting has its id, its name or its host."""
        host = urlsplit(self.url).hostname
        return any(entry and entry in (self.id, self.name, host) for entry in entries)


def named_server(entry: str, kind: ServerKind, origin: str) -> SourceRef:
    """Return the server of an explicit URL, which may have a name: `name=URL`.

    The id does not depend on how the URL is written: case, a port that is the scheme's own and a slash at the end make
    no difference, and the name of a Service inside the cluster is that Service.
    """
    given, url = match.group("name", "url") if (match := _NAMED_URL.fullmatch(entry)) else ("", entry)
    parts = urlsplit(url)
    host, scheme, path = (parts.hostname or "").rstrip("."), parts.scheme.lower(), parts.path.rstrip("/")
    name, namespace = _service_of(host) or ("", "")
    server = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port and parts.port != DEFAULT_PORTS.get(scheme) else ""
    own = f"{namespace}/{name}" if name and not path else f"{server}{port}{path}"
    if given:
        namespace, _, name = given.rpartition("/")
    return SourceRef(
        id=given or own,
        kind=kind,
        url=f"{scheme}://{server}{port}{path}",
        origin=origin,
        name=name,
        namespace=namespace,
    )


def mlflow_server(entry: str) -> SourceRef:
    """Return the MLflow server of an entry of MLFLOW_URLS; its id is never that of a Kubeflow registry."""
    ref = named_server(entry, "registry", "MLFLOW_URLS")
    return replace(ref, id=f"{MLFLOW}{ref.name}", namespace="", api="mlflow")


def _service_of(host: str) -> tuple[str, str] | None:
    """Return name and namespace of a Service when `host` is its name inside the cluster."""
    labels = host.split(".")
    return (labels[0], labels[1]) if len(labels) >= 3 and labels[2] == "svc" else None
