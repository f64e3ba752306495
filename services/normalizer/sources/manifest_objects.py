"""From the Kubernetes objects in one file to facts; manifest_contents.py has what the objects of several files mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from common.problems import Problem
from services.normalizer.facts import DeploymentKind, Ref, RefKind
from services.normalizer.normalize import values
from services.normalizer.normalize.connection import read_connection
from services.normalizer.normalize.deployment import (
    DEPLOYMENT_KINDS,
    Deployment,
    ObjectFact,
    read_names,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.kserve_objects import FRAMEWORKS, read_isvc, read_llmisvc
from services.normalizer.normalize.runtimes import read_runtime
from services.normalizer.sources.kustomizations import Kustomization, is_kustomization, read_kustomization
from services.normalizer.sources.manifest_checks import (
    Identity,
    Noticed,
    deployment_faults,
    identity,
    is_to_be_filled_in,
    merged_objects,
    without_model,
    without_namespace,
)
from services.normalizer.sources.manifest_files import DocumentFault, FileContents, Manifest, Place, is_placeholder
from services.normalizer.sources.manifest_kinds import held_deployments, kind_faults, unreadable


class ObjectFacts(NamedTuple):
    """What one object in a file says, and what is wrong with it.

    `written` is its identity in the file. `kind` and `ids` are those of its reference; there is no `fact` if it has
    nothing to do with us or cannot be used. `part`: what is told of a deployment that holds only a part of one, unless
    another file has the whole.
    """

    written: Identity
    place: Place
    noticed: tuple[Noticed, ...] = ()
    kind: RefKind = "isvc"
    ids: tuple[str, str] = ("", "")
    fact: ObjectFact | Kustomization | None = None
    part: Noticed | None = None

    def ref(self, cluster: str) -> Ref:
        """Return its reference in a cluster."""
        return Ref(self.kind, cluster, self.ids)


class FileFacts(NamedTuple):
    """What the objects in a file say, and the documents that cannot be read."""

    objects: tuple[ObjectFacts, ...] = ()
    faults: tuple[DocumentFault, ...] = ()

    @property
    def is_ours(self) -> bool:
        """Whether it holds deployments."""
        return any(each.written.kind in DEPLOYMENT_KINDS for each in self.objects)


class _KindReader(NamedTuple):
    """How a kind of deployment is read, and what a whole object has of `parts` in `whole`."""

    kind: DeploymentKind
    read: Callable[..., Deployment]
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


def read_objects(path: Path, contents: FileContents, *, namespace: str = "", accepted: bool = False) -> FileFacts:
    """Return the facts of the objects in a file; kinds that have nothing to do with us have none.

    `namespace` is the one that a kustomization gives them, or empty. `accepted`: they come from an API server.
    """
    if is_kustomization(path):
        objects = [
            ObjectFacts(identity(each), each.place, fact=read_kustomization(path, each.obj))
            for each in contents.manifests
        ]
    else:
        objects = [_read(each, namespace, accepted=accepted) for each in contents.manifests]
    return FileFacts(tuple(objects), contents.faults)


def _read(manifest: Manifest, namespace: str, *, accepted: bool) -> ObjectFacts:
    """Return the facts of an object of any kind."""
    written = identity(manifest)
    lost = () if written.kind in DEPLOYMENT_KINDS else merged_objects(manifest, f"{written.kind} {written.name}")
    found = ObjectFacts(written, manifest.place, lost)
    obj, place = manifest = _placed(manifest, namespace)
    match written.kind, written.group:
        case "InferenceService" | "LLMInferenceService", "serving.kserve.io":
            return _read_deployment(found, manifest, _READERS[written.kind], accepted=accepted)
        case "Service", "":
            service = read_service(obj)
            return found._replace(kind="service", ids=(service.namespace, service.name), fact=service)
        case "ServiceAccount", "":
            account = read_service_account(obj)
            return found._replace(kind="serviceaccount", ids=(account.namespace, account.name), fact=account)
        case "ServingRuntime" | "ClusterServingRuntime", "serving.kserve.io":
            runtime = read_runtime(obj)
            of_namespace, _ = read_names(values.mapping(obj.get("metadata")))
            of_namespace = "" if written.kind == "ClusterServingRuntime" else of_namespace
            return found._replace(kind="runtime", ids=(of_namespace, runtime.name), fact=runtime)
        case "Secret", "":
            names = read_names(values.mapping(obj.get("metadata")))
            connection = read_connection(obj, namespace=names[0], name=names[1])
            return found._replace(kind="connection", ids=names, fact=connection)
        case "Template", "template.openshift.io" if _holds_isvcs(obj):
            problem = Problem(
                "template_not_read",
                "warning",
                f"Template {values.line_at(obj, 'metadata', 'name')}",
                "it holds InferenceServices, which are not read",
                f"to see what comes of it: oc process --local -f {_file(place)} | connector preview -",
            )
            return found._replace(noticed=(Noticed(problem, place),))
        case _:
            faults = tuple(kind_faults(manifest, written.group, written.kind))
            held = held_deployments(manifest) if not faults else ()
            return found._replace(noticed=(*lost, *faults, *held))


def _placed(manifest: Manifest, namespace: str) -> Manifest:
    """Return an object with the namespace that a kustomization gives it."""
    if not namespace:
        return manifest
    metadata = {**values.mapping(manifest.obj.get("metadata")), "namespace": namespace}
    return Manifest({**manifest.obj, "metadata": metadata}, manifest.place)


def _read_deployment(found: ObjectFacts, manifest: Manifest, reader: _KindReader, *, accepted: bool) -> ObjectFacts:
    obj, place = manifest
    if is_to_be_filled_in(obj):
        named = (values.at(obj, "metadata", each) for each in ("name", "namespace"))
        placeholder = next((each for each in named if isinstance(each, str) and is_placeholder(each)), "{{ }}")
        return found._replace(noticed=(unreadable(DocumentFault(place, "it has no name yet", placeholder)),))
    if not values.line_at(obj, "metadata", "name"):
        generated = values.line_at(obj, "metadata", "generateName")
        what = "metadata.generateName instead of metadata.name: each time it is created, it is another model"
        message = f"the {reader.kind} has {what if generated else 'no metadata.name'}"
        remedy = "write below metadata, for example: name: my-model"
        problem = Problem("without_name", "error", str(place), message, remedy)
        return found._replace(noticed=(Noticed(problem, place),))
    facts = reader.read(obj, planned=not obj.get("status"))
    ref = Ref.deployment(reader.kind, "", facts.namespace, facts.name)
    is_whole = any(values.at(obj, *reader.whole, part) for part in reader.parts)
    return ObjectFacts(
        found.written,
        place,
        (
            *deployment_faults(manifest, reader.kind, ref.label, accepted=accepted),
            *(without_namespace(manifest, ref.label) if is_whole and not accepted else ()),
        ),
        ref.kind,
        ref.ids,
        facts,
        part=None if is_whole else without_model(manifest, reader.kind, ref.label),
    )


def _file(place: Place) -> str:
    """Return the file in a command; standard input has been read already."""
    return "TEMPLATE" if place.path == "-" else place.path


def _holds_isvcs(template: Mapping[str, Any]) -> bool:
    return any(values.at(obj, "kind") in DEPLOYMENT_KINDS for obj in values.items(template.get("objects")))
