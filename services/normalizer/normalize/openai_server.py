"""What a server of the OpenAI API lists (`GET /v1/models`), as one deployment with the names of its models.

OpenAI API reference, "List models"; vLLM, LiteLLM, Ollama and llama.cpp answer the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import is_internal
from services.normalizer.normalize.deployment import Addresses, Deployment, subject
from services.normalizer.normalize.model_names import unique_names
from services.normalizer.normalize.readiness import READY
from services.normalizer.normalize.runtimes import Served
from services.normalizer.normalize.stated import read_stated
from services.normalizer.normalize.storage import Storage

MOST_MODELS = 50
"""So many models of one server are shown; readers of an entry's details take no more (`common/details.py`)."""
_NAMED = 10
_PATTERN = "*"
_VERSION = "/v1"


def models_path(url: str) -> str:
    """Return the path below `url` that lists the models; `url` may end with the version of the API."""
    return "/models" if url.endswith(_VERSION) else f"{_VERSION}/models"


def read_models(answer: object) -> tuple[str, ...] | None:
    """Return the names in an answer, each once, or None when it is no list of models.

    Patterns such as `openai/*`, by which gateways say what they would hand on, are no models. Some servers answer with
    the bare list.
    """
    data = answer if isinstance(answer, list) else values.at(answer, "data")
    if data is None and values.at(answer, "object") == "list":
        data = []
    if not isinstance(data, list):
        return None
    names = (values.line(values.at(item, "id")) for item in data)
    return unique_names(name for name in names if _PATTERN not in name)


def server_deployment(name: str, *, url: str, models: Sequence[str], authentication: bool) -> Deployment:
    """Return a server of that name in the settings, with the first of its models."""
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
            read_stated({}), said=(("description", _description(models)),), asks_authentication=authentication
        ),
        names=shown,
        served=Served(said="openai-v1"),
        storage=Storage(),
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
