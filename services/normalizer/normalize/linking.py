"""Which registered version an InferenceService serves.

Labels on the isvc decide; without them the registries' own records of deployments do. One isvc costs a few look-ups,
whatever the number of versions and records.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from common.problems import Problem
from services.normalizer.normalize.deployment import Deployment, subject
from services.normalizer.normalize.labels import RegistryLabels
from services.normalizer.normalize.registry_index import Record, RegistryIndex, VersionRef

__all__ = ["Link", "RegistryIndex", "VersionRef", "link"]


@dataclass(frozen=True, slots=True)
class Link:
    """What an isvc serves: `version` is None for an isvc that no registry describes.

    `record` is the name of the registry's record of the deployment, if there is one. `certain` is false when only
    the beginning of that record's name speaks for the link, which may belong to an isvc with a longer name.
    """

    version: VersionRef | None = None
    record: str = ""
    certain: bool = True
    problems: tuple[Problem, ...] = ()


def link(isvc: Deployment, indexes: Sequence[RegistryIndex]) -> Link:
    """Return which live version of the registries the isvc serves."""
    records = sorted((r for index in indexes for r in index.recorded(isvc)), key=lambda r: _rank(r, isvc))
    labels = isvc.registry
    if labels is None or not labels.names_version:
        return _by_records(isvc, records)
    asked = _named(labels, indexes)
    found = sorted(version for index in asked if (version := index.labelled(labels)))
    if not found:
        return Link(problems=_gone(isvc, labels) if indexes else ())
    recorded = {record.version: record.name for record in reversed(records)}
    version = next((version for version in found if version in recorded), found[0])
    by_id = {record.version: record.name for index in asked if (record := index.records.get(labels.inference_service))}
    return Link(
        version,
        record=by_id.get(version) or recorded.get(version, ""),
        problems=() if len(found) == 1 or version in recorded else _ambiguous(isvc, found),
    )


def _named(labels: RegistryLabels, indexes: Sequence[RegistryIndex]) -> Sequence[RegistryIndex]:
    """Return the registries that the labels may mean: those of the name given, else those whose name is unknown."""
    if not labels.registry_name:
        return indexes
    named = [
        index
        for index in indexes
        if index.ref.name == labels.registry_name
        and ("" in (labels.registry_namespace, index.ref.namespace) or index.ref.namespace == labels.registry_namespace)
    ]
    return named or [index for index in indexes if not index.ref.name]


def _by_records(isvc: Deployment, records: Sequence[Record]) -> Link:
    if not records:
        return Link()
    best = records[0]
    others = sorted({record.version for record in records if _certain(record, isvc) == _certain(best, isvc)})
    problems = _ambiguous(isvc, others) if len(others) > 1 else ()
    return Link(best.version, record=best.name, certain=_certain(best, isvc), problems=problems)


def _certain(record: Record, isvc: Deployment) -> bool:
    return record.isvc_name == isvc.name


def _rank(record: Record, isvc: Deployment) -> tuple[bool, bool, int, VersionRef, str]:
    """Return the key that sorts the record that speaks for the isvc best first: the same name, then the newest."""
    return record.name != isvc.name, not _certain(record, isvc), -record.updated, record.version, record.id


def _gone(isvc: Deployment, labels: RegistryLabels) -> tuple[Problem, ...]:
    named = f"version {labels.version}" if labels.version else f"deployment {labels.inference_service}"
    return (
        Problem(
            "info",
            subject(isvc.namespace, isvc.name),
            f"its labels name {named} of a model registry, which is not live in any registry read: it is shown alone",
            "restore the version in the registry, or correct the labels modelregistry.opendatahub.io/…",
        ),
    )


def _ambiguous(isvc: Deployment, versions: Sequence[VersionRef]) -> tuple[Problem, ...]:
    return (
        Problem(
            "warning",
            subject(isvc.namespace, isvc.name),
            f"{len(versions)} registered versions could be meant: {', '.join(v.ref for v in versions)}",
            "name the one meant with the labels modelregistry.opendatahub.io/registered-model-id, "
            "…/model-version-id and …/name (of the registry)",
        ),
    )
