"""Makes an OpenAPI 3.0 definition from the protocol of a model server and what the server announces. No I/O.

It is written as JSON, and small (`MOST_BYTES`), because Backstage stores each of them.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlsplit

from common.details import ServerType
from services.location import calls
from services.location.servers import Server
from services.location.view import View

MOST_BYTES: Final = 4096
"""Most bytes of a definition that is made here."""
PROTOCOLS: Final = {
    "openai-v1": "OpenAI-compatible API.",
    "open-inference-protocol-v2": "Open Inference Protocol, version 2.",
    "kserve-v1": "KServe's prediction protocol, version 1.",
    "grpc": "Open Inference Protocol over gRPC.",
}
UNKNOWN_PROTOCOL: Final = "The protocol of this server is unknown. Its owner can add an API specification."
_MOST_NAMES = 20
_FEWER = (20, 12, 6)
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_GENERATING = frozenset({"/chat/completions", "/completions"})
_PATH_PARAMETER = re.compile(r"\{([^{}]+)\}")
_WELL_FORMED = re.compile(r"/(?:[^{}?#\s]|\{[^{}/?#\s]+\})*\Z")
_VERSION: Final = {"openai-v1": "v1", "open-inference-protocol-v2": "v2", "kserve-v1": "v1"}
_PARTICULAR: Final = re.compile(r'"(?:TITLE|VERSION|DESCRIPTION|URL|ROOT|NAMES?)"|(?<=/models/)PATH')


Json = dict[str, Any]


class Operation(NamedTuple):
    """An operation that a server announces: the method in lower case; `is_below`: its path is below the base URL."""

    method: str
    path: str
    is_below: bool


def openapi(view: View, server: Server) -> str:
    """Return an OpenAPI 3.0 definition; with fewer names and operations, or no paths, if it would be too large."""
    known = _operations(server)
    kind = (server.server_type, server.embeds, server.generates, server.token)
    for most_names, operations in ((_MOST_NAMES, known), (1, known), *((1, known[:most]) for most in _FEWER if known)):
        text = _filled(_template(*kind, operations), view, server, server.names[:most_names])
        if len(text.encode()) <= MOST_BYTES:
            return text
    return _filled(_template("", False, False, server.token, ()), view, server, ())


def _operations(server: Server) -> tuple[Operation, ...]:
    """Return the operations that the server announces; those of an OpenAI API are relative to its base URL."""
    below = urlsplit(server.base_url).path.removeprefix(urlsplit(server.url).path.rstrip("/")).rstrip("/")
    found = []
    for operation in server.operations:
        method, _, path = operation.partition(" ")
        is_below = bool(below) and path.startswith(f"{below}/")
        if method.lower() in _METHODS and _WELL_FORMED.match(path):
            rest = path.removeprefix(below) if is_below else path
            found.append(Operation(method.lower(), rest, is_below or not below))
    return tuple(found)


def _filled(template: str, view: View, server: Server, names: tuple[str, ...]) -> str:
    """Return a template with the values of one model."""
    values = {
        "TITLE": view.title[:200],
        "VERSION": _VERSION.get(server.server_type) or view.details.version[:60] or "unknown",
        "DESCRIPTION": _description(server) if names else calls.sentence(server)[:1000],
        "URL": server.base_url,
        "ROOT": server.url,
        "NAME": server.names[0],
        "NAMES": names,
    }
    texts = {f'"{name}"': json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    texts["PATH"] = quote(server.names[0], safe="")  # as a part of a path; braces would make it a template
    return _PARTICULAR.sub(lambda match: texts[match[0]], template)


@cache
def _template(
    server_type: ServerType, embeds: bool, generates: bool, token: bool, operations: tuple[Operation, ...]
) -> str:
    """Return the definition for a kind of server, with words in capitals for the values that `_filled` inserts.

    There are few kinds and many models, and writing indented JSON takes longer than everything else about an entry.
    """
    document: Json = {
        "openapi": "3.0.3",
        "info": {"title": "TITLE", "version": "VERSION", "description": "DESCRIPTION"},
        "servers": [{"url": "URL"}],
    }
    if token:
        document["security"] = [{"token": []}]
        scheme = {"type": "http", "scheme": "bearer", "description": "A token of an account that may use this model"}
        document["components"] = {"securitySchemes": {"token": scheme}}
    match server_type:
        case _ if operations:
            described = _openai_paths(True, False) | _openai_paths(False, True) if server_type == "openai-v1" else {}
            document["paths"] = _announced_paths(operations, described, embeds)
        case "openai-v1":
            document["paths"] = _openai_paths(embeds, generates)
        case "open-inference-protocol-v2":
            document["paths"] = _inference_paths()
        case "kserve-v1":
            document["paths"] = _prediction_paths()
        case _:
            document["paths"] = {}
    return dump(document)


def _description(server: Server) -> str:
    commands = calls.commands(server)
    paragraphs = [
        PROTOCOLS.get(server.server_type, UNKNOWN_PROTOCOL),
        calls.sentence(server),
        f"```bash\n{commands}\n```" if commands else "",
    ]
    return "\n\n".join(filter(None, paragraphs))


def _openai_paths(embeds: bool, generates: bool) -> Json:
    model = {"type": "string", "enum": "NAMES"}
    text, number = {"type": "string"}, {"type": "integer"}
    paths = {"/models": _get("List the models that are served", "listModels")}
    if embeds:
        properties = {"model": model, "input": {"oneOf": [text, {"type": "array", "items": text}]}}
        example = calls.embedding_request("NAME")
        paths["/embeddings"] = _post("Embed texts", "createEmbedding", properties, ["model", "input"], example)
        return paths
    if not generates:
        return paths
    message = {"type": "object", "required": ["role"], "properties": {"role": text, "content": {}}}
    common = {"max_tokens": number, "temperature": {"type": "number"}, "stream": {"type": "boolean"}}
    chat = {"model": model, "messages": {"type": "array", "items": message}, **common}
    chat["tools"] = {"type": "array", "items": {"type": "object"}}
    paths["/chat/completions"] = _post(
        "Continue a conversation",
        "createChatCompletion",
        chat,
        ["model", "messages"],
        calls.chat_request("NAME"),
    )
    paths["/completions"] = _post(
        "Continue a text",
        "createCompletion",
        {"model": model, "prompt": text, **common},
        ["model", "prompt"],
        {"model": "NAME", "prompt": "Once upon a time", "max_tokens": 16},
    )
    return paths


def _announced_paths(operations: Iterable[Operation], described: Json, embeds: bool) -> Json:
    """Return the operations that a server announces: as in `described`, else with the parameters of their paths.

    Servers also announce operations for other tasks than the model's: an embedding model cannot generate text.
    """
    paths: dict[str, Json] = {}
    for method, path, is_below in operations:
        if embeds and path in _GENERATING:
            continue
        item = paths.setdefault(path, {} if is_below else {"servers": [{"url": "ROOT"}]})
        known = described.get(path, {}) if is_below else {}
        item[method] = known.get(method) or _undescribed_operation(method, path)
    return paths


def _undescribed_operation(method: str, path: str) -> Json:
    operation: Json = {"responses": {"200": {"description": "The answer"}}}
    if names := dict.fromkeys(_PATH_PARAMETER.findall(path)):
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if method in ("post", "put", "patch"):
        operation["requestBody"] = {"content": {"application/json": {}}}
    return operation


def _inference_paths() -> Json:
    path = "/v2/models/PATH"
    tensor = {
        "type": "object",
        "required": ["name", "shape", "datatype", "data"],
        "properties": {
            "name": {"type": "string"},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "datatype": {"type": "string"},
            "data": {"type": "array", "items": {}},
            "parameters": {"type": "object"},
        },
    }
    properties = {
        "id": {"type": "string"},
        "parameters": {"type": "object"},
        "inputs": {"type": "array", "items": tensor},
        "outputs": {"type": "array", "items": {"type": "object"}},
    }
    return {
        "/v2/health/ready": _get("Is the server ready?", "serverReady"),
        path: _get("Inputs and outputs of the model", "modelMetadata"),
        f"{path}/ready": _get("Is the model ready?", "modelReady"),
        f"{path}/infer": _post("Infer", "modelInfer", properties, ["inputs"], calls.TENSORS),
    }


def _prediction_paths() -> Json:
    path = "/v1/models/PATH"
    properties = {"instances": {"type": "array", "items": {}}, "parameters": {"type": "object"}}
    return {
        path: _get("Is the model ready?", "modelReady"),
        f"{path}:predict": _post("Predict", "predict", properties, ["instances"], calls.INSTANCES),
    }


def _get(summary: str, operation: str) -> Json:
    return {"get": {"summary": summary, "operationId": operation, "responses": _ok()}}


def _post(summary: str, operation: str, properties: Json, required: list[str], example: object) -> Json:
    schema = {"type": "object", "required": required, "properties": properties}
    content = {"application/json": {"schema": schema, "example": example}}
    return {
        "post": {
            "summary": summary,
            "operationId": operation,
            "requestBody": {"required": True, "content": content},
            "responses": _ok(),
        }
    }


def _ok() -> Json:
    return {"200": {"description": "The answer", "content": {"application/json": {}}}}


def dump(document: Json) -> str:
    """Return a definition as text."""
    return json.dumps(document, ensure_ascii=False, indent=1)
