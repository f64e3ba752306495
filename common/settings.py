"""Configuration from the environment: what all services share, and the types of its values.

Each service derives its settings from `ServiceSettings`; a field's alias is the name of its variable. The names of the
Secret's keys (`token`, `ca.crt`, `namespace`) are variables too, because the pod gets the Secret by `envFrom`.
"""

import os
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from common.secrets import StaticToken, TokenSource

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


class SettingsError(Exception):
    """The environment cannot be used; the text names each variable at fault and what it accepts."""


def parse_duration(text: object) -> float:
    """Return the seconds that a Go duration such as `2m30s`, `1.5h` or `500ms` stands for; `0` needs no unit.

    Raises:
        ValueError: saying what is accepted.
    """
    if isinstance(text, int | float):
        return float(text)
    given = str(text).strip()
    if given == "0":
        return 0.0
    parts = _PART.findall(given)
    if not parts or "".join(number + unit for number, unit in parts) != given:
        raise ValueError("expected a duration such as 90s, 2m30s or 1h")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def parse_share(text: object) -> float:
    """Return the share of a whole that `20%` or `0.2` stands for.

    Raises:
        ValueError: saying what is accepted.
    """
    number, percent, rest = str(text).strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 <= share <= 1:
        raise ValueError("expected a share such as 20% or 0.2")
    return share


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets or a port that are not
        usable = False
    if not usable:
        raise ValueError("expected URLs such as https://registry.example.com, with commas between them")
    return text


def _check_url_with_name(text: str) -> str:
    name, separator, url = text.partition("=")
    if not separator or not _PLAIN_NAME.fullmatch(name):
        raise ValueError(
            "expected name=URL such as team=https://server.example.com, with commas between several; names are made of "
            "letters, digits, '-', '_' and '.'"
        )
    _check_url(url)
    return text


def _check_named_url(text: str) -> str:
    name, separator, url = text.partition("=")
    _check_url(url if separator and _NAME.fullmatch(name) else text)
    return text


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written as a Go duration."""
Share = Annotated[float, BeforeValidator(parse_share)]
"""A part of a whole, from 0 to 1; written as that or in per cent."""
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Several values with commas between them."""
Url = Annotated[str, AfterValidator(_check_url)]
"""The address of a server."""
UrlList = Annotated[tuple[Annotated[str, AfterValidator(_check_named_url)], ...], NoDecode, BeforeValidator(_split)]
"""Addresses of servers with commas between them, each perhaps with a name: `name=URL`."""
NamedUrlList = Annotated[
    tuple[Annotated[str, AfterValidator(_check_url_with_name)], ...], NoDecode, BeforeValidator(_split)
]
"""Addresses of servers with commas between them, each with a name: `name=URL`."""


class ServiceSettings(BaseSettings):
    """What every service reads from its environment."""

    model_config = SettingsConfigDict(
        case_sensitive=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
    )

    token: SecretStr | None = Field(None, alias="token", description="bearer token of the service account")
    k8s_token: SecretStr | None = Field(None, alias="K8S_TOKEN", description="the same, where `token` is not set")
    pod_ip: str = Field("localhost", alias="POD_IP", description="address of the pod")
    pod_namespace: str | None = Field(None, alias="POD_NAMESPACE", description="namespace of the pod and the cache")
    other_namespace: str | None = Field(None, alias="NAMESPACE", description="the same, where POD_NAMESPACE is not set")
    secret_namespace: str | None = Field(None, alias="namespace", description="the same, from the Secret")
    format: Literal["JsonArrayFormat", "CatalogInfoYamlFormat"] = Field(
        "JsonArrayFormat", alias="NORMALIZER_FORMAT", description="JsonArrayFormat is the only one that is written"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", alias="LOG_FORMAT", description="auto: console on a terminal, else json"
    )
    open_reads: bool = Field(False, alias="OPEN_READS", description="let other hosts read without the token")

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, Any]) -> dict[str, Any]:
        # Values out of a Secret may end in CR and LF; one that is nothing else is as good as absent.
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment and nothing else."""
        return (init_settings, env_settings)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Return the settings of this process's environment, with `overrides` (such as command line options) first.

        Raises:
            SettingsError: naming each variable whose value cannot be used.
        """
        try:
            return cls(**{name: value for name, value in overrides.items() if value is not None})
        except ValidationError as error:
            raise SettingsError("\n".join(_explain(cls, fault) for fault in error.errors())) from None

    @property
    def shared_token(self) -> TokenSource | None:
        """The token that the sidecars share, None on a machine that has none."""
        given = self.token or self.k8s_token
        return StaticToken(given.get_secret_value()) if given else None

    @property
    def namespace(self) -> str | None:
        """The namespace that the connector runs in, as far as the environment tells."""
        return self.pod_namespace or self.other_namespace or self.secret_namespace

    def url_on_pod(self, port: int) -> str:
        """Return the address of a sidecar that listens on `port`."""
        host = f"[{self.pod_ip}]" if ":" in self.pod_ip else self.pod_ip
        return f"http://{host}:{port}"


def _explain(settings: type[BaseSettings], fault: Mapping[str, Any]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "environment"
    field = next(
        (f for n, f in settings.model_fields.items() if name in (n, f.alias)),
        None,
    )
    variable = (field.alias if field else None) or name
    message = str(fault["msg"]).removeprefix("Value error, ")
    secret = field is not None and "Secret" in str(field.annotation)
    value = os.environ.get(variable)
    given = f" is {value[:80]!r}" if value is not None and not secret else ""
    return f"{variable}{given}: {message}"
