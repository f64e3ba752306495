"""Selects the proxy for a request from HTTPS_PROXY, HTTP_PROXY and NO_PROXY; requests inside the cluster need none."""

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

_CLUSTER_DOMAINS = (".svc", ".cluster.local", ".local", ".internal", ".localhost")


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for requests to `url`, None for a direct connection.

    Variables are read in lower case first, then in upper case, as curl does. IP addresses (the API server, the
    sidecars) and names inside the cluster are always reached directly, because a proxy does not know them.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".").lower()
    named = _variable(f"{parts.scheme}_proxy", environ) or _variable("all_proxy", environ)
    if not named or is_inside(host) or _is_exempt(host, parts.port, _variable("no_proxy", environ)):
        return None
    return named if "://" in named else f"http://{named}"


def is_inside(host: str) -> bool:
    """Return whether a host is in the cluster or on this machine, or is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return "." not in host or host.endswith(_CLUSTER_DOMAINS) or ".svc." in host
    return True


def _is_exempt(host: str, port: int | None, rules: str) -> bool:
    """Return whether NO_PROXY contains the host: as `*`, a name, or a domain, each with an optional port."""
    for rule in filter(None, (each.strip().lower() for each in rules.split(","))):
        name, _, only_port = rule.partition(":")
        domain = name.removeprefix("*").lstrip(".")
        if only_port and only_port != str(port or ""):
            continue
        if name == "*" or (domain and (host == domain or host.endswith(f".{domain}"))):
            return True
    return False


def _variable(name: str, environ: Mapping[str, str]) -> str:
    return (environ.get(name) or environ.get(name.upper()) or "").strip()
