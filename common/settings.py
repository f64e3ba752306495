"""Settings from environment variables: those that all services share, and what is used instead of invalid values.

Each service derives its settings from `ServiceSettings`; the alias of a field is the name of its variable. The keys of
the Secret (`token`, `ca.crt`, `namespace`) are variables too, because the pod gets the Secret by `envFrom`.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from common.health import Health
from common.secrets import StaticToken, TokenSource, is_sendable
from common.setting_types import split_list
from common.texts import is_unicode, unicode

_LONGEST_SHOWN = 80
_EXPECTED = {
    "bool_parsing": "expected true or false",
    "literal_error": "expected {expected}",
    "int_parsing": "expected a whole number",
    "float_parsing": "expected a number",
    "greater_than": "expected more than {gt}",
    "greater_than_equal": "expected at least {ge}",
    "less_than_equal": "expected at most {le}",
}
"""What a value must be, by the type of pydantic's error."""


class SettingsError(Exception):
    """A setting is invalid; the text names each variable and what it accepts."""


@dataclass(frozen=True, slots=True)
class UnusableSetting:
    """A variable with an invalid value: what is wrong with it, and which value is used instead."""

    variable: str
    fault: str
    instead: str

    def __str__(self) -> str:
        return f"{self.fault}; {self.instead or 'nothing'} is used instead: correct or remove {self.variable}"


class ServiceSettings(BaseSettings):
    """The environment variables that every service reads."""

    model_config = SettingsConfigDict(
        case_sensitive=True,
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        hide_input_in_errors=True,
        defer_build=True,  # of the services' settings only those that are read are built
    )

    token: SecretStr | None = Field(None, alias="token", description="bearer token of the service account")
    k8s_token: SecretStr | None = Field(None, alias="K8S_TOKEN", description="the same, if `token` is not set")
    pod_ip: str = Field("localhost", alias="POD_IP", description="address of the pod")
    pod_namespace: str | None = Field(None, alias="POD_NAMESPACE", description="namespace of the pod and the cache")
    other_namespace: str | None = Field(None, alias="NAMESPACE", description="the same, if POD_NAMESPACE is not set")
    secret_namespace: str | None = Field(None, alias="namespace", description="the same, from the Secret")
    format: Literal["JsonArrayFormat", "CatalogInfoYamlFormat"] = Field(
        "JsonArrayFormat",
        alias="NORMALIZER_FORMAT",
        description="format of the cache and of what `/list` lists: documents for plugins, or catalog-info.yaml files",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", alias="LOG_LEVEL")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", alias="LOG_FORMAT", description="auto: console on a terminal, else json"
    )
    open_reads: bool = Field(False, alias="OPEN_READS", description="let other hosts read without the token")

    strict: ClassVar[frozenset[str]] = frozenset({"token", "K8S_TOKEN"})
    """Variables whose invalid values are never replaced by the default: more would be visible, or to more people, than
    is wanted, another cache would be used, or no token would be needed to write."""
    _unusable: tuple[UnusableSetting, ...] = PrivateAttr(())

    @property
    def unusable(self) -> tuple[UnusableSetting, ...]:
        """The variables with invalid values, for which other values are used."""
        return self._unusable

    @model_validator(mode="before")
    @classmethod
    def _strip(cls, values: dict[str, Any]) -> dict[str, Any]:
        # Values from a Secret may end in CR and LF; an empty value counts as absent.
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("*", mode="before")
    @classmethod
    def _check_unicode(cls, value: Any) -> Any:
        if isinstance(value, str) and not is_unicode(value):
            raise ValueError("expected a text in UTF-8")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _check_secret(cls, value: Any) -> Any:
        if isinstance(value, SecretStr) and not is_sendable(value.get_secret_value()):
            raise ValueError("expected one line of ASCII")
        return value

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
        """Return the settings from the environment; `overrides`, such as command line options, take precedence.

        Raises:
            SettingsError: a value is invalid; the text names each variable.
        """
        return cls._load(overrides, tolerant=False)

    @classmethod
    def load_usable(cls, **overrides: Any) -> Self:
        """Return the settings as `load` does, with defaults in place of invalid values from the environment.

        Of a list, the valid items are used. The invalid values are in `unusable`.

        Raises:
            SettingsError: an override is invalid, or a variable in `strict` without any valid item.
        """
        return cls._load(overrides, tolerant=True)

    @classmethod
    def _load(cls, overrides: Mapping[str, Any], *, tolerant: bool) -> Self:
        given = {name: value for name, value in overrides.items() if value is not None}
        unusable: dict[str, UnusableSetting] = {}
        while True:
            try:
                settings = cls(**given)
            except ValidationError as error:
                faults = error.errors()
                fields = {name: (field, of_one) for name, field, of_one in _by_field(cls, faults)}
                instead = {name: _instead(field, of_one) for name, (field, of_one) in fields.items()}
                strict = {name for name, (field, _) in fields.items() if field.alias in cls.strict}
                fixed = {field.alias or name for name, (field, _) in fields.items()} | fields.keys()
                replaced = any(instead[name] == fields[name][0].default for name in strict)
                if not tolerant or not fields or replaced or fixed & given.keys():
                    raise SettingsError("\n".join(_explain(cls, fault) for fault in faults)) from None
                for name, (field, of_one) in fields.items():
                    given[name] = instead[name]
                    fault = "; ".join(dict.fromkeys(_explain(cls, each) for each in of_one))
                    unusable[name] = UnusableSetting(str(field.alias), fault, _written(given[name]))
                continue
            settings._unusable = tuple(unusable.values())
            return settings

    @property
    def writes_yaml(self) -> bool:
        """Whether the cache and `/list` are in the format CatalogInfoYamlFormat."""
        return self.format == "CatalogInfoYamlFormat"

    @property
    def shared_token(self) -> TokenSource | None:
        """The token that the sidecars share, None if there is none."""
        given = self.token or self.k8s_token
        return StaticToken(given.get_secret_value()) if given else None

    @property
    def namespace(self) -> str | None:
        """The namespace of the connector, None if the environment does not contain it."""
        return self.pod_namespace or self.other_namespace or self.secret_namespace

    def url_on_pod(self, port: int) -> str:
        """Return the address of the sidecar that listens on `port`."""
        host = f"[{self.pod_ip}]" if ":" in self.pod_ip else self.pod_ip
        return f"http://{host}:{port}"


def report_unusable(settings: ServiceSettings, health: Health) -> None:
    """Log a warning for each variable with an invalid value, and set a condition with the variable's name."""
    import structlog  # commands that only read settings do not need it

    log = structlog.get_logger("settings")
    for each in settings.unusable:
        if health.set(each.variable, False, str(each)):
            log.warning("setting_unusable", variable=each.variable, fault=each.fault, instead=each.instead)


def shown(value: str) -> str:
    """Return the first characters of a value, without anything that may be credentials in a URL."""
    return unicode(value.rpartition("@")[2].partition("?")[0][:_LONGEST_SHOWN])


def _by_field(
    settings: type[BaseSettings], faults: Iterable[Mapping[str, Any]]
) -> Iterable[tuple[str, FieldInfo, list[Mapping[str, Any]]]]:
    """Yield the name, the field and the faults of each invalid field."""
    located = [(str(fault["loc"][0]), fault) for fault in faults if fault["loc"]]
    for name, field in settings.model_fields.items():
        of_one = [fault for where, fault in located if where in (name, field.alias)]
        if of_one:
            yield name, field, of_one


def _instead(field: FieldInfo, faults: Iterable[Mapping[str, Any]]) -> Any:
    """Return what is used instead of an invalid value: the valid items of a list, else the default."""
    wrong = {fault["loc"][1] if len(fault["loc"]) > 1 else None for fault in faults}
    items = split_list(os.environ.get(str(field.alias), ""))
    if isinstance(field.default, tuple) and isinstance(items, list) and None not in wrong:
        return tuple(item for number, item in enumerate(items) if number not in wrong) or field.default
    return field.default


def _written(value: object) -> str:
    """Return a value as it is written in the environment."""
    match value:
        case tuple():
            return ", ".join(map(_written, value))
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
    return "" if value is None else shown(str(value))


def _explain(settings: type[BaseSettings], fault: Mapping[str, Any]) -> str:
    name = str(fault["loc"][0]) if fault["loc"] else "environment"
    field = next(
        (f for n, f in settings.model_fields.items() if name in (n, f.alias)),
        None,
    )
    variable = (field.alias if field else None) or name
    expected = _EXPECTED.get(fault["type"], "")
    message = expected.format(**fault.get("ctx", {})) or str(fault["msg"]).removeprefix("Value error, ")
    secret = field is not None and "Secret" in str(field.annotation)
    value: object = os.environ.get(variable)
    items = split_list(value)
    if len(fault["loc"]) > 1 and isinstance(items, list) and isinstance(number := fault["loc"][1], int):
        value = items[number] if number < len(items) else value
    given = f" is {shown(value)!r}" if isinstance(value, str) and not secret else ""
    return f"{variable}{given}: {message}"
