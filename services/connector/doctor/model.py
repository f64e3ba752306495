"""Findings of `connector doctor model NAME`: how far one model has got, and what stops it. No I/O."""

import difflib
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from common import identity
from common.annotations import CLUSTER_ANNOTATION
from common.http.errors import RemoteError, StatusError
from common.words import listed
from services.connector.doctor.asking import Asked, short
from services.connector.doctor.report import Finding
from services.normalizer.hidden import unready
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.registry_objects import LIVE
from services.normalizer.normalize.result import segment
from services.normalizer.reports import URL_SCHEMES

_RIGHT = "connector doctor     # says which right is missing"
FORWARD = "kubectl port-forward -n NAMESPACE deployment/backstage-NAME {}     # then run this again"
"""The remedy where a connector in a pod cannot be asked; with the port."""


@dataclass(frozen=True, slots=True)
class RegistryMatch:
    """A registered model with this name: its registry, its state, and the states of its versions by name.

    `usable`: it has an id with which its versions can be requested.
    """

    registry: str
    name: str
    state: str
    versions: Mapping[str, str]
    usable: bool = True

    @property
    def keys(self) -> set[str]:
        """The keys of its versions if there is no collision."""
        return {identity.key_of((segment(self.name), segment(version))) for version in self.versions}


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheEntry:
    """An entry of the cache: its key, the ConfigMap that it is in, the feed's path, and its document.

    `refs` are the references of the objects that it is made from; entries of the original have none.
    """

    key: str
    place: str
    uri: str
    document: Mapping[str, Any]
    refs: frozenset[str] = frozenset()

    @property
    def cluster(self) -> str:
        """Its cluster, in words; empty if there is only one."""
        models = self.document.get("models") or []
        name = next(filter(None, ((each.get("annotations") or {}).get(CLUSTER_ANNOTATION) for each in models)), "")
        return f" of cluster {name}" if name else ""

    @property
    def names(self) -> Iterator[str]:
        """Its names in Backstage, and the address of its server."""
        yield self.key
        for model in self.document.get("models") or []:
            yield str(model.get("name"))
        server = self.document.get("modelServer") or {}
        yield from (str(server[field]) for field in ("name",) if field in server)
        yield str((server.get("API") or {}).get("url", ""))


def belongs_to(
    kept: CacheEntry,
    name: str,
    deployments: Iterable[Deployment],
    registered: Iterable[RegistryMatch],
    *,
    refs: Collection[str],
) -> bool:
    """Return whether an entry belongs to the model: by its own names, its deployment or its registered model.

    `refs` are the references of the deployments: two clusters may have deployments with the same name.
    """
    if not kept.refs.isdisjoint(refs):
        return True
    names = {each.lower() for each in kept.names if each}
    if name.lower() in names or any(kept.key in each.keys for each in registered):
        return True
    return any(
        (not kept.refs and identity.key_of((isvc.namespace, isvc.name)) == kept.key)
        or (isvc.url and isvc.url.lower() in names)
        for isvc in deployments
    )


def judge_deployment(
    name: str,
    found: Asked[Sequence[Deployment]],
    others: Iterable[str],
    *,
    watched: Sequence[str],
    setting: str,
    registered: bool,
    elsewhere: str,
) -> list[Finding]:
    """Return findings about the InferenceServices with this name; `others` are the names of all.

    `setting` names the namespaces that are `watched`; `elsewhere` says why another cluster may have it.
    """
    if isinstance(found, RemoteError):
        return [Finding("fault", f"InferenceServices cannot be listed: {short(found)}", _RIGHT)]
    if found:
        return [_judge_isvc(isvc) for isvc in found]
    if elsewhere:
        return [Finding("skipped", f"no InferenceService is named {name} here: {elsewhere}")]
    namespace = name.partition("/")[0] if "/" in name and not name.startswith(URL_SCHEMES) else ""
    if namespace and watched and namespace not in watched:
        wanted = ",".join([*watched, namespace])
        return [
            Finding(
                "fault",
                f"namespace {namespace} is not watched: {setting} is {','.join(watched)}",
                f"set {setting} to {wanted}, and grant the rights of deploy/rbac/overlays/namespaced in {namespace}",
            )
        ]
    if registered:
        return [Finding("skipped", f"no InferenceService is named {name}: the model is not deployed under this name")]
    near = difflib.get_close_matches(name, list(others), n=3)
    where = f"in the namespaces of {setting} ({listed(watched)})" if watched else "in the cluster"
    remedy = f"kubectl get inferenceservices -A | grep -- {shlex.quote(name.rpartition('/')[2] or name)}"
    if watched:
        remedy += f"     # if another namespace has it, add that one to {setting}"
    return [
        Finding(
            "fault",
            f"no InferenceService {where} is named {name}" + (f": did you mean {listed(near)}?" if near else ""),
            remedy,
        )
    ]


def _judge_isvc(isvc: Deployment) -> Finding:
    label = f"{isvc.kind} {isvc.namespace}/{isvc.name}"
    faults = [problem for problem in isvc.problems if problem.severity == "error"]
    if faults:
        return Finding("fault", f"{label}: {faults[0].message}", faults[0].remedy)
    if isvc.readiness.ready:
        at = f", at {isvc.url}" if isvc.url else ""
        return Finding("ok", f"{label} is ready{at}")
    why = unready(isvc)
    return Finding("fault", f"{label} is not shown: {why}", why.remedy)


def judge_registered(found: Sequence[RegistryMatch], unread: Mapping[str, str], *, registries: int) -> list[Finding]:
    """Return findings about the registered model; `unread` are registries that could not be read, with the reason."""
    findings = [
        Finding("warning", f"{label} cannot be read: {reason}", "connector doctor     # says what to do about it")
        for label, reason in unread.items()
    ]
    for each in found:
        live = [name for name, state in each.versions.items() if state == LIVE]
        if not each.usable:
            findings.append(
                Finding(
                    "fault",
                    f"{each.name} in {each.registry} has an invalid id, so it is not shown",
                    "check the registry's database: ids must be numbers",
                )
            )
        elif each.state != LIVE:
            findings.append(
                Finding("fault", f"{each.name} in {each.registry} is {each.state}", "restore it in the registry")
            )
        elif not live:
            states = listed(f"{name} is {state}" for name, state in each.versions.items()) or "it has no version at all"
            findings.append(
                Finding(
                    "fault",
                    f"{each.name} in {each.registry} has no live version: {states}",
                    "register or restore a version in the registry",
                )
            )
        else:
            findings.append(Finding("ok", f"{each.name} is in {each.registry}, with versions {listed(live)}"))
    if not found and registries:
        findings.append(Finding("skipped", "no registry has a model of this name"))
    return findings or [Finding("skipped", "no model registry is known")]


def judge_entries(kept: Asked[Sequence[CacheEntry]], *, expected: bool, namespace: str) -> list[Finding]:
    """Return findings about the model in the cache; `expected`: according to its source it should be there."""
    if isinstance(kept, RemoteError):
        return [Finding("fault", f"the cache cannot be read: {short(kept)}", _RIGHT)]
    if kept:
        return [Finding("ok", f"{each.key}{each.cluster} in ConfigMap {each.place}") for each in kept]
    if not expected:
        return [Finding("skipped", "the model is not in the cache, which is expected: no source says that it is ready")]
    return [
        Finding(
            "fault",
            "the source of the model has it, but the cache does not",
            f"kubectl logs -n {namespace or 'NAMESPACE'} POD -c rhoai-normalizer     # names every object that is not "
            "shown\nconnector doctor     # checks whether its source can be read and the cache can be written",
        )
    ]


def judge_served(kept: Sequence[CacheEntry], served: Mapping[str, Asked[bytes]]) -> list[Finding]:
    """Return whether the feed serves the entries of the model, and the entities that Backstage makes of them.

    `served` are the answers to the paths of `kept`, by key.
    """
    if not kept:
        return [Finding("skipped", "the feed is not checked, because no entry of the model was found in the cache")]
    return [_judge_answer(each, served[each.key]) for each in kept]


def _judge_answer(kept: CacheEntry, answer: Asked[bytes]) -> Finding:
    if not isinstance(answer, RemoteError):
        return Finding("ok", f"{kept.key} is served at {kept.uri}; in Backstage: {listed(_entities(kept), 4)}")
    if isinstance(answer, StatusError) and answer.status == 404:
        remedy = "wait a few seconds and run this again; then see what location waits for: curl localhost:9090/readyz"
        return Finding("fault", f"{kept.key} is in the cache, but not in the feed", remedy)
    if isinstance(answer, StatusError) and answer.status == 503:
        return Finding(
            "fault", f"the feed answers 503: {answer.reason}", "until it answers again, Backstage keeps what it has"
        )
    return Finding("skipped", f"it is not known what the feed serves: {answer}", FORWARD.format(9090))


def _entities(kept: CacheEntry) -> Iterator[str]:
    for model in kept.document.get("models") or []:
        yield f"resource:default/{model.get('name')}"
    server = kept.document.get("modelServer") or {}
    if server:
        yield from (f"{kind}:default/{server.get('name')}" for kind in ("component", "api", "aimodelserverapi"))
