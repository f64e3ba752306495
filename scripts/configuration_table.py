"""The table of environment variables in docs/settings.md, from the settings classes of the three services.

`python -m scripts.configuration_table` writes it again; tests/docs/test_settings.py compares them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic.fields import FieldInfo

from common.setting_types import parse_duration
from common.settings import ServiceSettings
from services.location.settings import LocationSettings
from services.normalizer.settings import NormalizerSettings
from services.storage_rest.settings import StorageSettings

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN, END = "<!-- configuration: begin -->\n", "<!-- configuration: end -->\n"
SERVICES: dict[str, type[ServiceSettings]] = {
    "normalizer": NormalizerSettings,
    "storage": StorageSettings,
    "location": LocationSettings,
}


class Row(NamedTuple):
    """One variable: what it is when it is not set, what it means, and which services read it."""

    name: str
    default: str
    meaning: str
    services: tuple[str, ...]


def rows() -> list[Row]:
    """Return every variable, those of all services first; where services describe one differently, the first does."""
    found: dict[str, Row] = {}
    for service, settings in SERVICES.items():
        for field in settings.model_fields.values():
            name = field.alias or ""
            known = found.get(name)
            services = (*known.services, service) if known else (service,)
            found[name] = Row(name, _default(field), known.meaning if known else _meaning(field), services)
    return sorted(found.values(), key=lambda row: len(row.services) < len(SERVICES))


def table() -> str:
    """Return the table in Markdown."""
    lines = ["| variable | default | meaning | read by |", "|---|---|---|---|"]
    for row in rows():
        default = f"`{row.default}`" if row.default else ""
        services = "all" if len(row.services) == len(SERVICES) else ", ".join(row.services)
        lines.append(f"| `{row.name}` | {default} | {row.meaning} | {services} |")
    return "\n".join(lines) + "\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if value is None or value == ():
        return ""
    if any(getattr(mark, "func", None) is parse_duration for mark in field.metadata):
        return _duration(value)
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _meaning(field: FieldInfo) -> str:
    choices = ", ".join(f"`{choice}`" for choice in _choices(field.annotation))
    parts = [field.description or "", f"one of {choices}" if choices else ""]
    return "; ".join(part for part in parts if part).replace("|", r"\|")


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)


def main() -> None:
    """Write the table into docs/settings.md."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(before + BEGIN + table() + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
