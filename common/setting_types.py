"""The types of settings: how their values are written in an environment variable."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator
from pydantic_settings import NoDecode

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")


def parse_duration(text: object) -> float:
    """Return the seconds in a Go duration such as `2m30s`, `1.5h` or `500ms`; `0` needs no unit.

    Raises:
        ValueError: it is not a duration; the text says what is accepted.
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
    """Return the share, from 0 to 1, written as `20%` or `0.2`.

    Raises:
        ValueError: it is not a share; the text says what is accepted.
    """
    number, percent, rest = str(text).strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if rest or not 0 <= share <= 1:
        raise ValueError("expected a share such as 20% or 0.2")
    return share


def split_list(value: object) -> object:
    """Return the items of a text with commas, and anything else as it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _check_namespace(text: str) -> str:
    if not _NAMESPACE.fullmatch(text):
        raise ValueError("expected names of namespaces, separated by commas")
    return text


def _check_host(text: str) -> str:
    if "://" in text:
        raise ValueError("expected names or hosts such as registry.example.com, without https://")
    return text


def is_server_url(text: str) -> bool:
    """Return whether a text is an http or https URL with a host."""
    try:
        parts = urlsplit(text)
        host = (parts.hostname or "").encode("idna")
        return parts.scheme in ("http", "https") and bool(host) and parts.port != 0
    except ValueError:  # invalid brackets, port or name of the host
        return False


def _check_url(text: str) -> str:
    if not is_server_url(text):
        raise ValueError("expected a URL such as http://localhost:7070")
    return text


def _check_listed_url(text: str) -> str:
    if not is_server_url(text):
        raise ValueError("expected URLs such as https://registry.example.com, separated by commas")
    return text


def _check_url_with_name(text: str) -> str:
    name, separator, url = text.partition("=")
    if not separator or not _PLAIN_NAME.fullmatch(name):
        raise ValueError(
            "expected name=URL such as team=https://server.example.com, several separated by commas; names may contain "
            "letters, digits, '-', '_' and '.'"
        )
    _check_listed_url(url)
    return text


def _check_named_url(text: str) -> str:
    name, separator, url = text.partition("=")
    _check_listed_url(url if separator and _NAME.fullmatch(name) else text)
    return text


Duration = Annotated[float, BeforeValidator(parse_duration)]
"""Seconds, written as a Go duration."""
Share = Annotated[float, BeforeValidator(parse_share)]
"""A share from 0 to 1, written as a number or in per cent."""
CommaList = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split_list)]
"""Values separated by commas."""
NamespaceList = Annotated[
    tuple[Annotated[str, AfterValidator(_check_namespace)], ...], NoDecode, BeforeValidator(split_list)
]
"""Namespaces separated by commas (RFC 1123 labels, as the API server requires)."""
HostList = Annotated[tuple[Annotated[str, AfterValidator(_check_host)], ...], NoDecode, BeforeValidator(split_list)]
"""Names or hosts of servers separated by commas."""
Url = Annotated[str, AfterValidator(_check_url)]
"""The address of a server."""
NamedUrl = Annotated[str, AfterValidator(_check_named_url)]
"""The address of a server, with an optional name: `name=URL`."""
UrlList = Annotated[tuple[NamedUrl, ...], NoDecode, BeforeValidator(split_list)]
"""Addresses of servers separated by commas, each with an optional name: `name=URL`."""
NamedUrlList = Annotated[
    tuple[Annotated[str, AfterValidator(_check_url_with_name)], ...], NoDecode, BeforeValidator(split_list)
]
"""Addresses of servers separated by commas, each with a name: `name=URL`."""
