"""What model servers answer when they are asked for their models and their API, and which servers may be asked.

Source: OpenAI API reference, "List models" (vLLM, LiteLLM, Ollama and llama.cpp answer the same); OpenAPI
Specification 3, "Paths Object" (FastAPI serves it at /openapi.json, as vLLM and KServe's own servers do).
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from common.details import HUGGING_FACE_SERVER, packed
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import BY_PUBLISHER, is_grpc, is_internal, resolve
from services.normalizer.normalize.containers import unique_names
from services.normalizer.normalize.deployment import Addresses, Deployment, ServiceFacts, subject
from services.normalizer.normalize.links import without_credentials
from services.normalizer.normalize.readiness import READY
from services.normalizer.normalize.runtimes import OPENAI, Runtime, Served, detect_server_type
from services.normalizer.normalize.stated import StatedField, read_stated
from services.normalizer.normalize.storage import StorageFacts

_METHODS = ("get", "post", "put", "patch", "delete")
_PATH = re.compile(r"/[A-Za-z0-9._~{}:/-]{0,99}\Z")
# What every server of the kind has and no client of the model calls.
_MACHINERY = frozenset(
    {"/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/metrics", "/health", "/ping", "/load", "/version"}
)
_LARGEST_DEFINITION = 3800
"""Bytes, indented; readers get at most 4 KiB, with the server's address."""
_LARGEST_PACKED = 1000
_MOST_NAMES = 20
_MOST_OPERATIONS = 40
_MOST_CHARACTERS = 640
"""Characters of all names, and of all operations, because they are stored with every entry."""
MOST_MODELS = 50
"""The number of models of one server that are shown; readers accept no more (`common/details.py`)."""
_NAMED = 10
_PATTERN = "*"
_VERSION = "/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The models and the API of a server, as it lists them; empty where it does not.

    `definition` is its OpenAPI definition (packed) if that is small; else there are `operations`, such as
    `POST /v1/completions`.
    """

    names: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    definition: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """The paths to ask a server for, below its address; empty where it is not asked."""

    models: str = ""
    definition: str = ""


def read_models(answer: object) -> tuple[str, ...]:
    """Return the names that a deployment's server lists; `publishers/...` names the same models again."""
    names = [values.line_at(model, "id") for model in values.items_at(answer, "data")]
    plain = [name for name in names if not name.startswith(BY_PUBLISHER)]
    return tuple(_within_limits(unique_names(plain or names), _MOST_NAMES))


def read_operations(answer: object) -> tuple[str, ...]:
    """Return the operations in an OpenAPI definition, those of versioned APIs first."""
    if not (values.at(answer, "openapi") or values.at(answer, "swagger")):
        return ()
    paths = values.mapping(values.at(answer, "paths"))
    found = [
        f"{method.upper()} {path}"
        for path in sorted(paths, key=lambda path: "/v1/" not in str(path))
        if isinstance(path, str) and path not in _MACHINERY and _PATH.match(path)
        for method in _METHODS
        if method in values.mapping(paths[path])
    ]
    return tuple(_within_limits(found, _MOST_OPERATIONS))


def read_definition(answer: object) -> str:
    """Return an OpenAPI 3 definition, packed and without credentials; empty when it is something else, or too large."""
    if not (values.line_at(answer, "openapi").startswith("3.") and values.mapping(values.at(answer, "paths"))):
        return ""
    try:
        definition = _without_credentials(answer)
        size = len(json.dumps(definition, ensure_ascii=False, indent=1).encode())
        written = packed(json.dumps(definition, ensure_ascii=False, separators=(",", ":")))
    except (RecursionError, ValueError):  # nested deeply, or not Unicode
        return ""
    if size > _LARGEST_DEFINITION:
        return ""
    return written if len(written) <= _LARGEST_PACKED else ""


def _without_credentials(value: object) -> object:
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, dict):
        return {key: _without_credentials(item) for key, item in value.items()}
    return [_without_credentials(item) for item in value] if isinstance(value, list) else value


def _within_limits(texts: Sequence[str], most: int) -> Iterator[str]:
    room = _MOST_CHARACTERS
    for text in texts[:most]:
        room -= len(text)
        if room < 0:
            return
        yield text


def questions_for(
    deployment: Deployment, runtime: Runtime | None, *, models: bool, definitions: bool
) -> Questions | None:
    """Return what to ask a server, None when it must not be asked.

    It must be serving already, because a request must not start a pod with a GPU, and must need no token, because we
    have none for it. OpenAI servers are asked for their models, and they and unknown servers for a definition, unless
    people have given one.
    """
    asks_for_token = deployment.stated.asks_authentication
    if asks_for_token is None:
        asks_for_token = deployment.secured
    if not deployment.readiness.ready or deployment.may_scale_to_zero or asks_for_token:
        return None
    fields = deployment.stated.texts
    server_type = fields.get("servertype") or detect_server_type(deployment.served, runtime)
    questions = Questions(
        models=_models_path(deployment) if models and server_type == OPENAI else "",
        definition="/openapi.json" if definitions and server_type in (OPENAI, "") and not fields.get("apispec") else "",
    )
    return questions if questions.models or questions.definition else None


def _models_path(deployment: Deployment) -> str:
    """Return the path that lists the models; KServe's own server has it below /openai."""
    served = deployment.served
    own = any(HUGGING_FACE_SERVER in text for text in (served.runtime, served.image))
    return "/openai/v1/models" if own else "/v1/models"


def addresses_to_ask(
    deployment: Deployment, services: Sequence[ServiceFacts], runtime: Runtime | None, *, inside: bool
) -> tuple[str, ...]:
    """Return the HTTP addresses of a deployment, the internal one first; `inside`: we are in its cluster."""
    known = resolve(deployment, services)
    found = (known.internal if inside else "", known.external)
    return tuple(
        url.rstrip("/").removesuffix("/v1").removesuffix("/openai")
        for url in found
        if url.startswith(("http://", "https://")) and not is_grpc(url, deployment, services, runtime)
    )


def with_answers(deployment: Deployment, answers: Answers) -> Deployment:
    """Return a deployment with the answers of its server.

    Names that people gave come first, then known names that the server lists, then its other names.
    """
    names = deployment.names
    if answers.names:
        confirmed = (name for name in names if name in answers.names)
        names = unique_names((*deployment.stated.names, *confirmed, *answers.names))
    return replace(deployment, names=names, operations=answers.operations, definition=answers.definition)


def models_path(url: str) -> str:
    """Return the path below `url` that lists the models; `url` may end with the version of the API."""
    return "/models" if url.endswith(_VERSION) else f"{_VERSION}/models"


def read_model_list(answer: object) -> tuple[str, ...] | None:
    """Return all names that a server lists, each once, or None when the answer is not a list of models.

    Some servers answer with the bare list. Patterns such as `openai/*`, which gateways list for whatever they would
    forward, are left out.
    """
    data = answer if isinstance(answer, list) else values.at(answer, "data")
    if data is None and values.at(answer, "object") == "list":
        data = []
    if not isinstance(data, list):
        return None
    names = (values.line_at(item, "id") for item in data)
    return unique_names(name for name in names if _PATTERN not in name)


def server_deployment(name: str, *, url: str, models: Sequence[str], authentication: bool) -> Deployment:
    """Return a server that settings name, with the first of its models."""
    shown = tuple(models[:MOST_MODELS])
    base = url.removesuffix(_VERSION)
    internal = is_internal(base, namespace="")
    return Deployment(
        kind="OpenAIServer",
        namespace="",
        name=name,
        uid="",
        created=0,
        stated=replace(
            read_stated({}),
            fields=(StatedField("description", _description(models), "the list of its models"),),
            asks_authentication=authentication,
        ),
        names=shown,
        served=Served(server_type=OPENAI),
        storage=StorageFacts(),
        addresses=Addresses("", base) if internal else Addresses(base, ""),
        readiness=READY,
        problems=_left_out(name, len(models)),
    )


def _description(models: Sequence[str]) -> str:
    named = ", ".join(models[:_NAMED])
    if len(models) == 1:
        return f"Server of the OpenAI API with the model {named}."
    more = f" and {len(models) - _NAMED} more" if len(models) > _NAMED else ""
    return f"Server of the OpenAI API with {len(models)} models: {named}{more}."


def _left_out(name: str, count: int) -> tuple[Problem, ...]:
    if count <= MOST_MODELS:
        return ()
    return (
        Problem(
            "models_left_out",
            "info",
            subject("", name, kind="OpenAIServer"),
            f"it lists {count} models: the first {MOST_MODELS} are shown",
            "give the connector a key that is allowed fewer models, or name several servers with a key each",
        ),
    )
