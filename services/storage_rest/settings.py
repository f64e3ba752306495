"""The settings of storage-rest, read from environment variables."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr

from common import LOCATION_PORT, removals
from common.setting_types import Duration, Share, Url
from common.settings import ServiceSettings
from services.storage_rest.removals import RemovalPolicy

_STORAGE_TYPES = {"configmap": "ConfigMap", "file": "File", "memory": "Memory"}


def _any_case(value: object) -> object:
    return _STORAGE_TYPES.get(value.strip().lower(), value) if isinstance(value, str) else value


class StorageSettings(ServiceSettings):
    """The environment variables that storage-rest reads."""

    strict: ClassVar[frozenset[str]] = ServiceSettings.strict | {"STORAGE_TYPE"}

    storage_type: Annotated[Literal["ConfigMap", "File", "Memory"], BeforeValidator(_any_case)] = Field(
        "ConfigMap", alias="STORAGE_TYPE", description="where the cache is kept"
    )
    bridge_url: Url | None = Field(
        None, alias="BRIDGE_URL", description="address of location; default http://$POD_IP:9090"
    )
    state_dir: Path = Field(Path("state"), alias="STATE_DIR", description="directory of the cache of type File")
    shard_budget: int = Field(
        122_880, alias="SHARD_BUDGET", ge=4096, le=1_000_000, description="most bytes of values in one ConfigMap"
    )
    document_limit: int = Field(
        1024 * 1024, alias="DOCUMENT_LIMIT", gt=0, description="largest document or model card accepted, in bytes"
    )
    removal_hold: Duration | None = Field(
        None,
        alias="REMOVAL_HOLD",
        description="with an original normalizer: how long many models stay after it stops listing them at once; "
        "0: they are removed at once",
    )
    removal_hold_share: Share = Field(
        removals.SHARE,
        alias="REMOVAL_HOLD_SHARE",
        description="share of all models (at least two, or all) that counts as many",
    )
    removal_guard: Literal["on", "off"] = Field(
        "on", alias="REMOVAL_GUARD", description="off: the same as REMOVAL_HOLD=0"
    )
    not_ready_grace: Duration = Field(
        120.0, alias="NOT_READY_GRACE", description="the normalizer's setting of this name, shown to administrators"
    )

    push_to_rhdh: bool = Field(
        False,
        alias="PUSH_TO_RHDH",
        description="register the feed (each model, with CatalogInfoYamlFormat) with a Backstage without plugins; "
        "`false` unregisters it, if RHDH_TOKEN is set",
    )
    backstage_url: Url = Field(
        "http://localhost:7007", alias="BKSTG_URL", description="address of the Backstage backend to register with"
    )
    backstage_token: SecretStr | None = Field(
        None,
        alias="RHDH_TOKEN",
        description="token that may read, create and delete locations in Backstage's catalog",
    )

    @property
    def removal_policy(self) -> RemovalPolicy:
        """How long doubtful entries stay."""
        unset = 0.0 if self.removal_guard == "off" else removals.HOLD
        return RemovalPolicy(
            hold=unset if self.removal_hold is None else self.removal_hold,
            share=self.removal_hold_share,
            not_ready=self.not_ready_grace,
        )

    @property
    def was_switched_off(self) -> bool:
        """Whether registering was switched off explicitly, and there is a token to unregister with.

        If the setting is absent, Locations that people registered by hand are left alone.
        """
        return "push_to_rhdh" in self.model_fields_set and self.backstage_token is not None

    @property
    def registered_at(self) -> str:
        """The address of location for Backstage in the same pod: `localhost`, because the pod's address changes."""
        return (self.bridge_url or f"http://localhost:{LOCATION_PORT}").rstrip("/")

    @property
    def bridge(self) -> str:
        """The address of location."""
        return self.bridge_url or self.url_on_pod(LOCATION_PORT)
