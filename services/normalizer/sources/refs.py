"""The servers that models and cards are read from: ids, addresses, and the settings that name them."""

from dataclasses import dataclass
from typing import Literal

from services.normalizer.normalize.registered_version import Registry, RegistryApi

ServerKind = Literal["registry", "catalog", "openai"]
Api = RegistryApi | Literal["openai"]


ACCOUNT = "the service account rhdh-rhoai-connector"


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
    renewal: str = f"renew the Secret of {ACCOUNT}, or set KFMR_TOKEN"


OF_ENVIRONMENT = SettingNames()


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
    def registry(self) -> Registry:
        """The registry that it is, for the mapping."""
        if self.api == "mlflow":  # its name is no Kubernetes object's
            return Registry(self.id, api=self.api)
        return Registry(self.id, self.name, self.namespace)
