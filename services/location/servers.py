"""A model server as documents and their details describe it: addresses, protocol, names of models. No I/O."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from common.annotations import EXTERNAL_URL_ANNOTATION, INTERNAL_URL_ANNOTATION, NAME_ANNOTATION
from common.details import HUGGING_FACE_SERVER, NO_DETAILS, SERVER_TYPES, Details, ServerType, unpacked

_NO_SPECIFICATION = ("", "TBD")
"""The values of `API.spec` in a document whose API has no definition."""

_EMBEDDING_TASKS = frozenset(
    {"embedding", "embeddings", "feature-extraction", "sentence-similarity", "text-embedding", "text-embeddings"}
)
_TASKS_OF_OTHER_APIS = frozenset(
    {
        "audio-classification",
        "automatic-speech-recognition",
        "image-classification",
        "rerank",
        "reranking",
        "text-classification",
        "text-ranking",
        "text-to-image",
        "text-to-speech",
        "token-classification",
    }
)
"""Tasks for which an OpenAI server offers neither chat nor embeddings."""

_RUNTIMES: Mapping[str, ServerType] = {
    "vllm": "openai-v1",
    "nim": "openai-v1",
    "tgi": "openai-v1",
    "llamacpp": "openai-v1",
    "triton": "open-inference-protocol-v2",
    "tritonserver": "open-inference-protocol-v2",
    "ovms": "open-inference-protocol-v2",
    "openvino": "open-inference-protocol-v2",
    "mlserver": "open-inference-protocol-v2",
    "sklearnserver": "open-inference-protocol-v2",
    "xgbserver": "open-inference-protocol-v2",
    "lgbserver": "open-inference-protocol-v2",
}
"""Words in the tags of a document without details, and the protocol of the runtime of that name."""

_HAS_VERSION = re.compile(r"/v1(?:/|\Z)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A model server and how to call it.

    `base_url` is the address to give a client library (with `/v1` for OpenAI servers). `internal_url` (from inside the
    cluster) and `external_url` have the same form and may be empty. `names` are the model names that a request may
    contain: the usual one first, never empty. `operations` are those that the server announces, with paths below `url`.
    `definition` was read from the server, `specification` was written by the model's owner; both may be empty.
    """

    name: str
    url: str
    base_url: str
    internal_url: str
    external_url: str
    server_type: ServerType
    names: tuple[str, ...]
    token: bool
    embeds: bool
    generates: bool
    operations: tuple[str, ...]
    api_type: str
    definition: str
    specification: str


def read_server(model: Mapping[str, Any], part: Mapping[str, Any], details: Details) -> Server | None:
    """Return the server in a document (`part`) of a model; None without an address."""
    api = part.get("API")
    url = text_of(api, "url")
    if not api or not url:
        return None
    annotations = api.get("annotations", {})
    specification = text_of(api, "spec")
    server_type = _server_type(part, api, details)
    tags = (*part.get("tags", ()), *model.get("tags", ()))
    tasks = frozenset(task.lower().replace("_", "-") for task in details.tasks or tags)
    embeds = bool(tasks & _EMBEDDING_TASKS)

    def base_url(url: str) -> str:
        return _base_url(url, tags) if url and server_type == "openai-v1" else url

    return Server(
        name=re.sub(r"\s+", "", part["name"]),
        url=url,
        base_url=base_url(url),
        internal_url=base_url(annotations.get(INTERNAL_URL_ANNOTATION, "")),
        external_url=base_url(annotations.get(EXTERNAL_URL_ANNOTATION, "")),
        server_type=server_type,
        names=details.names or (model.get("annotations", {}).get(NAME_ANNOTATION) or model["name"],),
        token=part.get("authentication") is True,
        embeds=embeds,
        generates=not embeds and not tasks & _TASKS_OF_OTHER_APIS,
        operations=details.operations,
        api_type=text_of(api, "type") or "openapi",
        definition=unpacked(details.definition),
        specification="" if specification.strip() in _NO_SPECIFICATION else specification,
    )


def _server_type(part: Mapping[str, Any], api: Mapping[str, Any], details: Details) -> ServerType:
    annotated = part.get("annotations", {}).get("rhdh.io/serverType", "")
    for server_type in SERVER_TYPES:
        if server_type and server_type == annotated:
            return server_type
    if details.server_type:
        return details.server_type
    if text_of(api, "type") == "grpc" and text_of(api, "spec").strip() in _NO_SPECIFICATION:
        return "grpc"
    if details != NO_DETAILS:
        return ""
    words = {word for tag in part.get("tags", ()) for word in tag.split("-")}
    return next((_RUNTIMES[word] for word in _RUNTIMES if word in words), "")


def _base_url(url: str, tags: Iterable[str]) -> str:
    """Return the base URL of an OpenAI server's API."""
    if _HAS_VERSION.search(urlsplit(url).path):
        return url.rstrip("/")
    # KServe's own server puts /openai before /v1 (kserve, protocol/rest/openai: KSERVE_OPENAI_ROUTE_PREFIX).
    prefix = "/openai/v1" if any(HUGGING_FACE_SERVER in tag for tag in tags) else "/v1"
    return url.rstrip("/") + prefix


def text_of(part: Mapping[str, Any] | None, field: str) -> str:
    """Return a text in a part of a document, empty without one."""
    value = part.get(field) if part else None
    return value if isinstance(value, str) else ""
