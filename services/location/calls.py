"""Describes how to call a model server: in a sentence, and as a command to paste into a shell. No I/O."""

import json
import shlex
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

from services.location.servers import Server
from services.location.view import View

TOKEN_NEEDED = "A bearer token is needed."  # noqa: S105 - a sentence
NO_TOKEN_NEEDED = "No token is needed."  # noqa: S105
PROTO_FILE = "open_inference.proto"
"""The file name under which the gRPC command expects the definition."""
GRPC_SERVICE = "inference.GRPCInferenceService"

_PROMPT = "Say hello in one sentence."
_MOST_NAMES = 3
_AUTHORIZATION = '-H "Authorization: Bearer $TOKEN"'
_JSON = "-H 'Content-Type: application/json'"


def describe(view: View, about: str = "") -> str:
    """Return a description of the model (`about`, else its own), a blank line, and how to call it, as Markdown."""
    text = about or view.about
    if view.server is None:
        return text
    return "\n\n".join(filter(None, (text.strip(), sentence(view.server))))


def sentence(server: Server) -> str:
    """Return how to call the server, in one line."""
    address = f"Call {server.base_url} with model {_choices(server.names)}."
    return f"{address} {TOKEN_NEEDED if server.token else NO_TOKEN_NEEDED}"


def in_code(text: str) -> str:
    """Return a text as Markdown code in one line."""
    line = " ".join(text.split())
    fence = "`"
    while fence in line:
        fence += "`"
    space = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{space}{line}{space}{fence}"


def commands(server: Server) -> str:
    """Return the commands that call the server, one below the other; empty if its protocol is unknown.

    The commands read a bearer token from `$TOKEN`, if one is needed.
    """
    name = server.names[0]
    path = quote(name, safe="")
    match server.server_type:
        case "openai-v1":
            return _openai(server, name)
        case "open-inference-protocol-v2":
            metadata = _curl(server, f"/v2/models/{path}")
            inference = _curl(server, f"/v2/models/{path}/infer", TENSORS)
            return f"# names, types and shapes of the inputs\n{metadata}\n{inference}"
        case "kserve-v1":
            return _curl(server, f"/v1/models/{path}:predict", INSTANCES)
        case "grpc":
            return _grpcurl(server, {"name": name})
        case _:
            return ""


TENSORS = {"inputs": [{"name": "input-0", "shape": [1, 4], "datatype": "FP32", "data": [0.1, 0.2, 0.3, 0.4]}]}
"""An example request of the Open Inference Protocol; names and shapes differ between models."""
INSTANCES = {"instances": [[6.8, 2.8, 4.8, 1.4]]}
"""An example request of KServe's protocol version 1."""


def chat_request(name: str) -> dict[str, object]:
    """Return an example request for a chat completion."""
    return {"model": name, "messages": [{"role": "user", "content": _PROMPT}], "max_tokens": 64}


def embedding_request(name: str) -> dict[str, object]:
    """Return an example request for an embedding."""
    return {"model": name, "input": "A sentence to embed."}


def _openai(server: Server, name: str) -> str:
    if server.embeds:
        return _curl(server, "/embeddings", embedding_request(name))
    if server.generates:
        return _curl(server, "/chat/completions", chat_request(name))
    return _curl(server, "/models")


def _curl(server: Server, path: str, body: object = None) -> str:
    lines = [f"curl {shlex.quote(server.base_url.rstrip('/') + path)}"]
    if server.token:
        lines.append(_AUTHORIZATION)
    if body is not None:
        lines += [_JSON, f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}"]
    return _joined(lines)


def _grpcurl(server: Server, request: object) -> str:
    parts = urlsplit(server.base_url)
    plain = parts.scheme in ("http", "grpc", "h2c")
    host = parts.netloc.rpartition("@")[2]
    if parts.port is None:
        host = f"{host}:{80 if plain else 443}"
    lines = ["grpcurl -plaintext" if plain else "grpcurl"]
    if server.token:
        lines.append(_AUTHORIZATION)
    lines += [
        f"-proto {PROTO_FILE}",
        f"-d {shlex.quote(json.dumps(request, ensure_ascii=False))}",
        f"{shlex.quote(host)} {GRPC_SERVICE}/ModelMetadata",
    ]
    return _joined(lines)


def _joined(lines: Iterable[str]) -> str:
    return " \\\n  ".join(lines)


def _choices(names: tuple[str, ...]) -> str:
    shown = [in_code(name) for name in names[:_MOST_NAMES]]
    if len(names) > _MOST_NAMES:
        shown.append(f"{len(names) - _MOST_NAMES} others")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"
