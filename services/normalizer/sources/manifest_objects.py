"""From the Kubernetes objects in files to facts, and what is wrong with them, with file and line."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from common.problems import Problem, ProblemId
from services.normalizer.facts import MANIFESTS, DeploymentKind, Ref
from services.normalizer.normalize import values
from services.normalizer.normalize.connection import Connection, read_connection
from services.normalizer.normalize.deployment import (
    DEPLOYMENT_KINDS,
    Deployment,
    Fact,
    Planned,
    ServiceAccountFacts,
    ServiceFacts,
    read_names,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.kserve_objects import FRAMEWORKS, read_isvc, read_llmisvc
from services.normalizer.normalize.runtimes import Runtime, read_runtime
from services.normalizer.normalize.stated import misspellings
from services.normalizer.normalize.storage import secret_name
from services.normalizer.sources.kustomizations import Overlay, is_kustomization, read_overlay
from services.normalizer.sources.manifest_files import DocumentFault, FileContents, Manifest, Place, is_placeholder
from services.normalizer.sources.manifest_schema import ISVC, LLM, Schema, wrong_types
from services.normalizer.sources.manifest_text import Located, Unquoted

Key = tuple[str, str]
"""An object's namespace and name."""


_KSERVE = "serving.kserve.io"
_VERSION = "v1beta1"
_ISVC: DeploymentKind = "InferenceService"
# Kinds that serve models and are not read, by group.
_NOT_READ = {
    _KSERVE: ("InferenceGraph", "TrainedModel"),
    "serving.kubeflow.org": (_ISVC, "TrainedModel"),
    "machinelearning.seldon.io": ("SeldonDeployment",),
}
# Further kinds of KServe: what models are served with, but not served models.
_BESIDE = (
    "ClusterStorageContainer",
    "LLMInferenceServiceConfig",
    "LocalModelCache",
    "LocalModelNamespaceCache",
    "LocalModelNode",
    "LocalModelNodeGroup",
)


_RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")


class _KindReader(NamedTuple):
    """How a kind of deployment is read: its API versions, the newest first, and what a whole object has of `parts`.

    `schema` is that of its `spec`.
    """

    kind: DeploymentKind
    versions: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Deployment]
    schema: Schema
    whole: tuple[str, ...]
    parts: tuple[str, ...]


_READERS: Mapping[DeploymentKind, _KindReader] = {
    reader.kind: reader
    for reader in (
        _KindReader(
            _ISVC,
            (_VERSION,),
            read_isvc,
            ISVC,
            ("spec", "predictor"),
            ("model", "containers", "workerSpec", *FRAMEWORKS),
        ),
        _KindReader(
            "LLMInferenceService",
            ("v1alpha2", "v1alpha1"),
            read_llmisvc,
            LLM,
            ("spec",),
            ("model", "baseRefs", "template", "router", "worker"),
        ),
    )
}
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")


class DeploymentManifest(NamedTuple):
    """A deployment in a file, and whether it has a status there."""

    facts: Deployment
    has_status: bool
    place: Place

    @property
    def ref(self) -> Ref:
        """Its reference."""
        return Ref.deployment(self.facts.kind, MANIFESTS, self.facts.namespace, self.facts.name)


class Noticed(NamedTuple):
    """A problem, and the place in the files that causes it."""

    problem: Problem
    place: Place


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of some files. `faults`: documents that cannot be read and may contain deployments."""

    deployments: Mapping[Ref, DeploymentManifest] = field(default_factory=dict)
    services: Mapping[Key, ServiceFacts] = field(default_factory=dict)
    accounts: Mapping[Key, ServiceAccountFacts] = field(default_factory=dict)
    runtimes: Mapping[Key, Runtime] = field(default_factory=dict)
    connections: Mapping[Key, Connection] = field(default_factory=dict)
    noticed: tuple[Noticed, ...] = ()
    faults: tuple[DocumentFault, ...] = ()

    def facts(self) -> dict[Ref, Fact]:
        """Return the facts about the objects."""
        return {
            **{Ref("service", MANIFESTS, key): service for key, service in self.services.items()},
            **{Ref("serviceaccount", MANIFESTS, key): account for key, account in self.accounts.items()},
            **{Ref("runtime", MANIFESTS, key): runtime for key, runtime in self.runtimes.items()},
            **{Ref("connection", MANIFESTS, key): connection for key, connection in self.connections.items()},
            **{ref: each.facts if each.has_status else Planned(each.facts) for ref, each in self.deployments.items()},
        }


def read_manifests(files: Mapping[Path, FileContents], *, connections: bool = False) -> Contents:
    """Return the facts of the objects in files, by path; kinds that have nothing to do with us are left out.

    `connections`: the Secrets that deployments name as connections are read, as far as they may be shown.
    """
    ordered = sorted(files)
    manifests = [found for path in ordered if not is_kustomization(path) for found in files[path].manifests]
    kustomizations = {
        path: found.obj for path, contents in files.items() if is_kustomization(path) for found in contents.manifests
    }
    ours = {Path(found.place.path) for found in manifests if found.obj.get("kind") in DEPLOYMENT_KINDS}
    overlay = read_overlay(kustomizations, ours=ours) if kustomizations else Overlay()
    reading = _Reading(overlay, connections=connections)
    for manifest in manifests:
        if not overlay.is_patch(manifest.place.path):
            reading.take(manifest)
    faults = [fault for path in ordered for fault in files[path].faults if not overlay.is_patch(fault.place.path)]
    of_files = [*map(_unreadable, faults), *(Noticed(each, Place(each.object)) for each in overlay.problems)]
    return Contents(
        reading.deployments,
        reading.services,
        reading.accounts,
        reading.runtimes,
        reading.connections_in_use(),
        (*of_files, *reading.noticed),
        tuple(fault for fault in faults if not fault.template),
    )


def identity(manifest: Manifest) -> tuple[str, str, str, str]:
    """Return the identity of an object: group, kind, namespace, name."""
    metadata = values.mapping(manifest.obj.get("metadata"))
    group = str(manifest.obj.get("apiVersion", "")).rpartition("/")[0]
    return group, str(manifest.obj.get("kind", "")), str(metadata.get("namespace", "")), str(metadata.get("name", ""))


class _Reading:
    """What was read so far."""

    def __init__(self, overlay: Overlay, *, connections: bool) -> None:
        self._overlay = overlay
        self._reads_connections = connections
        self._partial: set[Ref] = set()
        self.deployments: dict[Ref, DeploymentManifest] = {}
        self.services: dict[Key, ServiceFacts] = {}
        self.accounts: dict[Key, ServiceAccountFacts] = {}
        self.runtimes: dict[Key, Runtime] = {}
        self.connections: dict[Key, Connection] = {}
        self.noticed: list[Noticed] = []

    def take(self, manifest: Manifest) -> None:
        """Take an object of any kind."""
        manifest = self._placed(manifest)
        group, kind, _, _ = identity(manifest)
        match kind, group:
            case "InferenceService", "serving.kserve.io":
                self._take_deployment(manifest, _READERS["InferenceService"])
            case "LLMInferenceService", "serving.kserve.io":
                self._take_deployment(manifest, _READERS["LLMInferenceService"])
            case "Service", "":
                service = read_service(manifest.obj)
                self.services[service.namespace, service.name] = service
            case "ServiceAccount", "":
                account = read_service_account(manifest.obj)
                self.accounts[account.namespace, account.name] = account
            case "ServingRuntime" | "ClusterServingRuntime", "serving.kserve.io":
                runtime = read_runtime(manifest.obj)
                namespace, _ = read_names(values.mapping(manifest.obj.get("metadata")))
                self.runtimes["" if kind == "ClusterServingRuntime" else namespace, runtime.name] = runtime
            case "Secret", "" if self._reads_connections:
                namespace, name = read_names(values.mapping(manifest.obj.get("metadata")))
                self.connections[namespace, name] = read_connection(manifest.obj, namespace=namespace, name=name)
            case "Template", "template.openshift.io" if _holds_isvcs(manifest.obj):
                problem = Problem(
                    "template_not_read",
                    "warning",
                    f"Template {values.line(values.at(manifest.obj, 'metadata', 'name'))}",
                    "it holds InferenceServices, which are not read",
                    f"to see what comes of it: oc process -f {manifest.place.path} | connector preview -",
                )
                self.noticed.append(Noticed(problem, manifest.place))
            case _:
                self.noticed += _not_read(manifest, group, kind)

    def connections_in_use(self) -> dict[Key, Connection]:
        """Return the connections that deployments name: any other Secret is none, whatever its annotations say."""
        named = ((each.facts.namespace, secret_name(each.facts.storage)) for each in self.deployments.values())
        return {key: self.connections[key] for key in named if key in self.connections}

    def _placed(self, manifest: Manifest) -> Manifest:
        """Return the object with the namespace that a kustomization gives it."""
        namespace = self._overlay.namespace(manifest.place.path)
        if not namespace:
            return manifest
        metadata = {**values.mapping(manifest.obj.get("metadata")), "namespace": namespace}
        return Manifest({**manifest.obj, "metadata": metadata}, manifest.place)

    def _take_deployment(self, manifest: Manifest, reader: _KindReader) -> None:
        obj, place = manifest
        if _is_to_be_filled_in(obj):
            self.noticed.append(_unreadable(DocumentFault(place, "it has no name yet", template=True)))
            return
        if not values.line(values.at(obj, "metadata", "name")):
            problem = Problem(
                "without_name", "error", str(place), f"{reader.kind} without metadata.name", "give it a name"
            )
            self.noticed.append(Noticed(problem, place))
            return
        found = DeploymentManifest(reader.read(obj), has_status=bool(obj.get("status")), place=place)
        ref, name = found.ref, found.ref.label
        self.noticed += [Noticed(problem, place) for problem in _checked(obj, name, reader)]
        self.noticed += _of_wrong_type(manifest, name, reader)
        partial = not any(values.at(obj, *reader.whole, part) for part in reader.parts)
        former = self.deployments.get(ref)
        if former is not None and partial != (ref in self._partial):
            whole, part = (former.place, place) if partial else (place, former.place)
            problem = Problem(
                "part_of_an_object",
                "info",
                name,
                f"{part} holds only a part of it, as a patch does: the whole in {whole} counts",
                "name the patch in a kustomization.yaml, or render it: kustomize build DIR | connector preview -",
            )
            self.noticed.append(Noticed(problem, part))
            if partial:
                return
        elif former is not None:
            problem = Problem(
                "object_twice",
                "warning",
                name,
                f"it is in {former.place} and in {place}; the latter counts",
                "remove one of them",
            )
            self.noticed.append(Noticed(problem, place))
        (self._partial.add if partial else self._partial.discard)(ref)
        self.deployments[ref] = found


def _is_to_be_filled_in(obj: Mapping[str, Any]) -> bool:
    """Return whether an object's name or namespace is a placeholder: the template of one, although it is valid YAML."""
    names = (values.at(obj, "metadata", field_name) for field_name in ("name", "namespace"))
    return any(is_placeholder(name) if isinstance(name, str) else isinstance(name, Mapping) for name in names)


def _holds_isvcs(template: Mapping[str, Any]) -> bool:
    return any(values.at(obj, "kind") in DEPLOYMENT_KINDS for obj in values.items(template.get("objects")))


def _checked(obj: Mapping[str, Any], name: str, reader: _KindReader) -> Iterator[Problem]:
    """Yield what is wrong with a deployment that a file has, apart from what its mapping tells."""
    version = str(obj.get("apiVersion", "")).rpartition("/")[2]
    if version not in reader.versions:
        yield Problem(
            "api_version_unknown",
            "warning",
            name,
            f"its API version {_KSERVE}/{version} does not exist in KServe for this kind",
            f"write apiVersion: {_KSERVE}/{reader.versions[0]}",
        )
    metadata = values.mapping(obj.get("metadata"))
    if not _NAME.match(values.line(metadata.get("name"))):
        yield Problem(
            "object_name_invalid",
            "warning",
            name,
            "its name is not valid in a cluster",
            "write lower-case letters, digits and '-', at most 63, a letter first",
        )
    annotations = values.mapping(metadata.get("annotations"))
    for field_name, texts in (("label", values.mapping(metadata.get("labels"))), ("annotation", annotations)):
        for key, value in texts.items():
            if value is not None and (not isinstance(value, str) or isinstance(value, Unquoted)):
                yield Problem(
                    "value_not_text",
                    "warning",
                    name,
                    f"the value of the {field_name} {key} is not text: kubectl refuses it",
                    f"write it in quotes, {key}: {_quoted(value)}",
                )
    for found in misspellings(annotations):
        yield Problem(
            "annotation_unknown",
            "warning",
            name,
            f"the annotation {found.key} is unknown" + (f"; did you mean {found.meant}?" if found.meant else ""),
            f"write {found.meant}" if found.meant else "the annotations that count are in docs/mapping.md",
        )


def _of_wrong_type(manifest: Manifest, name: str, reader: _KindReader) -> Iterator[Noticed]:
    """Yield the fields of a deployment whose values the API server refuses, each with the line of the object around."""
    obj, place = manifest
    first = obj.line if isinstance(obj, Located) else -1
    for each in wrong_types(obj.get("spec"), reader.schema, "spec"):
        line = place.line + each.line - first if min(each.line, first) >= 0 else place.line
        problem = Problem(
            "field_of_wrong_type",
            "error",
            name,
            f"its field {each.field} is {each.found}, where {each.expected} belongs: the API server refuses it",
            each.remedy,
        )
        yield Noticed(problem, Place(place.path, line))


def _quoted(value: object) -> str:
    return f'"{values.line(value)}"' if isinstance(value, str | int | float) else '"..."'


def _not_read(manifest: Manifest, group: str, kind: str) -> Iterator[Noticed]:
    """Yield that an object serves a model and is of a kind that is not read, or nearly of one that is."""
    name = "/".join(filter(None, identity(manifest)[2:])) or "without a name"

    def problem(id_: ProblemId, message: str, remedy: str) -> Noticed:
        return Noticed(Problem(id_, "warning", f"{kind or 'object'} {name}", message, remedy), manifest.place)

    if kind in _NOT_READ.get(group, ()):
        yield problem(
            "kind_not_read",
            f"the kind {kind} of {group} is not read: it is not served",
            f"an InferenceService of {_KSERVE}/{_VERSION} is served",
        )
    elif kind == _ISVC:
        yield problem(
            "kind_not_read",
            f"an InferenceService of API group {group or 'none'} is not KServe's: it is not served",
            f"write apiVersion: {_KSERVE}/{_VERSION}",
        )
    elif group == _KSERVE and kind not in _BESIDE:
        near = get_close_matches(kind, (*DEPLOYMENT_KINDS, *_NOT_READ[_KSERVE], *_BESIDE, *_RUNTIMES), n=1)
        yield problem(
            "kind_unknown",
            f"{_KSERVE} has no kind {kind or 'of that name'}" + (f"; did you mean {near[0]}?" if near else ""),
            f"write kind: {near[0] if near else _ISVC}",
        )


def _unreadable(fault: DocumentFault) -> Noticed:
    if fault.template:
        problem = Problem(
            "template_not_read",
            "info",
            str(fault.place),
            "not read: it is a template, not a manifest",
            "to see what comes of it: helm template CHART | connector preview -",
        )
    else:
        remedy = "fix the file; what it held before stays until then"
        problem = Problem("file_unreadable", "error", str(fault.place), f"not read: {fault.message}", remedy)
    return Noticed(problem, fault.place)
