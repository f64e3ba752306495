"""Values that become links in Backstage: absolute URLs, without the credentials that people write into them.

An invalid URL makes the catalog reject the whole entity; a password or a signature in one would be
shown to every reader of the catalog.
"""

import re
from dataclasses import fields, replace
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

from common import backstage
from common.details import DetailLink, Details

_BLANK = re.compile(r"\s")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_USER_INFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/?#\s]*)@")
# In a text a URL may be invalid, with a slash in the password; `host:port/` is not a password.
_USER_INFO_IN_TEXT = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<user>[^/?#\s]*|[^/?#\s:]*:(?![0-9]{0,5}[/?#])[^\s]*)@"
)
_QUERY = re.compile(r"(?P<start>[?#])(?P<parameters>[^?#\s\"'<>`]*)")
_SEPARATOR = re.compile("[&;]")
# In these schemes the user is not a credential: it is a container in Azure, a shared account in ssh. Only a password
# is removed.
_NAMED_BY_USER = frozenset({"abfs", "abfss", "wasb", "wasbs", "adl", "ssh", "git+ssh", "sftp"})
# Parameters of signed URLs: AWS, Google, Alibaba, Tencent. Their other parameters are worth nothing without these.
_SIGNING_PREFIXES = ("x-amz-", "x-goog-", "x-oss-", "x-cos-", "q-sign", "q-ak")
_SECRET_NAMES = frozenset({"auth", "sas", "sig", "googleaccessid"})
_SECRET_ENDINGS = (
    "accesskey", "accesskeyid", "apikey", "authorization", "credential", "credentials", "passwd", "password",
    "privatekey", "pwd", "secret", "secretkey", "signature", "token",
)  # fmt: skip
_LISTS = ("names", "operations", "tasks")
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9]+")


class SafeUrl(NamedTuple):
    """An absolute URL without credentials; `stripped`: some were removed."""

    url: str
    stripped: bool


def read_link(written: str) -> SafeUrl | None:
    """Return `written` as an absolute URL, or None when it is not one.

    Blanks are percent-encoded. User-info, signatures and tokens are removed; everything else is kept.
    """
    scheme = _SCHEME.match(written)
    encoded = _BLANK.sub("%20", written) if scheme else written
    url = _without_parameters(_USER_INFO.sub(_kept_user, encoded) if "@" in encoded else encoded)
    return SafeUrl(url, stripped=url != encoded) if backstage.is_link(url) else None


def as_link(written: str) -> str | None:
    """Return `written` as an absolute URL without credentials, or None when it is not one."""
    link = read_link(written)
    return link.url if link else None


def without_credentials(text: str) -> str:
    """Return a text, such as prose or a message, without the credentials in its URLs."""
    if "=" not in text and "@" not in text:
        return text
    safe = _without_parameters(_USER_INFO_IN_TEXT.sub(_kept_user, text))
    return safe if safe == text else without_credentials(safe)  # removing one may have joined the parts of another


def details_without_credentials(details: Details) -> Details:
    """Return details without the credentials in any of their texts."""
    changed: dict[str, Any] = {name: tuple(map(without_credentials, getattr(details, name))) for name in _LISTS}
    for field in fields(details):
        if isinstance(text := getattr(details, field.name), str):
            changed[field.name] = without_credentials(text)
    return replace(details, **changed)


def is_web_address(link: str) -> bool:
    """Return whether a browser can open `link`."""
    return link.lower().startswith(("http://", "https://"))


def version_link(dashboard: str, registry: str, *, model: str, version: str, name: str) -> tuple[DetailLink, ...]:
    """Return the link to a registered version in the dashboard of OpenShift AI 3 and Open Data Hub, if it is known.

    `model` and `version` are ids, `name` is the version's.
    """
    if not dashboard or not registry:
        return ()
    path = "/".join(quote(part, safe="") for part in (registry, "registered-models", model, "versions", version))
    url = f"{dashboard.rstrip('/')}/ai-hub/registry/{path}"
    return (DetailLink(url, f"Model registry: version {without_credentials(name)}", "catalog"),)


def deployment_link(dashboard: str, namespace: str) -> tuple[DetailLink, ...]:
    """Return the link to the deployments of a namespace in the same dashboard, if it is known."""
    if not dashboard or not namespace:
        return ()
    url = f"{dashboard.rstrip('/')}/ai-hub/deployments/{quote(namespace, safe='')}"
    return (DetailLink(url, "Deployment in OpenShift AI", "dashboard"),)


def _kept_user(match: re.Match[str]) -> str:
    scheme, user = match["scheme"], match["user"]
    name, password, _ = user.partition(":")
    if scheme.lower() not in _NAMED_BY_USER:
        return f"{scheme}://"
    return f"{scheme}://{name}@" if password else match[0]


def _without_parameters(text: str) -> str:
    """Return a text without the secret parameters of its URLs, and of the URLs inside other parameters."""
    return _QUERY.sub(_kept_parameters, text) if "=" in text else text


def _kept_parameters(match: re.Match[str]) -> str:
    given = _SEPARATOR.split(match["parameters"])
    kept = [_kept_parameter(parameter) for parameter in given if not _is_secret(parameter)]
    if kept == given:
        return match[0]
    return match["start"] + "&".join(kept) if kept else ""


def _kept_parameter(parameter: str) -> str:
    name, _, value = parameter.partition("=")
    inner = unquote(value)
    if "://" in inner and (safe := without_credentials(inner)) != inner:
        return f"{name}={quote(safe, safe='')}"
    return parameter


def _is_secret(parameter: str) -> bool:
    name, separator, _ = parameter.partition("=")
    lowered = unquote(name).lower()
    plain = _NOT_ALPHANUMERIC.sub("", lowered)
    signs = lowered.startswith(_SIGNING_PREFIXES) or plain in _SECRET_NAMES or plain.endswith(_SECRET_ENDINGS)
    return bool(separator) and signs
