"""Configuration of location."""

from pydantic import Field

from common.settings import ServiceSettings


class LocationSettings(ServiceSettings):
    """What location reads from its environment."""

    storage_address: str | None = Field(
        None, alias="STORAGE_URL", description="address of storage-rest; default http://$POD_IP:7070"
    )
    connector_id: str = Field(
        "kserve-kubeflow-connector",
        alias="CONNECTOR_ID",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="id under which the second-generation reader knows the connector",
    )
    jwks_url: str | None = Field(
        None,
        alias="BACKSTAGE_JWKS_URL",
        pattern=r"^https?://",
        description="where Backstage publishes the keys of its service tokens; "
        "when set, the second-generation feed asks for such a token",
    )
    document_limit: int = Field(
        1024 * 1024, alias="DOCUMENT_LIMIT", gt=0, description="largest document taken, in bytes"
    )

    @property
    def storage_url(self) -> str:
        """The address of storage-rest."""
        return self.storage_address or self.url_on_pod(7070)
