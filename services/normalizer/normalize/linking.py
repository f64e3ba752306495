"""Which registered version an InferenceService serves, and which of several a version shows as its server."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Self

from common.problems import Problem
from services.normalizer.facts import Ref
from services.normalizer.normalize import values
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.labels import FAMILIES, NamedVersion, RegistryLabels, read_registry_uri
from services.normalizer.normalize.registered_version import Record, RegisteredVersion, Registry, age


def linkable(version: RegisteredVersion) -> tuple[object, ...] | None:
    """Return what an index is made of: while that is the same, no deployment is linked otherwise."""
    if not version.is_live:
        return None
    return version.model.name, version.version.name, version.version.called, version.version.created, version.records


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryIndex:
    """One registry's live versions and records of deployments, for looking up.

    `live` has the versions by id, `newest` the newest of each model by its id; `models` the models' ids by name, and
    `versions` the versions by the model's id and each of the names that they are called by. `namespaces` has the
    records of each namespace, sorted by name.
    """

    registry: Registry
    live: Mapping[str, Ref]
    newest: Mapping[str, Ref]
    models: Mapping[str, str]
    versions: Mapping[tuple[str, str], Ref]
    records: Mapping[str, Record]
    namespaces: Mapping[str, Sequence[Record]]

    @classmethod
    def build(cls, registry: Registry, versions: Iterable[RegisteredVersion]) -> Self:
        """Return the index of what a registry has; what is archived is not in it."""
        live = sorted((v for v in versions if v.is_live), key=lambda v: age(v.version))
        records = [record for each in live for record in each.records]
        namespaces: defaultdict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.namespace:
                namespaces[record.namespace].append(record)
        return cls(
            registry=registry,
            live={v.version.id: v.ref for v in live},
            newest={v.model.id: v.ref for v in live},
            models={v.model.name: v.model.id for v in live},
            versions={(v.model.id, name): v.ref for v in live for name in (*v.version.called, v.version.name)},
            records={record.id: record for record in records},
            namespaces={name: sorted(found) for name, found in namespaces.items()},
        )

    def labelled(self, labels: RegistryLabels) -> Ref | None:
        """Return the live version that the labels name by its ids; of a model alone the newest."""
        if self.registry.api != "kubeflow":  # whose ids the labels are
            return None
        if labels.version:
            found = self.live.get(labels.version)
        elif record := self.records.get(labels.inference_service):
            found = record.version
        else:
            found = self.newest.get(labels.model)
        return found if found and labels.model in ("", found.ids[0]) else None

    def named(self, name: NamedVersion) -> Ref | None:
        """Return the live version of these names; without the version's the newest of the model."""
        model = self.models.get(name.model) if name.api == self.registry.api else None
        if model is None:
            return None
        return self.versions.get((model, name.version)) if name.version else self.newest.get(model)

    def answers_at(self, host: str) -> bool:
        """Return whether `host` names this registry, as far as its name tells: `<name>[.<namespace>...][:port]`."""
        own = self.registry
        name, _, rest = host.partition(":")[0].partition(".")
        return bool(own.name) and name == own.name and rest.partition(".")[0] in ("", own.namespace)

    def recorded(self, isvc: Deployment) -> Iterable[Record]:
        """Return the records of the isvc; without any, those in its namespace whose names begin with the isvc's."""
        known = self.namespaces.get(isvc.namespace, ())
        following = (known[position] for position in range(bisect_left(known, (isvc.name,)), len(known)))
        found = list(takewhile(lambda record: record.name.startswith(isvc.name), following))
        return [record for record in found if record.isvc_name == isvc.name] or found


@dataclass(frozen=True, slots=True)
class Link:
    """The version that an isvc serves; None for an isvc that no registry describes.

    `record` is the name of the registry's record of the deployment, if there is one. `certain` is false when the link
    rests only on the beginning of that name, which may also be that of an isvc with a longer name.
    """

    version: Ref | None = None
    record: str = ""
    certain: bool = True
    problems: tuple[Problem, ...] = ()


def names_version(isvc: Deployment) -> bool:
    """Return whether the isvc itself names a registered version."""
    return isvc.registry is not None or bool(read_registry_uri(isvc.storage.uri))


def link(isvc: Deployment, indexes: Sequence[RegistryIndex]) -> Link:
    """Return which live version of the registries the isvc serves."""
    records = sorted((r for index in indexes for r in index.recorded(isvc)), key=lambda r: _rank(r, isvc))
    if not names_version(isvc):
        return _by_records(isvc, records)
    labels = isvc.registry
    found = _by_uri(isvc, indexes) or (_by_labels(labels, indexes) if labels else ())
    if not found:
        return Link(problems=_gone(isvc) if _may_be_meant(isvc, indexes) else ())
    recorded = {record.version: record.name for record in reversed(records)}
    version = next((version for version in found if version in recorded), found[0])
    return Link(
        version,
        record=(_record_by_id(labels, version, indexes) if labels else "") or recorded.get(version, ""),
        problems=() if len(found) == 1 or version in recorded else _ambiguous(isvc, found),
    )


def _may_be_meant(isvc: Deployment, indexes: Sequence[RegistryIndex]) -> bool:
    """Return whether a registry with the API that the isvc refers to was read."""
    named = {name.api for name in read_registry_uri(isvc.storage.uri)} | ({"kubeflow"} if isvc.registry else set())
    return any(index.registry.api in named for index in indexes)


def _by_uri(isvc: Deployment, indexes: Sequence[RegistryIndex]) -> Sequence[Ref]:
    """Return the versions that the storage URI names, by the first reading of it that matches any."""
    for name in read_registry_uri(isvc.storage.uri):
        at_host = [index for index in indexes if index.answers_at(name.host)] if name.host else []
        for asked in (at_host, indexes):
            if found := sorted(version for index in asked if (version := index.named(name))):
                return found
    return ()


def _by_labels(labels: RegistryLabels, indexes: Sequence[RegistryIndex]) -> Sequence[Ref]:
    return sorted(version for index in _asked(labels, indexes) if (version := index.labelled(labels)))


def _record_by_id(labels: RegistryLabels, version: Ref, indexes: Sequence[RegistryIndex]) -> str:
    for index in _asked(labels, indexes):
        record = index.records.get(labels.inference_service)
        if record and record.version == version:
            return record.name
    return ""


def _asked(labels: RegistryLabels, indexes: Sequence[RegistryIndex]) -> Sequence[RegistryIndex]:
    """Return the registries that the labels may mean: those with the given name, else those without a known name."""
    if not labels.registry_name:
        return indexes
    named = [
        index
        for index in indexes
        for own in [index.registry]
        if own.name == labels.registry_name
        and ("" in (labels.registry_namespace, own.namespace) or own.namespace == labels.registry_namespace)
    ]
    return named or [index for index in indexes if not index.registry.name]


def _by_records(isvc: Deployment, records: Sequence[Record]) -> Link:
    if not records:
        return Link()
    best = records[0]
    others = sorted({record.version for record in records if _certain(record, isvc) == _certain(best, isvc)})
    problems = _ambiguous(isvc, others) if len(others) > 1 else ()
    return Link(best.version, record=best.name, certain=_certain(best, isvc), problems=problems)


def _certain(record: Record, isvc: Deployment) -> bool:
    return record.isvc_name == isvc.name


def _rank(record: Record, isvc: Deployment) -> tuple[bool, bool, int, Ref, str]:
    """Return a sort key that puts the best record for the isvc first: the same name, then the newest."""
    return record.name != isvc.name, not _certain(record, isvc), -record.updated, record.version, record.id


def _gone(isvc: Deployment) -> tuple[Problem, ...]:
    labels = isvc.registry
    named, place = values.shown(isvc.storage.uri), "its storage URI"
    if labels is not None:
        place = f"the labels {labels.family}…"
        ids = {"version": labels.version, "deployment": labels.inference_service, "model": labels.model}
        named = next(f"{kind} {id_} of a model registry" for kind, id_ in ids.items() if id_)
    return (
        Problem(
            "version_not_live",
            "info",
            isvc.subject,
            f"it names {named}, which is not live in any registry read: it is shown alone",
            f"restore the version in the registry, or correct {place}",
        ),
    )


def _ambiguous(isvc: Deployment, versions: Sequence[Ref]) -> tuple[Problem, ...]:
    return (
        Problem(
            "version_ambiguous",
            "warning",
            isvc.subject,
            f"{len(versions)} registered versions could be meant: {', '.join(map(str, versions))}",
            f"name the one meant with the labels {isvc.registry.family if isvc.registry else FAMILIES[0]}"
            "registered-model-id, …/model-version-id and …/name (of the registry)",
        ),
    )


def choose_server(claims: Mapping[str, tuple[Deployment, Link]]) -> tuple[str, dict[str, Problem]]:
    """Return which deployment a version shows as its server, empty without any, and a problem for each other one.

    `claims` are the deployments that serve it, with their links, by their references. Certain links are preferred, then
    those that are ready, then the oldest.
    """

    def rank(ref: str) -> tuple[bool, bool, bool, int, str]:
        deployment, link = claims[ref]
        return not link.certain, not deployment.readiness.ready, not deployment.created, deployment.created, ref

    server, *others = sorted(claims, key=rank) or [""]
    return server, {
        ref: Problem(
            "second_deployment",
            "info",
            claims[ref][0].subject,
            f"the registered version it serves is shown with {claims[server][0].subject}; this one is shown by itself",
            "nothing needs doing: a document has room for one server",
        )
        for ref in others
    }
