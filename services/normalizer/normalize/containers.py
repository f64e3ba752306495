"""What the containers of a model server are configured with, and the names that clients may use for the model.

Source of the names: the arguments and variables of the runtimes that KServe ships (`--model_name`), vLLM
(`--served-model-name`, `--lora-modules`) and MLServer (`MLSERVER_MODEL_NAME`).
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from common import strict_json
from services.normalizer.normalize import values
from services.normalizer.normalize.links import without_credentials

_VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_TEMPLATE = re.compile(r"\{\{-?\s*\.(Name|Namespace)\s*-?\}\}")
_OPTION = re.compile(r"--?[A-Za-z][A-Za-z0-9_.-]*")
_MOST_ARGUMENTS = 1000
_MAIN = "kserve-container"
_OPTIONS = ("model_name", "served_model_name")
_ADAPTERS = "lora_modules"
_VARIABLES = ("MLSERVER_MODEL_NAME", "MODEL_NAME", "SERVED_MODEL_NAME")
_UNFILLED = ("{{", "$(", "${")


class ContainerConfig(NamedTuple):
    """The words of a container's command line, its variables and its image, with templates filled in."""

    words: tuple[str, ...] = ()
    variables: Mapping[str, str] = {}
    image: str = ""

    def option(self, *names: str) -> tuple[str, ...]:
        """Return the values of the first option on the command line that has one of `names`; `-` and `_` are the same.

        An option is `--name=value`, or `--name value …` with all words up to the next option.
        """
        if not self.words:  # of most containers
            return ()
        wanted = {_plain(name) for name in names}
        for position, word in enumerate(self.words):
            name, separator, value = word.partition("=")
            if not _OPTION.fullmatch(name) or _plain(name) not in wanted:
                continue
            given = (value,) if separator else _until_next_option(self.words[position + 1 :])
            return tuple(text.strip() for text in given if text.strip())
        return ()


def main_container(containers: object) -> Mapping[str, Any]:
    """Return the container with the name that KServe gives the model's, else the first one, else an empty one."""
    found = [values.mapping(container) for container in values.items(containers)]
    return next((c for c in found if c.get("name") == _MAIN), found[0] if found else {})


def read_container(container: object, *, name: str, namespace: str) -> ContainerConfig:
    """Return the configuration of a container; `name` and `namespace` fill in `{{.Name}}` and `{{.Namespace}}`.

    Source: KServe, ServingRuntime: templates of containers; Kubernetes, Container: `$(VARIABLE)` in arguments.
    """

    def filled(text: str) -> str:
        return _TEMPLATE.sub(lambda match: name if match[1] == "Name" else namespace, text)

    variables = {
        values.line_at(variable, "name"): filled(values.line_at(variable, "value"))
        for variable in values.items_at(container, "env")
    }

    def expanded(text: str) -> str:
        return _VARIABLE.sub(lambda match: variables.get(match[1], match[0]), filled(text))

    written = [*values.items_at(container, "command"), *values.items_at(container, "args")]
    words = (word for text in written[:_MOST_ARGUMENTS] for word in _words(expanded(values.text(text))))
    return ContainerConfig(tuple(words), variables, values.line_at(container, "image"))


def _words(text: str) -> Iterable[str]:
    """Return the words of one argument, which is a whole command line where it is a shell script."""
    if "--" not in text or not any(blank in text.strip() for blank in " \n\t") or _OPTION.match(text):
        return (text,)
    try:
        return shlex.split(text.replace("\\\n", " "), comments=True)
    except ValueError:
        return text.split()


def _until_next_option(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        if _OPTION.match(word):
            return
        yield word


def _plain(option: str) -> str:
    return option.lstrip("-").replace("_", "-").lower()


def configured_names(containers: Iterable[ContainerConfig]) -> tuple[str, ...]:
    """Return the names from the first container that has any: options before variables, adapters last."""
    for container in containers:
        names = _given(container)
        if names:
            return unique_names((*names, *_adapters(container)))
    return ()


def unique_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names, each once and in their order, without empty ones and templates that were not filled in."""
    known = (without_credentials(name) for name in names if name and not any(mark in name for mark in _UNFILLED))
    return tuple(dict.fromkeys(known))


def _given(container: ContainerConfig) -> tuple[str, ...]:
    for option in _OPTIONS:
        if names := unique_names(container.option(option)):
            return names if option != _OPTIONS[0] else names[:1]
    return unique_names(container.variables.get(variable, "") for variable in _VARIABLES)[:1]


def _adapters(container: ContainerConfig) -> Iterator[str]:
    """Yield the names of adapters, given as `name=path` or as JSON (vLLM, `--lora-modules`)."""
    for adapter in container.option(_ADAPTERS):
        if adapter.startswith("{"):
            try:
                yield values.line(strict_json.parse_object(adapter.encode()).get("name"))
            except strict_json.JsonError:
                continue
        else:
            yield adapter.partition("=")[0]
