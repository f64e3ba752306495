"""Step "settings": the settings in the environment, and which are misspelt, invalid or risky. No I/O."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from pydantic import SecretStr

from common.settings import ServiceSettings, SettingsError
from services.connector.doctor.report import Finding
from services.location.settings import LocationSettings
from services.normalizer.normalize.links import without_credentials
from services.normalizer.settings import NormalizerSettings
from services.storage_rest.settings import StorageSettings

_CLASSES: tuple[type[ServiceSettings], ...] = (NormalizerSettings, StorageSettings, LocationSettings)
S = TypeVar("S", bound=ServiceSettings)

_SIMILAR = 0.85
_SHORTEST_POLL = 5.0
_FOREIGN = ("_SERVICE_HOST", "_SERVICE_PORT", "_PORT", "_ADDR", "_PROTO")
"""Endings of the variables that the kubelet sets for every Service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of all services in the environment."""

    normalizer: NormalizerSettings
    storage: StorageSettings
    location: LocationSettings


def read_settings(environ: Mapping[str, str]) -> tuple[Settings, list[Finding]]:
    """Return the settings, with defaults instead of invalid values, and the findings."""
    findings = list(_misspelt(environ))
    settings = Settings(
        normalizer=_read(NormalizerSettings, environ, findings),
        storage=_read(StorageSettings, environ, findings),
        location=_read(LocationSettings, environ, findings),
    )
    findings += _risks(settings)
    given = sorted(f"{name}={value}" for name, value in _in_effect(settings, environ))
    findings.append(
        Finding(
            "ok", f"settings in the environment: {'; '.join(given)}" if given else "all settings have their defaults"
        )
    )
    return settings, findings


def _aliases() -> set[str]:
    return {field.alias for kind in _CLASSES for field in kind.model_fields.values() if field.alias}


def _read(kind: type[S], environ: Mapping[str, str], findings: list[Finding]) -> S:
    """Return the settings of one service without invalid values, which are reported."""
    aliases = {field.alias for field in kind.model_fields.values() if field.alias}
    given = {name: value for name, value in environ.items() if name in aliases}
    while True:
        try:
            return kind.load(**given)
        except SettingsError as error:
            for line in str(error).splitlines():
                name = line.split(" ", 1)[0].rstrip(":")
                fault = Finding("fault", line, f"correct or remove {name} in the container's env")
                findings += [fault] if fault not in findings else []
                if given.pop(name, None) is None:
                    given.clear()


def _misspelt(environ: Mapping[str, str]) -> Iterator[Finding]:
    known = _aliases()
    by_upper = {name.upper(): name for name in known}
    for name in sorted(environ.keys() - known):
        if name.endswith(_FOREIGN):
            continue
        near = difflib.get_close_matches(name.upper(), by_upper, n=1, cutoff=_SIMILAR)
        if near:
            meant = by_upper[near[0]]
            yield Finding(
                "warning", f"the variable {name} is not known: did you mean {meant}?", f"rename it to {meant}"
            )


def _risks(settings: Settings) -> Iterable[Finding]:
    normalizer, storage = settings.normalizer, settings.storage
    risks = (
        (
            bool(normalizer.model_registry_insecure),
            f"MODEL_REGISTRY_INSECURE: the certificates of {', '.join(normalizer.model_registry_insecure)} are not "
            "verified, so anyone who answers there gets the token",
            "remove it, and set MODEL_REGISTRY_CA_FILE to a file with the certificate of their authority",
        ),
        (
            settings.location.open_reads,
            "OPEN_READS: every host that reaches the pod may read the feed",
            "remove OPEN_READS; readers in the pod need no token",
        ),
        (
            normalizer.removal_guard == "off" or storage.removal_guard == "off",
            "REMOVAL_GUARD=off: a source that loses most of its models by mistake empties the catalog at once",
            "remove REMOVAL_GUARD",
        ),
        (
            normalizer.removal_hold == 0,
            "REMOVAL_HOLD=0: a model that is missing from its source by mistake leaves the catalog at once",
            "remove REMOVAL_HOLD; deleted models leave the catalog at once in any case",
        ),
        (
            storage.storage_type == "Memory",
            "STORAGE_TYPE=Memory: the cache is lost when the process ends",
            "set STORAGE_TYPE=ConfigMap, which keeps it in the cluster",
        ),
        (
            0 <= normalizer.polling_interval < _SHORTEST_POLL,
            f"POLLING_INTERVAL: registries are polled every {normalizer.polling_interval:g} s",
            "set it to 30s or more; InferenceServices are watched and need no polling",
        ),
        (
            normalizer.writes_yaml,
            "NORMALIZER_FORMAT=CatalogInfoYamlFormat: the plugins of Developer Hub cannot read this format",
            "set NORMALIZER_FORMAT=JsonArrayFormat; a Backstage without plugins reads /catalog-info.yaml in any case",
        ),
    )
    return [Finding("warning", message, remedy) for holds, message, remedy in risks if holds]


def _in_effect(settings: Settings, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the known variables that are set; secrets without their value."""
    seen = set()
    for each in (settings.normalizer, settings.storage, settings.location):
        for name, field in type(each).model_fields.items():
            if field.alias and field.alias not in seen and environ.get(field.alias, "").strip():
                seen.add(field.alias)
                value = getattr(each, name)
                shown = without_credentials(environ[field.alias].strip())
                yield field.alias, "(set)" if isinstance(value, SecretStr) else shown
