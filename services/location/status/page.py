"""The status page: HTML without a build step, a request elsewhere or a script in it; every value is escaped."""

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Final
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from common.status import Status
from services.location.second_generation import base_path
from services.location.status.models import Show, Wanted

_LATEST: Final = 20
"""Arrivals, and departures, on the page."""
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
    "cluster": "a cluster that is not known yet",
    "registry": "registered models",
}
_REASONS: Final[Mapping[str, str]] = {
    "not-listed": "a complete look at its source lacks it, and nothing proves that it was deleted",
    "not-ready": "it is there, and has not been ready for a while",
    "source-gone": "its source is no longer configured or found",
    "not-in-keyset": "the normalizer, which is the original's, does not name it any more",
}


def render(status: Status, wanted: Wanted, *, connector_id: str) -> str:
    """Return the page that shows `status`, of which the models are those `wanted`."""
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
        storage_answers=answers.get("storage-rest", False),
        normalizer_answers=answers.get("rhoai-normalizer", False),
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
    """Return how long ago something was, in words: `40 s ago`, `3 min ago`, `2 h ago`, `5 days ago`."""
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
    """Return whether an address is safe to follow: a page elsewhere, or a card of ours."""
    return address.startswith(("https://", "http://", "/modelcard"))


def _relative(path: str) -> str:
    """Return a path of ours relative to the page, which may be shown below a prefix; other addresses as they are."""
    return path.removeprefix("/")


def _query(wanted: Wanted, page: int) -> str:
    given = {"q": wanted.words, "show": "" if wanted.show == "all" else wanted.show, "page": page if page > 1 else ""}
    query = urlencode({name: value for name, value in given.items() if value})
    return f"?{query}" if query else ""
