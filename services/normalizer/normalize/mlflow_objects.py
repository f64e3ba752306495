"""Objects of an MLflow server, as registered models and versions; read tolerantly.

MLflow REST API 2.0 (https://mlflow.org/docs/latest/rest-api.html). A model is known by its name, a version by its model
and a number that is never given twice.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from common.details import DetailLink
from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.addresses import is_internal
from services.normalizer.normalize.links import as_link, is_web_address
from services.normalizer.normalize.registry import PROPERTIES
from services.normalizer.normalize.registry_objects import (
    LIVE,
    ModelArtifact,
    ModelVersion,
    RegisteredModel,
    parse_item,
)

_ARCHIVED = "archived"
_READY = "READY"
_NO_STAGE = "none"
_PROMPT = "mlflow.prompt.is_prompt"
"""The tag of prompts, which some servers keep among the registered models."""
_USER = "mlflow.user"
_SYSTEM_METRICS = "system/"
_MOST_METRICS = 20
_FIELD_NAMES = {name.lower(): name for name in PROPERTIES.values()}


class Run(NamedTuple):
    """What is known of the run that made a version: its metrics in words, and who started it."""

    id: str
    name: str
    experiment: str
    user: str
    metrics: str


class ListedModel(NamedTuple):
    """A registered model with the aliases of its versions, by the version's number."""

    model: RegisteredModel
    aliases: Mapping[str, tuple[str, ...]]


def model_id(name: str) -> str:
    """Return the id of a model, which stands in references."""
    return quote(name, safe="")


def version_id(name: str, number: str) -> str:
    """Return the id of a version among those of all models."""
    return f"{model_id(name)}/{number}"


def read_model(raw: object, *, registry: str) -> ListedModel | Problem | None:
    """Return a registered model, the problem that makes it unusable, or None for a prompt."""
    name, tags = values.line_at(raw, "name"), _tags(raw)
    if _is_prompt(tags):
        return None
    aliases: dict[str, tuple[str, ...]] = {}
    for item in values.items_at(raw, "aliases"):
        alias, number = values.line_at(item, "alias"), values.line_at(item, "version")
        if alias and number:
            aliases[number] = (*aliases.get(number, ()), alias)
    given = {**_common(raw), "id": model_id(name), "owner": tags.get(_USER), "customProperties": _properties(tags)}
    model = parse_item(RegisteredModel, given, registry=registry)
    return model if isinstance(model, Problem) else ListedModel(model, aliases)


def read_version(
    raw: object, *, aliases: tuple[str, ...], run: Run | None, url: str, registry: str
) -> tuple[ModelVersion, tuple[ModelArtifact, ...]] | Problem | None:
    """Return a version with where its files are, the problem that makes it unusable, or None for a prompt's.

    `aliases` are those that its model gives it, `run` is what made it, `url` the root of the server. A version in the
    stage Archived, or whose registration has not succeeded, is not live.
    """
    name, number = version_names(raw)
    tags = _tags(raw)
    if _is_prompt(tags):
        return None
    stage = values.line_at(raw, "current_stage").lower()
    stage = "" if stage == _NO_STAGE else stage
    each = version_id(name, number)
    version = parse_item(
        ModelVersion,
        {
            **_common(raw),
            "id": each,
            "name": number,
            "registeredModelId": model_id(name),
            "state": _state(stage, values.line_at(raw, "status")),
            "author": values.line_at(raw, "user_id") or (run.user if run else ""),
            "customProperties": {**_properties(_told(stage, aliases, run)), **_properties(tags)},
        },
        registry=registry,
        further={
            "called": (*((stage,) if stage else ()), *(f"@{alias}" for alias in aliases)),
            "pages": _pages(url, name, number, run, values.line_at(raw, "run_link")),
        },
    )
    if isinstance(version, Problem):
        return version
    given = {**_common(raw), "id": each, "uri": values.at(raw, "source")}
    artifact = parse_item(ModelArtifact, given, registry=registry)
    return version, () if isinstance(artifact, Problem) or not artifact.uri else (artifact,)


def version_names(raw: object) -> tuple[str, str]:
    """Return the name of a version's model, and its number."""
    return values.line_at(raw, "name"), values.line_at(raw, "version")


def run_of(raw: object) -> tuple[str, int]:
    """Return the id of the run that made a version, empty without one, and when the version was changed last."""
    return values.line_at(raw, "run_id"), values.millis(values.at(raw, "last_updated_timestamp"))


def read_run(raw: object) -> Run:
    """Return what the answer of `runs/get` says."""
    info, data = values.at(raw, "run", "info"), values.at(raw, "run", "data")
    tags = _tags(data)
    return Run(
        id=values.line_at(info, "run_id"),
        name=values.line_at(info, "run_name") or values.line(tags.get("mlflow.runName")),
        experiment=values.line_at(info, "experiment_id"),
        user=values.line_at(info, "user_id") or values.line(tags.get(_USER)),
        metrics=_metrics(values.items_at(data, "metrics")),
    )


def _metrics(metrics: Iterable[Any]) -> str:
    found: dict[str, str] = {}
    for metric in metrics:
        key, value = values.line_at(metric, "key"), values.at(metric, "value")
        if key and not key.startswith(_SYSTEM_METRICS):
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            found[key] = f"{value:.6g}" if is_number else values.line(value)
    told = [f"{key} {text}" for key, text in sorted(found.items())[:_MOST_METRICS]]
    more = f", and {len(found) - _MOST_METRICS} more" if len(found) > _MOST_METRICS else ""
    return ", ".join(told) + more


def _tags(raw: object) -> Mapping[str, str]:
    pairs = ((values.line_at(tag, "key"), values.at(tag, "value")) for tag in values.items_at(raw, "tags"))
    return {key: values.block(value) for key, value in pairs if key}


def _is_prompt(tags: Mapping[str, str]) -> bool:
    return tags.get(_PROMPT, "").lower() == "true"


def _common(raw: object) -> dict[str, Any]:
    """Return what models and versions have in common, by the names that registries give it."""
    return {
        "name": values.at(raw, "name"),
        "description": values.at(raw, "description"),
        "createTimeSinceEpoch": values.at(raw, "creation_timestamp"),
        "lastUpdateTimeSinceEpoch": values.at(raw, "last_updated_timestamp"),
    }


def _properties(tags: Mapping[str, str]) -> dict[str, Any]:
    """Return tags as properties; what a field of the document is made of may be written in any case, also with `_`."""
    return {
        _FIELD_NAMES.get(key.lower().replace("_", " "), key): {"string_value": value} for key, value in tags.items()
    }


def _told(stage: str, aliases: tuple[str, ...], run: Run | None) -> dict[str, str]:
    """Return what the server says of a version in addition to its tags, which go before it."""
    told = {"stage": stage, PROPERTIES["lifecycle"]: stage} if stage else {}
    if aliases:
        told["alias"] = json.dumps(sorted(aliases))
    if run and run.metrics:
        told[PROPERTIES["training"]] = f"Metrics of run {run.name or run.id}: {run.metrics}."
    return told


def _state(stage: str, status: str) -> str:
    if stage == _ARCHIVED:
        return "ARCHIVED"
    return LIVE if status in ("", _READY) else status


def _pages(url: str, name: str, number: str, run: Run | None, run_link: str) -> tuple[DetailLink, ...]:
    """Return links to where people look at a version; none to a server that no browser outside can reach."""
    links = []
    if not is_internal(url, namespace=""):
        root = f"{url.rstrip('/')}/#"
        links.append(
            DetailLink(
                f"{root}/models/{quote(name, safe='')}/versions/{number}", f"MLflow: version {number}", "catalog"
            )
        )
        if run and run.experiment:
            experiment = f"{root}/experiments/{quote(run.experiment, safe='')}"
            links.append(DetailLink(f"{experiment}/runs/{quote(run.id, safe='')}", f"MLflow: run {run.name or run.id}"))
            links.append(DetailLink(experiment, "MLflow: experiment of the run"))
    if (link := as_link(run_link)) and is_web_address(link):
        links.append(DetailLink(link, "Run that made this version"))
    return tuple(links)
