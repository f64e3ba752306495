"""From the Kubernetes objects in files to facts."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from common.problems import Problem
from services.normalizer.facts import MANIFESTS, DeploymentKind, Ref, RefKind
from services.normalizer.normalize import values
from services.normalizer.normalize.connection import Connection, read_connection
from services.normalizer.normalize.deployment import (
    DEPLOYMENT_KINDS,
    Deployment,
    Fact,
    Planned,
    read_names,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.kserve_objects import FRAMEWORKS, read_isvc, read_llmisvc
from services.normalizer.normalize.runtimes import read_runtime
from services.normalizer.normalize.storage import secret_name
from services.normalizer.sources.kustomizations import Overlay, is_kustomization, read_overlay
from services.normalizer.sources.manifest_checks import (
    Noticed,
    deployment_faults,
    identity,
    is_to_be_filled_in,
    kind_faults,
    unreadable,
    without_model,
)
from services.normalizer.sources.manifest_files import DocumentFault, FileContents, Manifest, Place


class _KindReader(NamedTuple):
    """How a kind of deployment is read, and what a whole object has of `parts` in `whole`."""

    kind: DeploymentKind
    read: Callable[[Mapping[str, Any]], Deployment]
    whole: tuple[str, ...]
    parts: tuple[str, ...]


_READERS: Mapping[str, _KindReader] = {
    reader.kind: reader
    for reader in (
        _KindReader(
            "InferenceService", read_isvc, ("spec", "predictor"), ("model", "containers", "workerSpec", *FRAMEWORKS)
        ),
        _KindReader(
            "LLMInferenceService", read_llmisvc, ("spec",), ("model", "baseRefs", "template", "router", "worker")
        ),
    )
}

_OF_FIELDS = ("field_unknown", "field_of_wrong_type", "field_repeated")


class DeploymentManifest(NamedTuple):
    """A deployment in a file, and whether it has a status there."""

    facts: Deployment
    has_status: bool
    place: Place


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of some files. `faults`: documents that cannot be read and may contain deployments.

    `cluster` is that of references: `MANIFESTS`, unless the objects were copied from a cluster.
    """

    deployments: Mapping[Ref, DeploymentManifest] = field(default_factory=dict)
    companions: Mapping[Ref, Fact] = field(default_factory=dict)
    noticed: tuple[Noticed, ...] = ()
    faults: tuple[DocumentFault, ...] = ()
    cluster: str = MANIFESTS

    def facts(self) -> dict[Ref, Fact]:
        """Return the facts about the objects."""
        deployments = {
            ref: each.facts if each.has_status else Planned(each.facts) for ref, each in self.deployments.items()
        }
        return {**self.companions, **deployments}


def read_manifests(
    files: Mapping[Path, FileContents],
    *,
    connections: bool = False,
    accepted: Collection[Path] = (),
    cluster: str = MANIFESTS,
) -> Contents:
    """Return the facts of the objects in files, by path; kinds that have nothing to do with us are left out.

    `connections`: the Secrets that deployments name as connections are read, as far as they may be shown. `accepted`
    are files whose objects come from an API server, `cluster` is that of their references.
    """
    ordered = sorted(files)
    manifests = [found for path in ordered if not is_kustomization(path) for found in files[path].manifests]
    kustomizations = {
        path: found.obj for path, contents in files.items() if is_kustomization(path) for found in contents.manifests
    }
    ours = (Path(found.place.path) for found in manifests if found.obj.get("kind") in DEPLOYMENT_KINDS)
    overlay = read_overlay(kustomizations, ours=ours) if kustomizations else Overlay()
    reading = _Reading(overlay, cluster, connections=connections, accepted=set(map(str, accepted)))
    for manifest in manifests:
        if not overlay.is_patch(manifest.place.path):
            reading.take(manifest)
    faults = [fault for path in ordered for fault in files[path].faults if not overlay.is_patch(fault.place.path)]
    of_files = [*map(unreadable, faults), *(Noticed(each, Place(each.object)) for each in overlay.problems)]
    return Contents(
        reading.deployments,
        {**reading.companions, **reading.connections_in_use()},
        (*of_files, *reading.noticed, *reading.without_model()),
        tuple(fault for fault in faults if not fault.template),
        cluster,
    )


class _Reading:
    """What was read so far."""

    def __init__(self, overlay: Overlay, cluster: str, *, connections: bool, accepted: Collection[str]) -> None:
        self._overlay = overlay
        self._cluster = cluster
        self._reads_connections = connections
        self._accepted = accepted
        self._partial: dict[Ref, Manifest] = {}
        self.deployments: dict[Ref, DeploymentManifest] = {}
        self.companions: dict[Ref, Fact] = {}
        self.connections: dict[Ref, Connection] = {}
        self.noticed: list[Noticed] = []

    def take(self, manifest: Manifest) -> None:
        """Take an object of any kind."""
        manifest = self._placed(manifest)
        group, kind, _, _ = identity(manifest)
        match kind, group:
            case "InferenceService" | "LLMInferenceService", "serving.kserve.io":
                self._take_deployment(manifest, _READERS[kind])
            case "Service", "":
                service = read_service(manifest.obj)
                self.companions[self._ref("service", service.namespace, service.name)] = service
            case "ServiceAccount", "":
                account = read_service_account(manifest.obj)
                self.companions[self._ref("serviceaccount", account.namespace, account.name)] = account
            case "ServingRuntime" | "ClusterServingRuntime", "serving.kserve.io":
                runtime = read_runtime(manifest.obj)
                namespace, _ = read_names(values.mapping(manifest.obj.get("metadata")))
                namespace = "" if kind == "ClusterServingRuntime" else namespace
                self.companions[self._ref("runtime", namespace, runtime.name)] = runtime
            case "Secret", "" if self._reads_connections:
                namespace, name = read_names(values.mapping(manifest.obj.get("metadata")))
                found = read_connection(manifest.obj, namespace=namespace, name=name)
                self.connections[self._ref("connection", namespace, name)] = found
            case "Template", "template.openshift.io" if _holds_isvcs(manifest.obj):
                problem = Problem(
                    "template_not_read",
                    "warning",
                    f"Template {values.line_at(manifest.obj, 'metadata', 'name')}",
                    "it holds InferenceServices, which are not read",
                    f"to see what comes of it: oc process -f {manifest.place.path} | connector preview -",
                )
                self.noticed.append(Noticed(problem, manifest.place))
            case _:
                self.noticed += kind_faults(manifest, group, kind)

    def _ref(self, kind: RefKind, namespace: str, name: str) -> Ref:
        return Ref(kind, self._cluster, (namespace, name))

    def connections_in_use(self) -> dict[Ref, Connection]:
        """Return the connections that deployments name: any other Secret is none, whatever its annotations say."""
        facts = (each.facts for each in self.deployments.values())
        named = (self._ref("connection", each.namespace, secret_name(each.storage)) for each in facts)
        return {key: self.connections[key] for key in named if key in self.connections}

    def without_model(self) -> Iterator[Noticed]:
        """Yield the problems of deployments that do not say what they serve, unless a field is wrong in them anyway."""
        for ref, manifest in self._partial.items():
            name = ref.label
            if not any(each.problem.object == name and each.problem.id in _OF_FIELDS for each in self.noticed):
                yield without_model(manifest, self.deployments[ref].facts.kind, name)

    def _placed(self, manifest: Manifest) -> Manifest:
        """Return the object with the namespace that a kustomization gives it."""
        namespace = self._overlay.namespace(manifest.place.path)
        if not namespace:
            return manifest
        metadata = {**values.mapping(manifest.obj.get("metadata")), "namespace": namespace}
        return Manifest({**manifest.obj, "metadata": metadata}, manifest.place)

    def _take_deployment(self, manifest: Manifest, reader: _KindReader) -> None:
        obj, place = manifest
        if is_to_be_filled_in(obj):
            self.noticed.append(unreadable(DocumentFault(place, "it has no name yet", template=True)))
            return
        if not values.line_at(obj, "metadata", "name"):
            problem = Problem(
                "without_name", "error", str(place), f"{reader.kind} without metadata.name", "give it a name"
            )
            self.noticed.append(Noticed(problem, place))
            return
        found = DeploymentManifest(reader.read(obj), has_status=bool(obj.get("status")), place=place)
        ref = Ref.deployment(reader.kind, self._cluster, found.facts.namespace, found.facts.name)
        name = ref.label
        self.noticed += deployment_faults(manifest, reader.kind, name, accepted=place.path in self._accepted)
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
        self.deployments[ref] = found
        self._partial.pop(ref, None)
        if partial:
            self._partial[ref] = manifest


def _holds_isvcs(template: Mapping[str, Any]) -> bool:
    return any(values.at(obj, "kind") in DEPLOYMENT_KINDS for obj in values.items(template.get("objects")))
