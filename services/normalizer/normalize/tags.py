"""Tags, in the forms that Backstage keeps (Backstage: "Descriptor Format", metadata.tags).

The labels and custom properties that people write become tags, and so do some fields of newer registries. Labels that
tools write for themselves do not: they would flood the catalog's filter.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from common import backstage
from common.texts import parse_json
from services.normalizer.normalize import values
from services.normalizer.normalize.result import Notes

if TYPE_CHECKING:  # slow to import, and not needed for the tags of deployments
    from services.normalizer.normalize.registry_objects import (
        ModelArtifact,
        ModelVersion,
        PropertyValue,
        RegisteredModel,
    )

MACHINERY = (
    # Kubernetes and OpenShift
    "*.k8s.io/*", "*.kubernetes.io/*", "k8s-app", "kubernetes.io/*", "controller-revision-hash", "pod-template-*",
    "openshift.io/*", "*.openshift.io/*", "*.x-k8s.io/*", "olm.*", "operators.coreos.com/*",
    # What deploys
    "rollouts-pod-template-hash", "chart", "helm.sh/*", "heritage", "meta.helm.sh/*", "*.argoproj.io/*",
    "*.fluxcd.io/*", "fluxcd.io/*", "*.tekton.dev/*", "tekton.dev/*", "crossplane.io/*", "*.crossplane.io/*",
    # What connects, secures and watches
    "*.knative.dev/*", "istio.io/*", "*.istio.io/*", "maistra.io/*", "velero.io/*", "kyverno.io/*", "*.kyverno.io/*",
    "external-secrets.io/*", "*.external-secrets.io/*", "prometheus.io/*",
    # Backstage, KServe, Kubeflow, MLflow, and the dashboards, which keep properties to themselves (`_...`)
    "backstage.io/*", "rhdh.io/*", "*.rhdh.io/*", "rhdh.modelcatalog.io/*", "*.kserve.io/*", "*.kubeflow.org/*",
    "mlflow.*", "*.opendatahub.io/*", "opendatahub.io/*", "_*",
)  # fmt: skip
"""Labels and properties that tools write for themselves; `*` is any text."""
_KEEP = "!"
"""The beginning of a pattern whose keys become tags although an earlier pattern matches them."""
PROVIDER = "Provider"
TASKS = "tasks"
_VALUE_ONLY = frozenset(
    {
        "API Type",
        PROVIDER,
        "Registered from",
        "Source model",
        "Source model version",
        "_registeredFromCatalogRepositoryName",
        TASKS,
    }
)
_LAST_MODIFIED = "_lastModified"
_LAST_MODIFIED_TAG = "last-modified-time-"
_TIME_SEPARATORS = str.maketrans({":": "-", ".": "-", "T": "-", "Z": None})
_FALSE = "false"
# Several lines, addresses, JSON objects, digests and UUIDs.
_USELESS_AS_FILTER = re.compile(
    r"\n|://|\A\{.*\}\Z|\b[0-9a-fA-F]{32,}\b|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
)
_MAX_LISTED = 20
_MAX_TOLD = 5
_Properties: TypeAlias = "Mapping[str, PropertyValue]"


@lru_cache(maxsize=1024)
def _is_machinery(key: str, ignored: tuple[str, ...] = ()) -> bool:
    """Return whether a label or custom property does not become a tag; the last pattern that matches its key decides.

    `ignored` are patterns after the built-in ones; what matches a pattern with a leading `!` becomes a tag.
    """
    state = False
    for pattern, decision in _patterns(ignored):
        if decision != state and pattern.match(key):
            state = decision
    return state


def label_tag(key: str, value: str, ignored: tuple[str, ...] = ()) -> str | None:
    """Return the tag for a Kubernetes label, or None when it is machinery or nothing of it is valid in a tag."""
    if _is_machinery(key, ignored):
        return None
    return backstage.tag(backstage.sanitize(f"{backstage.sanitize(key)}-{backstage.sanitize(value)}"))


def tag_set(tags: Iterable[str | None]) -> tuple[str, ...]:
    """Return the tags sorted, each once, without None."""
    return tuple(sorted({tag for tag in tags if tag}))


@lru_cache(maxsize=8)
def _patterns(ignored: tuple[str, ...]) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """Return one expression for each run of patterns with the same decision, and whether that is to ignore."""
    grouped: list[tuple[list[str], bool]] = []
    for written in (*MACHINERY, *ignored):
        decision = not written.startswith(_KEEP)
        if not grouped or grouped[-1][1] != decision:
            grouped.append(([], decision))
        grouped[-1][0].append(translate(written.removeprefix(_KEEP)))
    return tuple((re.compile("|".join(patterns)), decision) for patterns, decision in grouped)


def property_tags(
    model: "RegisteredModel",
    version: "ModelVersion",
    artifacts: "Iterable[ModelArtifact]",
    *,
    with_own_place: frozenset[str],
    ignored: tuple[str, ...],
    notes: Notes,
) -> tuple[str, ...]:
    """Return the tags of a document, sorted; properties of which no tag can be made become a problem.

    Properties that have their own place in the document (`with_own_place`) and machinery are left out. `ignored` are
    patterns of machinery after the built-in ones.
    """
    sources = [model.properties, version.properties, *(artifact.properties for artifact in artifacts)]
    tags: set[str | None] = set()
    lost: set[str] = set()
    for properties in sources:
        for key, stored in properties.items():
            if key not in _VALUE_ONLY and (key in with_own_place or _is_machinery(key, ignored)):
                continue
            of_property = [backstage.tag(text) for text in _tag_texts(key, stored)]
            tags.update(of_property)
            if of_property and not any(of_property):
                lost.add(key)
    tags.update(backstage.tag(tag) for properties in sources[1:] for tag in _last_modified(properties))
    _note_lost(lost, notes)
    return tag_set((*tags, *_field_tags(model, version)))


def listed(text: str) -> tuple[str, ...] | None:
    """Return the plain values of a string that holds a JSON list, or None when it holds something else."""
    if not text.startswith("["):
        return None
    try:
        entries = parse_json(text)
    except ValueError:
        return None
    lines = (values.line(entry) for entry in entries)
    return tuple(line for line in lines if line)[:_MAX_LISTED]


def _tag_texts(key: str, stored: "PropertyValue") -> Iterator[str]:
    """Yield the texts that the tags of a property are made of.

    A metric means nothing without its value; prose and addresses are useless as a filter.
    """
    if key in _VALUE_ONLY:
        yield from (text for text in _texts(stored) if text)
    elif stored.is_string or stored.is_metric:
        yield from (f"{key}-{text}" if text else key for text in _texts(stored))
    elif stored.text != _FALSE:
        yield key


def _texts(stored: "PropertyValue") -> Iterator[str]:
    entries = listed(stored.text) if stored.is_string else None
    for text in (stored.text,) if entries is None else entries:
        if len(text) <= backstage.MAX_NAME and not _USELESS_AS_FILTER.search(text):
            yield text


def _last_modified(properties: _Properties) -> Iterator[str]:
    if (stored := properties.get(_LAST_MODIFIED)) and stored.text:
        yield f"{_LAST_MODIFIED_TAG}{stored.text.translate(_TIME_SEPARATORS)}"


def _field_tags(model: "RegisteredModel", version: "ModelVersion") -> Iterator[str | None]:
    if PROVIDER not in model.properties and PROVIDER not in version.properties:
        yield backstage.tag(model.provider)
    yield from map(backstage.tag, (model.library_name, *model.tasks))
    yield from (backstage.tag(f"language-{language}") for language in model.language)
    yield backstage.tag(f"maturity-{model.maturity}") if model.maturity else None


def _note_lost(keys: Iterable[str], notes: Notes) -> None:
    if not (names := sorted(keys)):
        return
    more = f" and {len(names) - _MAX_TOLD} more" if len(names) > _MAX_TOLD else ""
    notes.info(
        "tag_not_possible",
        f"no tag can be made of the custom properties {', '.join(names[:_MAX_TOLD])}{more}",
        "tags are made of letters, digits, ':', '+', '#' and single '-', with at most 63 characters",
    )
