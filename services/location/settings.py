"""Configuration of location."""

from typing import ClassVar

from pydantic import Field, field_validator

from common.settings import CommaList, Duration, ServiceSettings, Url

CONNECTOR_ID = "kserve-kubeflow-connector"
"""Under which id the second-generation reader knows the connector, unless it is told another."""


class LocationSettings(ServiceSettings):
    """What location reads from its environment."""

    strict: ClassVar[frozenset[str]] = frozenset({"BACKSTAGE_JWKS_URL"})

    storage_address: str | None = Field(
        None, alias="STORAGE_URL", description="address of storage-rest; default http://$POD_IP:7070"
    )
    normalizer_address: Url = Field(
        "http://127.0.0.1:8081",
        alias="NORMALIZER_URL",
        description="the normalizer, which is asked how its sources are",
    )
    connector_id: str = Field(
        CONNECTOR_ID,
        alias="CONNECTOR_ID",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$",
        description="id under which the second-generation reader knows the connector",
    )
    jwks_urls: CommaList = Field(
        (),
        alias="BACKSTAGE_JWKS_URL",
        description="where plugins of Backstage publish the keys of their service tokens, with commas between them; "
        "when set, the second-generation feed asks for such a token",
    )
    removal_hold: Duration | None = Field(
        None,
        alias="REMOVAL_HOLD",
        description="models that an original storage-rest lists no longer, many at once, stay for so long",
    )
    document_limit: int = Field(
        1024 * 1024, alias="DOCUMENT_LIMIT", gt=0, description="largest document taken, in bytes"
    )

    both_feeds: bool = Field(
        False,
        alias="BOTH_FEEDS",
        description="true where one Backstage reads the plain feed beside the second generation's: "
        "the entities of each then point at those of the other",
    )

    fetch_cards: bool = Field(
        False,
        alias="FETCH_CARDS",
        description="true to fetch a model's documentation where people named a single Markdown file as it",
    )
    fetch_cards_hosts: CommaList = Field(
        ("raw.githubusercontent.com", "gitlab.com", "huggingface.co", "codeberg.org"),
        alias="FETCH_CARDS_HOSTS",
        description="hosts (`name` or `name:port`) that such files are fetched from, with commas between them",
    )

    @field_validator("jwks_urls")
    @classmethod
    def _are_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        if not all(url.startswith(("http://", "https://")) for url in urls):
            raise ValueError("expected http:// or https:// addresses with commas between them")
        return urls

    @property
    def storage_url(self) -> str:
        """The address of storage-rest."""
        return self.storage_address or self.url_on_pod(7070)
