"""What is known of a model beyond its JsonArrayFormat document: kept beside it, for the code that renders it.

The document has no place for a title, an owner that is a group, or the names a server answers to. Every reader must
work without these details too: entries of earlier versions, and of the original connector, have none.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from common import strict_json

ServerType = Literal["", "openai-v1", "open-inference-protocol-v2", "kserve-v1", "grpc"]
"""The protocol that a model server speaks; empty when it is unknown. `openai-v1` is the plugin's documented value."""
SERVER_TYPES: tuple[ServerType, ...] = ("", "openai-v1", "open-inference-protocol-v2", "kserve-v1", "grpc")

LINK_ICONS = ("catalog", "chat", "dashboard", "docs", "email", "github", "help", "web")
"""Icons that a Backstage knows without configuration (Backstage: "Descriptor Format", metadata.links)."""

_MOST_ITEMS = 50
_MOST_CHARACTERS = 2000
_MOST_UNPACKED = 16 * 1024


@dataclass(frozen=True, slots=True)
class DetailLink:
    """A page about the model: an absolute http or https URL, what it shows, and an icon of `LINK_ICONS` or none."""

    url: str
    title: str
    icon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The details of one model version; what is empty is unknown or left to the reader's defaults."""

    title: str = ""
    """The name as people wrote it: `Granite 3.3 8B Instruct`."""
    owner: str = ""
    """The owner as a full entity reference, `group:default/ml-platform`; empty where the document says it all."""
    system: str = ""
    """The Backstage System it is part of."""
    names: tuple[str, ...] = ()
    """The names that a client may write as the model's name in a request, the usual one first."""
    server_type: ServerType = ""
    operations: tuple[str, ...] = ()
    """What the server says can be asked of it, as `POST /v1/completions`: paths below its address."""
    definition: str = ""
    """The server's own OpenAPI definition where it is small, as `packed` makes it."""
    tasks: tuple[str, ...] = ()
    """What it does, in Hugging Face's words: `text-generation`, `feature-extraction`."""
    kind: str = ""
    """The kind of the object that serves it: `InferenceService`, `LLMInferenceService`."""
    namespace: str = ""
    deployment: str = ""
    """The namespace and the name of the object that serves it."""
    cluster: str = ""
    """The cluster's name, where there is more than the connector's own."""
    registry: str = ""
    model: str = ""
    version: str = ""
    """The registry, the registered model and its version, each by the name that people gave it."""
    author: str = ""
    provider: str = ""
    license: str = ""
    """The licence by name: its SPDX identifier, or what people wrote."""
    tags: tuple[str, ...] = ()
    """Valid tags that readers get beyond those of the document: the format of a registered version."""
    location: str = ""
    """Where the model's files are, in words, where no URL can be given."""
    connection: str = ""
    connection_type: str = ""
    connection_title: str = ""
    """The connection (a Secret) that gives access to the files: its name, `s3`, `uri` or `oci`, its display name."""
    api_entity: str = ""
    """The API entity that describes the server, as an entity reference, where people name one of their own."""
    links: tuple[DetailLink, ...] = ()

    def over(self, other: "Details", **changes: Any) -> "Details":
        """Return these details, and those of `other` where these are empty; `changes` go before both."""
        return replace(other, **({name: value for name in _ALL if (value := getattr(self, name))} | changes))

    def encode(self) -> bytes:
        """Return the details as a JSON object without what is empty, or no bytes when all is; `decode` reads it."""
        encoded: dict[str, Any] = {}
        for name in _TEXTS:
            if value := getattr(self, name):
                encoded[_JSON_NAMES[name]] = value
        for name in _LISTS:
            if value := getattr(self, name):
                encoded[_JSON_NAMES[name]] = list(value)
        if self.links:
            encoded["links"] = [
                {name: value for name in _LINK_FIELDS if (value := getattr(link, name))} for link in self.links
            ]
        return json.dumps(encoded, ensure_ascii=False, separators=(",", ":")).encode() if encoded else b""


def decode(raw: bytes) -> Details:
    """Return the details in a JSON object; what is unknown or has the wrong type is left out.

    Details never make an entry unusable: a newer version may know more, another writer may get them wrong.
    """
    if not raw:
        return NO_DETAILS
    try:
        value = strict_json.parse_object(raw)
    except strict_json.JsonError:
        return NO_DETAILS
    given: dict[str, Any] = {name: _text(value.get(_JSON_NAMES[name])) for name in _TEXTS}
    given |= {name: _list(value.get(_JSON_NAMES[name])) for name in _LISTS}
    if given["server_type"] not in SERVER_TYPES:
        given["server_type"] = ""
    return Details(**given, links=_links(value.get("links")))


def packed(text: str) -> str:
    """Return a text compressed, in characters that JSON leaves as they are; `unpacked` reads it."""
    return base64.b64encode(zlib.compress(text.encode(), level=9)).decode()


def unpacked(written: str) -> str:
    """Return the text that `packed` compressed, empty when it is none, or one that is too large to be shown."""
    try:
        decompressing = zlib.decompressobj()
        content = decompressing.decompress(base64.b64decode(written, validate=True), _MOST_UNPACKED)
        return content.decode() if decompressing.eof else ""
    except (ValueError, zlib.error):
        return ""


def _text(value: object) -> str:
    return value[:_MOST_CHARACTERS] if isinstance(value, str) else ""


def _list(value: object) -> tuple[str, ...]:
    items = value[:_MOST_ITEMS] if isinstance(value, list) else ()
    return tuple(text for item in items if (text := _text(item)))


def _links(value: object) -> tuple[DetailLink, ...]:
    items = value[:_MOST_ITEMS] if isinstance(value, list) else ()
    links = []
    for item in items:
        if isinstance(item, Mapping):
            url, title, icon = (_text(item.get(name)) for name in _LINK_FIELDS)
            if url.lower().startswith(("http://", "https://")):
                links.append(DetailLink(url, title or url, icon if icon in LINK_ICONS else ""))
    return tuple(links)


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


_ALL = tuple(field.name for field in fields(Details))
_LISTS = ("names", "operations", "tags", "tasks")
_TEXTS = tuple(name for name in _ALL if name not in (*_LISTS, "links"))
_JSON_NAMES = {name: _json_name(name) for name in (*_TEXTS, *_LISTS)}
_LINK_FIELDS = ("url", "title", "icon")

NO_DETAILS = Details()
