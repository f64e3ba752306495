"""Collects the content of a bundle: objects of the cluster and answers of the services, for people without access."""

import asyncio
import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any

import yaml

from common import LOCATION, NORMALIZER, STORAGE, __version__, texts
from common.http.errors import RemoteError
from common.kube.resources import CONFIG_MAPS, INFERENCE_SERVICES, PODS, ROUTES, SERVICE_ACCOUNTS, SERVICES, Resource
from services.connector.doctor.asking import Asked
from services.connector.doctor.bundle import redacted, redacted_log
from services.connector.doctor.cache import entries_of, values_of
from services.connector.doctor.cluster import ClusterExamination
from services.connector.doctor.examination import Examination, get
from services.connector.doctor.report import Report
from services.connector.doctor.settings import read_settings
from services.connector.doctor.steps import DoctorOptions
from services.normalizer.cluster_specs import TokenAccess

MANIFESTS_FOLDER = "manifests"
"""The folder whose files `connector preview` reads."""
CLUSTERS = "clusters"
"""The folder with a folder for each cluster, if several are read."""
_KINDS: Mapping[Resource, str] = {
    INFERENCE_SERVICES: "InferenceService",
    SERVICES: "Service",
    SERVICE_ACCOUNTS: "ServiceAccount",
    ROUTES: "Route",
}

_CONTAINERS = frozenset({LOCATION, STORAGE, NORMALIZER, "connector"})
_LOG_LINES = 2000


async def collect(options: DoctorOptions, report: Report) -> dict[str, str]:
    """Return the files of a bundle by name; nothing in them is secret."""
    settings, _ = read_settings(options.environ)
    given = (settings.normalizer.model_registry_token, settings.storage.backstage_token, settings.normalizer.k8s_token)
    secrets = [secret.get_secret_value() for secret in given if secret]
    async with AsyncExitStack() as stack:
        examination = Examination(options, settings, stack)
        if examination.names_clusters:
            await examination.step("clusters", "Clusters", examination.find_clusters)
        clusters = examination.clusters
        await asyncio.gather(*(cluster.login() for cluster in clusters if cluster.has_way))
        secrets += [secret for cluster in clusters for secret in _tokens(cluster)]
        secrets.append(options.environ.get("token", "").strip())
        found = await asyncio.gather(*map(_in_time, clusters))
        objects = {name: each for of_one in found for name, each in of_one.items()}
        config_maps = await _config_maps(examination)
        pod = await examination.ask_pod()
        logs = await _logs(examination.home)
        status = dict(
            zip(options.urls, await asyncio.gather(*map(partial(_status, options), options.urls)), strict=True)
        )
    answers: dict[str, Any] = {
        "versions.json": {"connector": __version__, "python": platform.python_version()},
        "report.json": report.as_json(),
        **{f"pod/{service}-readyz.json": _said(answer) for service, answer in pod.ready.items()},
        **{f"pod/{service}-status.json": answer for service, answer in status.items() if answer is not None},
        **dict(_documents(config_maps)),
    }
    files = {name: json.dumps(redacted(answer, secrets), indent=2) for name, answer in answers.items()}
    files |= {name: yaml.safe_dump_all(redacted(each, secrets), sort_keys=False) for name, each in objects.items()}
    files["report.txt"] = str(redacted("\n".join(report.lines()), secrets))
    files |= {f"logs/{name}.log": redacted_log(text, secrets) for name, text in logs.items()}
    if not isinstance(pod.metrics, RemoteError):
        files["pod/location-metrics.txt"] = str(redacted(pod.metrics, secrets))
    return files


def _tokens(cluster: ClusterExamination) -> list[str]:
    """Return the tokens that are sent to the servers of a cluster."""
    tokens = [cluster.credentials.current_token() if cluster.credentials is not None else None]
    files = list(cluster.wanted.tokens.values())
    if isinstance(cluster.wanted.access, TokenAccess):
        files.append(cluster.wanted.access.token_file)
    for path in files:
        with suppress(texts.UnreadableFile):
            tokens.append(texts.read_file(path).strip())
    return [token for token in tokens if token]


async def _in_time(cluster: ClusterExamination) -> dict[str, list[Any]]:
    """Return the objects of a cluster by file, nothing if that takes too long (the report says so)."""
    try:
        async with asyncio.timeout(cluster.options.timeout):
            return await _objects(cluster)
    except TimeoutError:
        return {}


async def _objects(cluster: ClusterExamination) -> dict[str, list[Any]]:
    """Return the readable objects by file; the report says which could not be read."""
    api = cluster.api
    if api is None or not cluster.purpose.followed:
        return {}
    namespaces: Sequence[str | None] = cluster.wanted.namespaces or (None,)
    found: dict[str, list[Any]] = {}
    llm = await api.llm_kind()
    for resource, kind in {**_KINDS, **({llm: "LLMInferenceService"} if llm else {})}.items():
        answers = await asyncio.gather(*(api.objects(resource, namespace) for namespace in namespaces))
        objects = [
            {"apiVersion": f"{resource.group}/{resource.version}".lstrip("/"), "kind": kind, **obj}
            for answer in answers
            if not isinstance(answer, RemoteError)
            for obj in answer
        ]
        folder = "cluster" if resource is ROUTES else MANIFESTS_FOLDER
        folder = f"{CLUSTERS}/{cluster.name}/{folder}" if cluster.name else folder
        found[f"{folder}/{resource.plural}.yaml"] = (
            objects if resource in (INFERENCE_SERVICES, llm) else _related(objects)
        )
    return found


async def _config_maps(examination: Examination) -> list[Any]:
    """Return the ConfigMaps of the cache."""
    home = examination.home
    if home is None or home.api is None or not home.own:
        return []
    found = await home.api.objects(CONFIG_MAPS, home.own)
    return [] if isinstance(found, RemoteError) else entries_of(found)


def _related(objects: Sequence[Any]) -> list[Any]:
    """Return the objects that belong to a model or a registry; others are private and not collected."""
    related = []
    for obj in objects:
        owners = obj["metadata"].get("ownerReferences") or []
        labels = obj["metadata"].get("labels") or {}
        owned = any(owner.get("kind") in ("InferenceService", "LLMInferenceService") for owner in owners)
        if owned or any("model-registry" in str(v) or "model-catalog" in str(v) for v in labels.values()):
            related.append(obj)
    return related


async def _logs(home: ClusterExamination | None) -> dict[str, str]:
    """Return the last lines of our containers' logs, or why they cannot be read, by pod and container."""
    if home is None or home.api is None or not home.own:
        return {}
    api, namespace = home.api, home.own
    pods = await api.objects(PODS, namespace)
    if isinstance(pods, RemoteError):
        return {"not-read": f"the pods in namespace {namespace} cannot be listed: {pods}\n"}
    found: dict[str, str] = {}
    for pod in pods:
        name = str(pod["metadata"]["name"])
        named = {str(each.get("name")) for each in (pod.get("spec") or {}).get("containers") or []}
        for container in sorted(named & _CONTAINERS):
            text = await api.log(namespace, name, container, lines=_LOG_LINES)
            found[f"{name}/{container}"] = f"it cannot be read: {text}\n" if isinstance(text, RemoteError) else text
    return found


async def _status(options: DoctorOptions, service: str) -> Any:
    """Return the status of a service, None if it does not report one."""
    answer = await get(options.urls[service], "/status", options.timeout / 3)
    if isinstance(answer, RemoteError):
        return None
    with suppress(ValueError):
        return texts.parse_json(answer)
    return None


def _documents(config_maps: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the documents of the cache, decoded; the report names those that cannot be read."""
    for each in config_maps:
        for key, entry in values_of(each):
            with suppress(ValueError):
                if entry is not None:
                    yield f"cache/{each['metadata']['name']}/{key}.json", texts.parse_json(entry.body)


def _said(answer: Asked[Any]) -> Any:
    return {"error": str(answer)} if isinstance(answer, RemoteError) else answer
