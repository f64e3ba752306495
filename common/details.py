"""Details of a model that its JsonArrayFormat document cannot contain; stored with it, and used to render it.

The document has no field for a title, an owner that is a group, or the names that a server answers to. Everything must
work without these details too: entries of earlier versions and of the original connector have none.
"""

import base64
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from common import strict_json

ServerType = Literal["", "openai-v1", "open-inference-protocol-v2", "kserve-v1", "grpc"]
"""The protocol of a model server; empty if it is unknown. `openai-v1` is the plugin's documented value."""
HUGGING_FACE_SERVER = "huggingfaceserver"
"""The name of KServe's runtime whose OpenAI API is below `/openai`."""
SERVER_TYPES: tuple[ServerType, ...] = ("", "openai-v1", "open-inference-protocol-v2", "kserve-v1", "grpc")

LINK_ICONS = ("catalog", "chat", "dashboard", "docs", "email", "github", "help", "web")
"""Icons that every Backstage has (Backstage, "Descriptor Format", metadata.links)."""

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_MOST_ITEMS = 50
_MOST_CHARACTERS = 2000
_MOST_UNPACKED = 16 * 1024


@dataclass(frozen=True, slots=True)
class DetailLink:
    """A page about the model: an absolute http or https URL, a title, and an icon of `LINK_ICONS` or none."""

    url: str
    title: str
    icon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Details:
    """The details of one model version; an empty field is unknown or has the reader's default."""

    title: str = ""
    """The display name: `Granite 3.3 8B Instruct`."""
    owner: str = ""
    """The owner as a full entity reference, `group:default/ml-platform`; empty if the document's owner is enough."""
    system: str = ""
    """The Backstage System it is part of."""
    names: tuple[str, ...] = ()
    """The model names that a request may contain, the usual one first."""
    server_type: ServerType = ""
    operations: tuple[str, ...] = ()
    """The operations that the server announces, as `POST /v1/completions`, with paths below its address."""
    definition: str = ""
    """The server's own OpenAPI definition if it is small, compressed by `packed`."""
    tasks: tuple[str, ...] = ()
    """Its tasks, in Hugging Face's terms: `text-generation`, `feature-extraction`."""
    kind: str = ""
    """The kind of the deployment: `InferenceService`, `LLMInferenceService`."""
    namespace: str = ""
    deployment: str = ""
    """The namespace and the name of the deployment."""
    cluster: str = ""
    """The cluster's name, if there are others than the connector's own."""
    registry: str = ""
    model: str = ""
    version: str = ""
    """The names of the registry, the registered model and its version."""
    author: str = ""
    provider: str = ""
    license: str = ""
    """The name of the licence: its SPDX identifier, or the text that its owner wrote."""
    tags: tuple[str, ...] = ()
    """Valid tags in addition to those of the document: the format of a registered version."""
    location: str = ""
    """Where the model's files are, as text, if there is no URL."""
    connection: str = ""
    connection_type: str = ""
    connection_title: str = ""
    """The connection (a Secret) for access to the files: its name, type (`s3`, `uri` or `oci`) and display name."""
    api_entity: str = ""
    """The reference of an API entity that describes the server, if its owner named one."""
    links: tuple[DetailLink, ...] = ()

    def over(self, other: "Details", **changes: Any) -> "Details":
        """Return these details, with empty fields filled from `other`; `changes` override both."""
        return Details(**({name: getattr(self, name) or getattr(other, name) for name in _ALL} | changes))

    def encode(self) -> bytes:
        """Return the non-empty fields as a JSON object, or no bytes if all are empty; `decode` reads it."""
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
        return _COMPACT.encode(encoded).encode() if encoded else b""


def decode(raw: bytes) -> Details:
    """Return the details in a JSON object; fields that are unknown or have the wrong type are ignored.

    Invalid details never make an entry unusable: they may come from a newer version or another program.
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
    """Return a text compressed, in characters that need no escapes in JSON; `unpacked` reads it."""
    return base64.b64encode(zlib.compress(text.encode(), level=9)).decode()


def unpacked(written: str) -> str:
    """Return the text that `packed` compressed; empty if it is invalid or too large."""
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
