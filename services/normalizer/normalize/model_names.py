"""The names that a client may write as the model's name in a request.

Source: the arguments and variables of the runtimes that KServe serves with: its own servers (`--model_name`), vLLM
(`--served-model-name`, `--lora-modules`), MLServer (`MLSERVER_MODEL_NAME`).
"""

from collections.abc import Iterable, Iterator

from common import strict_json
from services.normalizer.normalize import values
from services.normalizer.normalize.containers import Told
from services.normalizer.normalize.links import without_credentials

_OPTIONS = ("model_name", "served_model_name")
_ADAPTERS = "lora_modules"
_VARIABLES = ("MLSERVER_MODEL_NAME", "MODEL_NAME", "SERVED_MODEL_NAME")
_UNFILLED = ("{{", "$(", "${")


def told_names(containers: Iterable[Told]) -> tuple[str, ...]:
    """Return the names that the first container with any is told: options before variables, adapters last."""
    for told in containers:
        names = _given(told)
        if names:
            return unique_names((*names, *_adapters(told)))
    return ()


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names that are known, each once, in their order; a template that nobody filled in is no name."""
    known = (without_credentials(name) for name in names if name and not any(mark in name for mark in _UNFILLED))
    return tuple(dict.fromkeys(known))


def _given(told: Told) -> tuple[str, ...]:
    for option in _OPTIONS:
        if names := unique_names(told.option(option)):
            return names if option != _OPTIONS[0] else names[:1]
    return unique_names(told.variables.get(variable, "") for variable in _VARIABLES)[:1]


def _adapters(told: Told) -> Iterator[str]:
    """Yield the names of adapters, given as `name=path` or as JSON (vLLM, `--lora-modules`)."""
    for adapter in told.option(_ADAPTERS):
        if adapter.startswith("{"):
            try:
                yield values.line(strict_json.parse_object(adapter.encode()).get("name"))
            except strict_json.JsonError:
                continue
        else:
            yield adapter.partition("=")[0]
