"""Chooses the API definition of a model server: OpenAPI, or a .proto file for gRPC. No I/O.

The specification written by the model's owner wins, then the server's own definition; without both, the definition is
made from the server's protocol.
"""

import json
import re
from typing import Final

from common.texts import parse_json
from services.location import calls
from services.location.openapi import MOST_BYTES, PROTOCOLS, UNKNOWN_PROTOCOL, dump, openapi
from services.location.proto import OPEN_INFERENCE_PROTO
from services.location.servers import Server
from services.location.view import View

_TOP_LEVEL: Final = re.compile(r"^(openapi|servers)[ \t]*:", re.MULTILINE)
_MORE_DOCUMENTS: Final = re.compile(r"^(?:\.\.\.|---)", re.MULTILINE)
_VERSIONED_PATH: Final = re.compile(r"""(?:^|[\s"'{])/(?:openai/)?v1/""")


def definition(view: View, server: Server) -> tuple[str, str]:
    """Return the type of the server's API and its definition."""
    if server.specification:
        return server.api_type, _with_servers(server.specification, server)
    if server.api_type == "openapi" and (text := _own(server)):
        return "openapi", text
    if server.server_type == "grpc":
        return "grpc", _grpc(view, server)
    if server.api_type in ("openapi", "grpc"):
        return "openapi", openapi(view, server)
    return server.api_type, _undescribed(view, server)


def _own(server: Server) -> str:
    """Return the server's own definition with the address for readers; empty if it has none or it is too large."""
    try:
        document = parse_json(server.definition)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    text = dump(document | {"servers": [{"url": server.url}]})
    return text if len(text.encode()) <= MOST_BYTES else ""


def _grpc(view: View, server: Server) -> str:
    texts = (view.title, PROTOCOLS["grpc"], calls.sentence(server), calls.commands(server))
    comment = "\n".join(f"// {line}"[:400] for text in texts for line in text.splitlines())
    return f"{comment}\n{OPEN_INFERENCE_PROTO}"


def _undescribed(view: View, server: Server) -> str:
    """Return a definition in a format that cannot hold just an address."""
    if server.api_type == "asyncapi":
        info = {"title": view.title[:200], "version": "unknown", "description": calls.sentence(server)[:1000]}
        return dump({"asyncapi": "2.6.0", "info": info, "channels": {}})
    return "\n".join(f"# {line[:400]}" for line in (view.title, calls.sentence(server), UNKNOWN_PROTOCOL))


def _with_servers(specification: str, server: Server) -> str:
    """Return the owner's OpenAPI 3 specification with the server's address added, if it names no server."""
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
        document = parse_json(specification)
    except ValueError:
        return specification
    if not isinstance(document, dict) or "openapi" not in document or document.get("servers"):
        return specification
    return dump(document | {"servers": [{"url": _address(specification, server)}]})


def _address(specification: str, server: Server) -> str:
    """Return the address that the specification's paths are relative to; vLLM's own paths start with /v1."""
    return server.url if _VERSIONED_PATH.search(specification) else server.base_url
