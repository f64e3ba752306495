"""The rules of Backstage's catalog for names, tags, annotation keys and links, and repairs for values that break them.

Rules: Backstage, "Descriptor Format of Catalog Entities" (metadata.name, metadata.tags, metadata.annotations,
metadata.links) and its `KubernetesValidatorFunctions`. The catalog silently rejects an entity, or drops a value, that
breaks one of them, so values are repaired before they are served.
"""

import hashlib
import ipaddress
import re
import unicodedata
from functools import lru_cache
from typing import Literal

ApiType = Literal["openapi", "asyncapi", "graphql", "grpc"]
"""The types of APIs that Backstage shows (Backstage: "Kind: API", spec.type)."""
MAX_NAME = 63
"""Most characters in an entity name, a tag, and the name part of an annotation key."""

NAME_PATTERN = r"^[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*$"
TAG_PATTERN = r"^[a-z0-9:+#]+(?:-[a-z0-9:+#]+)*$"

_NAME = re.compile(NAME_PATTERN.replace("$", r"\Z"))
_TAG = re.compile(TAG_PATTERN.replace("$", r"\Z"))
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_PREFIX = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_MAX_PREFIX = 253

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
_SEPARATORS = "-_."
_APART = re.compile(r"[^a-zA-Z0-9]+")
_SEPARATOR_RUN = re.compile(r"[-_.]{2,}")
_NOT_IN_TAGS = re.compile(r"[^a-z0-9:+#]+")

_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(?=.)([^/?#]*)")
# `models:/churn/7`. A scheme of one letter is a Windows drive.
_ROOTED = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/[^/?#]")
_AUTHORITY = re.compile(r"(?:[^@]*@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(?::(?P<port>[0-9]{0,5}))?\Z")
_BLANK_OR_CONTROL = re.compile(r"[\s\x00-\x1f\x7f]")
_FORBIDDEN_IN_HOST = re.compile(r"[#/:<>?@\[\\\]^|]")
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z")
_MAX_PORT = 65535
_IN_ANY_LABEL = "0123456789-"
_WITH_A_HOST = {"http", "https", "ws", "wss", "ftp"}
_WITH_A_DOMAIN = {*_WITH_A_HOST, "file"}


def sanitize(text: str) -> str:
    """Return `text` as a name or a part of a key, by the original connector's rules; may be empty.

    Every character outside `[a-zA-Z0-9_-]` is removed, then every run of two or more separators; at most 63 characters
    are kept, without separators at the ends. `granite-3.1-8b` becomes `granite-31-8b`.
    """
    kept = _SEPARATOR_RUN.sub("", _NOT_IN_NAMES.sub("", text))
    return kept[:MAX_NAME].strip("-_.")


def readable(text: str) -> str:
    """Return `text` as a readable name with its dots, capitals and separate words; may be empty.

    Each run of other characters and separators becomes one `-`, but a single separator is kept; at most 63 characters
    are kept. `Granite 3.1 (8B)` becomes `Granite-3.1-8B`.
    """
    kept = _APART.sub(lambda run: run[0] if run[0] in _SEPARATORS else "-", text)
    return kept.strip(_SEPARATORS)[:MAX_NAME].rstrip(_SEPARATORS)


def short_hash(text: str) -> str:
    """Return eight hexadecimal digits that are the same for the same text, on every machine and in every run."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def entity_name(text: str, *, fallback: str = "") -> str:
    """Return a valid entity name made from `text`, else from `fallback`, else from a hash of `text`."""
    return sanitize(text) or sanitize(fallback) or short_hash(text)


def with_suffix(name: str, suffix: str) -> str:
    """Return the valid name `name-suffix`, with `name` cut so that both fit into 63 characters."""
    return f"{name[: MAX_NAME - len(suffix) - 1].rstrip('-_.')}-{suffix}"


def is_entity_name(text: str) -> bool:
    """Return whether the catalog accepts `text` as a name."""
    return len(text) <= MAX_NAME and _NAME.match(text) is not None


def is_tag(text: str) -> bool:
    """Return whether the catalog accepts `text` as a tag."""
    return len(text) <= MAX_NAME and _TAG.match(text) is not None


def tag(text: str) -> str | None:
    """Return the valid tag most similar to `text`, or None if it has no character that a tag may contain."""
    nearest = _NOT_IN_TAGS.sub("-", text.lower()).strip("-")[:MAX_NAME].strip("-")
    return nearest or None


@lru_cache  # the same few keys are in every document
def is_annotation_key(key: str) -> bool:
    """Return whether the catalog accepts `key`: `[lower-case DNS prefix/]name`."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (len(prefix) <= _MAX_PREFIX and _PREFIX.match(prefix)):
        return False
    return is_entity_name(name)


def is_link(text: str) -> bool:
    """Return whether `text` is an absolute URL for a browser's URL parser, which the catalog uses.

    Stricter than that parser: only `scheme://host` and `scheme:/path` count, so that prose such as `Note: see below` is
    not a URL; and hosts in a notation that only attackers use, such as `0x7f.1`, are refused.
    """
    if "\\" in text or _BLANK_OR_CONTROL.search(text):
        return False
    absolute = _ABSOLUTE.match(text)
    if absolute is None:
        rooted = _ROOTED.match(text)
        return rooted is not None and rooted["scheme"].lower() not in _WITH_A_DOMAIN
    scheme, authority = absolute[1].lower(), absolute[2]
    if not authority:
        return scheme not in _WITH_A_HOST
    if scheme == "file" and ("@" in authority or ":" in authority):
        return False
    parts = _AUTHORITY.match(authority)
    if parts is None or int(parts["port"] or 0) > _MAX_PORT:
        return False
    host = parts["host"]
    if host.startswith("["):
        return _is_address(host[1:-1], version=6)
    if _FORBIDDEN_IN_HOST.search(host):
        return False
    return scheme not in _WITH_A_DOMAIN or _is_domain(host)


def _is_domain(host: str) -> bool:
    """Return whether `host` is an IPv4 address or a domain name (URL standard, "domain to ASCII")."""
    labels = host.removesuffix(".").split(".")
    if _NUMBER.match(labels[-1]):
        return len(labels) == 4 and _is_address(".".join(labels), version=4)
    if host.isascii() and "%" not in host and "xn--" not in host.lower():
        return all(labels)
    return all(_is_label(label) for label in labels)


def _is_label(label: str) -> bool:
    if label.lower().startswith("xn--"):
        return _is_punycode(label.lower())
    if label.isascii():
        return bool(label) and "%" not in label
    letters = all(character.isalpha() or character in _IN_ANY_LABEL for character in label)
    if not letters or unicodedata.normalize("NFKC", label) != label:
        return False
    try:
        return bool(label.encode("idna"))
    except UnicodeError:
        return False


def _is_punycode(label: str) -> bool:
    try:
        decoded = label.encode().decode("idna")
        return decoded.encode("idna").decode() == label and not decoded.isascii() and _is_label(decoded)
    except UnicodeError:
        return False


def _is_address(host: str, *, version: int) -> bool:
    try:
        return ipaddress.ip_address(host).version == version
    except ValueError:
        return False
