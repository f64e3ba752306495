"""The settings of the normalizer, read from its environment."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError

from common import STORAGE_PORT, removals
from common.secrets import MountedCredentials
from common.setting_types import CommaList, Duration, HostList, NamedUrlList, NamespaceList, Share, Url, UrlList
from common.settings import ServiceSettings
from services.normalizer.ledger import Patience
from services.normalizer.normalize.connection import Resolving
from services.normalizer.normalize.owners import entity_reference
from services.normalizer.normalize.result import DEFAULT_OWNER, Defaults, SourceField
from services.normalizer.normalize.selection import Selection, parse_selector

_TRUTH = TypeAdapter(bool)


_OF_SOURCES: tuple[SourceField, ...] = get_args(SourceField)


def _read_source_default(written: str) -> tuple[str, SourceField, str]:
    named, _, value = written.partition("=")
    source, _, name = named.strip().rpartition(".")
    field = next((each for each in _OF_SOURCES if each == name), None)
    value = value.strip()
    if field == "system":
        value = entity_reference(value, kind="system") or ""
    if not source or field is None or not value:
        raise ValueError(
            f"expected SOURCE.FIELD=VALUE such as kserve.owner=ml-team, where FIELD is one of {', '.join(_OF_SOURCES)}"
        )
    return source, field, value


def _check_source_defaults(written: tuple[str, ...]) -> tuple[str, ...]:
    for each in written:
        _read_source_default(each)
    return written


def _check_selector(written: str) -> str:
    parse_selector(written)
    return written


def _as_choice(given: object) -> object:
    """Return a boolean in any spelling as `true` or `false`, and anything else as it is."""
    try:
        return str(_TRUTH.validate_python(given)).lower()
    except ValidationError:
        return given


class NormalizerSettings(ServiceSettings):
    """Where models are found, how they are shown by default, and how long what is in doubt is kept."""

    strict: ClassVar[frozenset[str]] = ServiceSettings.strict | {"SELECTOR", "AI_ASSETS_ONLY", "WATCH_NAMESPACES"}

    storage_url: Url | None = Field(None, alias="STORAGE_URL", description="storage-rest; default http://$POD_IP:7070")
    watch_namespaces: NamespaceList = Field((), alias="WATCH_NAMESPACES", description="watch these only; default all")
    clusters_file: Path | None = Field(
        None,
        alias="CLUSTERS_FILE",
        description="a YAML file with the clusters to follow (docs/clusters.md); default: the connector's own",
    )
    default_owner: str = Field(DEFAULT_OWNER, alias="DEFAULT_OWNER", description="owner where none is given")
    default_lifecycle: str = Field(
        "development", alias="DEFAULT_LIFECYCLE", description="lifecycle where none is given"
    )
    source_defaults: Annotated[CommaList, AfterValidator(_check_source_defaults)] = Field(
        (),
        alias="SOURCE_DEFAULTS",
        description="owner, lifecycle and system where none is given, by source (named as in `/readyz`), as "
        "SOURCE.FIELD=VALUE",
    )
    tags_ignored: CommaList = Field(
        (),
        alias="TAGS_IGNORED",
        description="labels and properties that do not become tags, in addition to those of tools; "
        "`*` matches any characters, `!` before a pattern makes tags of what it matches",
    )
    dashboard_url: Url | None = Field(
        None, alias="DASHBOARD_URL", description="the OpenShift AI dashboard, for links to its pages"
    )
    resolve_connections: Annotated[Resolving, BeforeValidator(_as_choice)] = Field(
        "false",
        alias="RESOLVE_CONNECTIONS",
        description="learn where models' files are: from the Secrets of the connections that deployments name "
        "(`secrets`), from running pods (`pods`), or from pods where Secrets may not be read (`true`); needs rights",
    )
    connections_allowed: CommaList = Field(
        (),
        alias="CONNECTIONS_ALLOWED",
        description="with RESOLVE_CONNECTIONS: only connections in these namespaces, or these ones (`namespace/name`)",
    )
    read_runtimes: bool = Field(
        False,
        alias="READ_RUNTIMES",
        description="read ServingRuntimes and ClusterServingRuntimes, which show the API of a server; needs rights",
    )
    discover_models: bool = Field(
        False,
        alias="DISCOVER_MODELS",
        description="ask OpenAI servers that run for the names of their models (/v1/models), without a token",
    )
    fetch_openapi: bool = Field(
        False,
        alias="FETCH_OPENAPI",
        description="ask these servers, and those whose protocol is unknown, for their definition (/openapi.json)",
    )
    read_namespaces: bool = Field(
        False,
        alias="READ_NAMESPACES",
        description="give deployments the owner, system, lifecycle and labels of their namespace where they have none; "
        "needs the right to read namespaces",
    )
    events: bool = Field(
        False,
        alias="EVENTS",
        description="write Events on deployments for their problems, which `kubectl describe` shows; "
        "needs the right to create and patch events",
    )
    llm_authentication: Literal["auto", "on", "off"] = Field(
        "auto",
        alias="LLM_AUTHENTICATION",
        description="whether LLMInferenceServices ask for a token unless annotated otherwise: as on Open Data Hub and "
        "OpenShift AI (`on`), as upstream (`off`); `auto`: where their Service takes TLS",
    )
    readable_names: bool = Field(
        False,
        alias="READABLE_NAMES",
        description="new entities have names with dots and capitals; those that have a name keep it",
    )
    selector: Annotated[str, AfterValidator(_check_selector)] = Field(
        "", alias="SELECTOR", description="label selector that InferenceServices must match, as kubectl takes it"
    )
    select_namespaces: CommaList = Field(
        (),
        alias="SELECT_NAMESPACES",
        description="namespaces that are shown, as patterns with `*`; `!` before one excludes, the last match decides",
    )
    select_names: CommaList = Field((), alias="SELECT_NAMES", description="the same for names of InferenceServices")
    ai_assets_only: bool = Field(
        False, alias="AI_ASSETS_ONLY", description="show only what the dashboard offers as an AI asset"
    )
    not_ready_grace: Duration = Field(
        120.0, alias="NOT_READY_GRACE", description="an InferenceService that is not ready is still shown for this long"
    )
    removal_hold: Duration | None = Field(
        None,
        alias="REMOVAL_HOLD",
        description="entries that a source lacks are kept for this long, unless the deletion was seen; default 1h",
    )
    removal_hold_share: Share = Field(
        removals.SHARE,
        alias="REMOVAL_HOLD_SHARE",
        description="when more than this share of a source is leaving, models that are not ready are kept as long",
    )
    removal_guard: Literal["on", "off"] = Field(
        "on", alias="REMOVAL_GUARD", description="off: the older name for REMOVAL_HOLD=0"
    )
    source_gone_grace: Duration | None = Field(
        None,
        alias="SOURCE_GONE_GRACE",
        description="models of a registry that is gone are kept for this long; default REMOVAL_HOLD",
    )
    first_sync_grace: Duration = Field(
        300.0,
        alias="FIRST_SYNC_GRACE",
        description="with an empty cache, sources that cannot be read are waited for so long after the first that can",
    )
    polling_interval: Duration = Field(120.0, alias="POLLING_INTERVAL", description="between two polls of a registry")
    model_registry_routes: CommaList = Field(
        (),
        alias="MR_ROUTE",
        description="Routes of registries, as namespace:name, or name in a trusted namespace; default: by label",
    )
    model_registry_urls: UrlList = Field(
        (),
        alias="MODEL_REGISTRY_URLS",
        description="further registries: the roots of their servers, as URL or name=URL",
    )
    model_catalog_url: UrlList = Field(
        (), alias="MODEL_CATALOG_URL", description="further model catalogs, as URL or name=URL"
    )
    mlflow_urls: NamedUrlList = Field(
        (), alias="MLFLOW_URLS", description="MLflow servers whose registered models are shown, as name=URL"
    )
    openai_servers: NamedUrlList = Field(
        (),
        alias="OPENAI_SERVERS",
        description="servers of the OpenAI API that no cluster knows, as name=URL; each is shown as one entry",
    )
    server_credentials_dir: Path | None = Field(
        None,
        alias="SERVER_CREDENTIALS_DIR",
        description="where a Secret is mounted with what servers of MLFLOW_URLS and OPENAI_SERVERS ask for: NAME.token "
        "or NAME.username and NAME.password",
    )
    model_registry_namespaces: NamespaceList = Field(
        ("rhoai-model-registries", "odh-model-registries", "kubeflow"),
        alias="MODEL_REGISTRY_NAMESPACES",
        description="registries in these namespaces, and in the connector's own, are read; others are reported",
    )
    model_registry_gateways: bool = Field(
        False,
        alias="MODEL_REGISTRY_GATEWAYS",
        description="find registries by HTTPRoutes too; needs the right to read httproutes and gateways",
    )
    model_registry_token: SecretStr | None = Field(
        None, alias="KFMR_TOKEN", description="token for registries; default: the service account's"
    )
    model_registry_ca_file: str | None = Field(
        None, alias="MODEL_REGISTRY_CA_FILE", description="CA certificates (PEM) that registries may be signed by"
    )
    model_registry_insecure: HostList = Field(
        (), alias="MODEL_REGISTRY_INSECURE", description="registries (name or host) whose certificate is not verified"
    )
    model_card_refresh: Duration = Field(
        1800.0, alias="MODEL_CARD_REFRESH", description="model cards are read again after this time"
    )

    @property
    def storage(self) -> str:
        """The URL of storage-rest."""
        return self.storage_url or self.url_on_pod(STORAGE_PORT)

    @property
    def reads_secrets(self) -> bool:
        """Whether the Secrets of connections are read, in clusters or in files."""
        return self.resolve_connections in ("true", "secrets")

    @property
    def patience(self) -> Patience:
        """How long entries in doubt are kept."""
        hold = (
            self.removal_hold if self.removal_hold is not None else removals.HOLD if self.removal_guard == "on" else 0
        )
        return Patience(
            hold=hold,
            share=self.removal_hold_share,
            not_ready=self.not_ready_grace,
            source_gone=hold if self.source_gone_grace is None else self.source_gone_grace,
        )

    @property
    def names_servers(self) -> bool:
        """Whether servers are named that can be read without a cluster."""
        return bool(self.model_registry_urls or self.mlflow_urls or self.openai_servers)

    @property
    def server_credentials(self) -> MountedCredentials:
        """The credentials for servers that settings name."""
        return MountedCredentials(self.server_credentials_dir)

    @property
    def selection(self) -> Selection:
        """Which deployments are served."""
        return Selection(
            selector=parse_selector(self.selector),
            namespaces=self.select_namespaces,
            names=self.select_names,
            ai_assets_only=self.ai_assets_only,
        )

    @property
    def defaults(self) -> Defaults:
        """The values that entities get where none are given."""
        return Defaults(
            owner=self.default_owner,
            lifecycle=self.default_lifecycle,
            tags_ignored=self.tags_ignored,
            dashboard_url=self.dashboard_url or "",
            readable_names=self.readable_names,
            of_sources=tuple(map(_read_source_default, self.source_defaults)),
        )
