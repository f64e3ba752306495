"""Definitions of what model servers speak, made for the model that is asked for. No I/O.

People's own specification wins; where they gave none, the protocol of the server says what can be asked of it. Every
definition is small (`MOST_BYTES`), because a catalog keeps each of them; an OpenAPI definition is written as JSON.
"""

import json
import re
from typing import Any, Final
from urllib.parse import quote

from services.location import calls
from services.location.proto import OPEN_INFERENCE_PROTO
from services.location.view import Server, View

MOST_BYTES: Final = 4096
_MOST_NAMES = 20
_VERSION: Final = {"openai-v1": "v1", "open-inference-protocol-v2": "v2", "kserve-v1": "v1"}
PROTOCOLS: Final = {
    "openai-v1": "OpenAI-compatible API.",
    "open-inference-protocol-v2": "Open Inference Protocol, version 2.",
    "kserve-v1": "KServe's prediction protocol, version 1.",
    "grpc": "Open Inference Protocol over gRPC.",
}
_UNKNOWN_PROTOCOL: Final = "Nobody has described what this server speaks: give it an API specification."
_TOP_LEVEL: Final = re.compile(r"^(openapi|servers)[ \t]*:", re.MULTILINE)
_MORE_DOCUMENTS: Final = re.compile(r"^(?:\.\.\.|---)", re.MULTILINE)
_VERSIONED_PATH: Final = re.compile(r"""(?:^|[\s"'{])/(?:openai/)?v1/""")

Json = dict[str, Any]


def definition(view: View, server: Server) -> tuple[str, str]:
    """Return the type of the server's API and its definition."""
    if server.specification:
        return server.api_type, _with_servers(server.specification, server)
    if server.server_type == "grpc":
        return "grpc", _grpc(view, server)
    if server.api_type in ("openapi", "grpc"):
        return "openapi", _openapi(view, server)
    return server.api_type, _undescribed(view, server)


def _openapi(view: View, server: Server) -> str:
    """Return an OpenAPI 3.0 definition; with fewer names to choose from, or no paths, where all is too much."""
    for names in (server.names[:_MOST_NAMES], server.names[:1]):
        text = _dump(_document(view, server, _paths(server, names)))
        if len(text.encode()) <= MOST_BYTES:
            return text
    return _dump(_document(view, server, {}, brief=True))


def _document(view: View, server: Server, paths: Json, *, brief: bool = False) -> Json:
    document: Json = {
        "openapi": "3.0.3",
        "info": {
            "title": view.title[:200],
            "version": _VERSION.get(server.server_type) or view.details.version[:60] or "unknown",
            "description": calls.sentence(server)[:1000] if brief else _description(server),
        },
        "servers": [{"url": server.base_url}],
    }
    if server.token:
        document["security"] = [{"token": []}]
        scheme = {"type": "http", "scheme": "bearer", "description": "A token of an account that may use this model"}
        document["components"] = {"securitySchemes": {"token": scheme}}
    return document | {"paths": paths}


def _description(server: Server) -> str:
    commands = calls.commands(server)
    paragraphs = [
        PROTOCOLS.get(server.server_type, _UNKNOWN_PROTOCOL),
        calls.sentence(server),
        f"```bash\n{commands}\n```" if commands else "",
    ]
    return "\n\n".join(filter(None, paragraphs))


def _paths(server: Server, names: tuple[str, ...]) -> Json:
    match server.server_type:
        case "openai-v1":
            return _openai_paths(server, names)
        case "open-inference-protocol-v2":
            return _inference_paths(names[0])
        case "kserve-v1":
            return _prediction_paths(names[0])
        case _:
            return {}


def _openai_paths(server: Server, names: tuple[str, ...]) -> Json:
    model = {"type": "string", "enum": list(names)}
    text, number = {"type": "string"}, {"type": "integer"}
    paths = {"/models": _get("List the models that are served", "listModels")}
    if server.embeds:
        properties = {"model": model, "input": {"oneOf": [text, {"type": "array", "items": text}]}}
        example = calls.embedding_request(names[0])
        paths["/embeddings"] = _post("Embed texts", "createEmbedding", properties, ["model", "input"], example)
        return paths
    if not server.generates:
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
        calls.chat_request(names[0]),
    )
    paths["/completions"] = _post(
        "Continue a text",
        "createCompletion",
        {"model": model, "prompt": text, **common},
        ["model", "prompt"],
        {"model": names[0], "prompt": "Once upon a time", "max_tokens": 16},
    )
    return paths


def _inference_paths(name: str) -> Json:
    path = f"/v2/models/{_in_path(name)}"
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


def _prediction_paths(name: str) -> Json:
    path = f"/v1/models/{_in_path(name)}"
    properties = {"instances": {"type": "array", "items": {}}, "parameters": {"type": "object"}}
    return {
        path: _get("Is the model ready?", "modelReady"),
        f"{path}:predict": _post("Predict", "predict", properties, ["instances"], calls.INSTANCES),
    }


def _in_path(name: str) -> str:
    """Return a name as a part of a path; `{` and `}` would make it a template."""
    return quote(name, safe="")


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


def _grpc(view: View, server: Server) -> str:
    said = (view.title, PROTOCOLS["grpc"], calls.sentence(server), calls.commands(server))
    comment = "\n".join(f"// {line}"[:400] for text in said for line in text.splitlines())
    return f"{comment}\n{OPEN_INFERENCE_PROTO}"


def _undescribed(view: View, server: Server) -> str:
    """Return what can be said in a format that has no place for an address alone."""
    if server.api_type == "asyncapi":
        info = {"title": view.title[:200], "version": "unknown", "description": calls.sentence(server)[:1000]}
        return _dump({"asyncapi": "2.6.0", "info": info, "channels": {}})
    return "\n".join(f"# {line[:400]}" for line in (view.title, calls.sentence(server), _UNKNOWN_PROTOCOL))


def _with_servers(specification: str, server: Server) -> str:
    """Return people's OpenAPI 3 specification with the server's address, when it names no server itself."""
    if server.api_type != "openapi":
        return specification
    if specification.lstrip().startswith("{"):
        return _json_with_servers(specification, server)
    found = set(_TOP_LEVEL.findall(specification))
    if found != {"openapi"} or _MORE_DOCUMENTS.search(specification.lstrip().removeprefix("---")):
        return specification
    return f"{specification.rstrip()}\nservers:\n- url: {json.dumps(_address(specification, server))}\n"


def _json_with_servers(specification: str, server: Server) -> str:
    try:
        document = json.loads(specification)
    except ValueError:
        return specification
    if not isinstance(document, dict) or "openapi" not in document or document.get("servers"):
        return specification
    return _dump(document | {"servers": [{"url": _address(specification, server)}]})


def _address(specification: str, server: Server) -> str:
    """Return the address that the specification's paths go below; those of vLLM's own start with /v1 themselves."""
    return server.url if _VERSIONED_PATH.search(specification) else server.base_url


def _dump(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, indent=1)
