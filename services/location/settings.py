"""The settings of location, read from environment variables."""

from typing import ClassVar

from pydantic import Field, field_validator

from common import NORMALIZER_PORT, STORAGE_PORT
from common.setting_types import CommaList, Duration, Url
from common.settings import ServiceSettings

CONNECTOR_ID = "kserve-kubeflow-connector"
"""The default id of the connector in Backstage's second-generation plugin."""


class LocationSettings(ServiceSettings):
    """The environment variables that location reads."""

    strict: ClassVar[frozenset[str]] = ServiceSettings.strict | {"BACKSTAGE_JWKS_URL"}

    storage_address: Url | None = Field(
        None, alias="STORAGE_URL", description="address of storage-rest; default http://$POD_IP:7070"
    )
    normalizer_address: Url = Field(
        f"http://127.0.0.1:{NORMALIZER_PORT}",
        alias="NORMALIZER_URL",
        description="address of the normalizer, for the status page",
    )
    connector_id: str = Field(
        CONNECTOR_ID,
        alias="CONNECTOR_ID",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="id of the connector in Backstage's second-generation plugin",
    )
    jwks_urls: CommaList = Field(
        (),
        alias="BACKSTAGE_JWKS_URL",
        description="comma-separated URLs of the public keys (JWKS) of Backstage's plugins; "
        "when set, the second-generation feed requires one of their service tokens",
    )
    removal_hold: Duration | None = Field(
        None,
        alias="REMOVAL_HOLD",
        description="with an original storage-rest: how long many models stay after it stops listing them at once",
    )
    document_limit: int = Field(
        1024 * 1024, alias="DOCUMENT_LIMIT", gt=0, description="largest document accepted, in bytes"
    )

    both_feeds: bool = Field(
        False,
        alias="BOTH_FEEDS",
        description="true if one Backstage reads both the plain feed and the second-generation feed: "
        "their entities then refer to each other",
    )

    fetch_cards: bool = Field(
        False,
        alias="FETCH_CARDS",
        description="true to fetch a model's documentation when its address is a single Markdown file",
    )
    fetch_cards_hosts: CommaList = Field(
        ("raw.githubusercontent.com", "gitlab.com", "huggingface.co", "codeberg.org"),
        alias="FETCH_CARDS_HOSTS",
        description="comma-separated hosts (`name` or `name:port`) that such files may be fetched from",
    )

    @field_validator("jwks_urls")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not all(url.startswith(("http://", "https://")) for url in urls):
            raise ValueError("expected http:// or https:// addresses, separated by commas")
        return urls

    @property
    def storage_url(self) -> str:
        """The address of storage-rest."""
        return self.storage_address or self.url_on_pod(STORAGE_PORT)
