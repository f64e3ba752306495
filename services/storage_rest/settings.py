"""Configuration of storage-rest."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SecretStr

from common import removals
from common.settings import Duration, ServiceSettings, Share
from services.storage_rest.removals import Patience

LOCATION_PORT = 9090

_STORAGE_TYPES = {"configmap": "ConfigMap", "file": "File", "memory": "Memory"}


def _any_case(value: object) -> object:
    return _STORAGE_TYPES.get(value.strip().lower(), value) if isinstance(value, str) else value


class StorageSettings(ServiceSettings):
    """What storage-rest reads from its environment."""

    strict: ClassVar[frozenset[str]] = frozenset({"STORAGE_TYPE"})

    storage_type: Annotated[Literal["ConfigMap", "File", "Memory"], BeforeValidator(_any_case)] = Field(
        "ConfigMap", alias="STORAGE_TYPE", description="where the cache is kept"
    )
    bridge_url: str | None = Field(None, alias="BRIDGE_URL", description="location; default http://$POD_IP:9090")
    state_dir: Path = Field(Path("state"), alias="STATE_DIR", description="directory of the cache of type File")
    shard_budget: int = Field(
        98_304, alias="SHARD_BUDGET", ge=4096, le=1_000_000, description="bytes of values in one ConfigMap"
    )
    document_limit: int = Field(
        1024 * 1024, alias="DOCUMENT_LIMIT", gt=0, description="largest document or model card taken, in bytes"
    )
    removal_hold: Duration | None = Field(
        None,
        alias="REMOVAL_HOLD",
        description="models that an original normalizer no longer names, many at once, stay for so long; 0: not at all",
    )
    removal_hold_share: Share = Field(
        removals.SHARE,
        alias="REMOVAL_HOLD_SHARE",
        description="part of all models (at least two, or all) that counts as many",
    )
    removal_guard: Literal["on", "off"] = Field(
        "on", alias="REMOVAL_GUARD", description="off: the same as REMOVAL_HOLD=0"
    )
    not_ready_grace: Duration = Field(
        120.0, alias="NOT_READY_GRACE", description="as the normalizer has it; shown to administrators"
    )

    push_to_rhdh: bool = Field(
        False,
        alias="PUSH_TO_RHDH",
        description="register the feed (in the second format each model) with a Backstage without plugins; `false` "
        "takes it back, if RHDH_TOKEN is set",
    )
    backstage_url: str = Field(
        "http://localhost:7007", alias="BKSTG_URL", description="the Backstage backend to register with"
    )
    backstage_token: SecretStr | None = Field(
        None,
        alias="RHDH_TOKEN",
        description="token that may read, create and delete locations in its catalog",
    )

    @property
    def patience(self) -> Patience:
        """How long what is in doubt stays."""
        unset = 0.0 if self.removal_guard == "off" else removals.HOLD
        return Patience(
            hold=unset if self.removal_hold is None else self.removal_hold,
            share=self.removal_hold_share,
            not_ready=self.not_ready_grace,
        )

    @property
    def was_switched_off(self) -> bool:
        """Whether registering was switched off in so many words, and there is a token to take back what was registered.

        What people registered by hand is theirs where nobody speaks of it.
        """
        return "push_to_rhdh" in self.model_fields_set and self.backstage_token is not None

    @property
    def registered_at(self) -> str:
        """The address of location for Backstage, which is in the same pod: that of the pod is another at each start."""
        return (self.bridge_url or f"http://localhost:{LOCATION_PORT}").rstrip("/")

    @property
    def bridge(self) -> str:
        """Where location listens."""
        return self.bridge_url or self.url_on_pod(LOCATION_PORT)
