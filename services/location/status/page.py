"""Renders the status page: one HTML template, with every value escaped and nothing loaded from other hosts."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from common import NORMALIZER, STORAGE, removals
from services.location.second_generation import base_path
from services.location.status.answer import Status
from services.location.status.models import ModelQuery, Show

_LATEST: Final = 20
"""How many arrivals, and how many departures, the page lists."""
_READERS: Final[Mapping[str, str]] = {
    "first-generation": "First generation",
    "second-generation": "Second generation",
    "plain": "Plain catalog location",
    "techdocs": "TechDocs",
}
_SHOWS: Final[Mapping[Show, str]] = {
    "all": "all",
    "deployed": "deployed",
    "undeployed": "not deployed",
    "leaving": "about to leave",
}
_KINDS: Final[Mapping[str, str]] = {
    "kserve": "InferenceServices",
    "llm": "LLMInferenceServices",
    "openai": "models of an OpenAI-compatible server",
    "cluster": "a cluster that could not be read yet",
    "registry": "registered models",
}
_REASONS: Final[Mapping[str, str]] = {
    removals.NOT_LISTED: "its source was read completely and does not list it, but reported no deletion",
    removals.NOT_READY: "it exists, but has not been ready for a while",
    removals.SOURCE_GONE: "its source is no longer configured or found",
    removals.NOT_NAMED: "the original connector's normalizer no longer lists it",
}


def render(status: Status, wanted: ModelQuery, *, connector_id: str) -> str:
    """Return the page for `status`, whose models match `wanted`."""
    answers = {service.name: service.answers and not service.fault for service in status.services}
    return _template().render(
        status=status,
        wanted=wanted,
        second=_relative(f"{base_path(connector_id)}list"),
        query=_query(wanted, wanted.page),
        latest=_LATEST,
        readers=_READERS,
        shows=_SHOWS,
        kinds=_KINDS,
        reasons=_REASONS,
        storage_answers=answers.get(STORAGE, False),
        normalizer_answers=answers.get(NORMALIZER, False),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader(__package__ or "", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "ago": ago,
        "clock": _clock,
        "rfc3339": _rfc3339,
        "relative": _relative,
        "opens": _opens,
        "page_url": lambda wanted, page: f"{_query(wanted, page) or '?'}#models",
    }
    return environment.get_template("page.html")


def ago(at: datetime, now: datetime) -> str:
    """Return the time from `at` to `now` in words: `40 s ago`, `3 min ago`, `2 h ago`, `5 days ago`."""
    seconds = int((now - at).total_seconds())
    if seconds < 1:
        return "just now"
    for unit, size in (("days", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= (2 if unit == "days" else 1) * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _clock(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _rfc3339(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _opens(address: str) -> bool:
    """Return whether an address is safe as a link: a web page, or a card that location serves."""
    return address.startswith(("https://", "http://", "/modelcard"))


def _relative(path: str) -> str:
    """Return one of our paths relative to the page, because a proxy may add a prefix; other addresses unchanged."""
    return path.removeprefix("/")


def _query(wanted: ModelQuery, page: int) -> str:
    given = {"q": wanted.words, "show": "" if wanted.show == "all" else wanted.show, "page": page if page > 1 else ""}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"?{query}" if query else ""
