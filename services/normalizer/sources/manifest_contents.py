"""What the objects of all files say together: each object once, in the namespace that a kustomization gives it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from common.problems import Problem
from services.normalizer.facts import MANIFESTS, Ref
from services.normalizer.normalize.connection import Connection
from services.normalizer.normalize.deployment import Deployment, ObjectFact
from services.normalizer.normalize.storage import secret_name
from services.normalizer.sources.kustomizations import Kustomization, Overlay, is_kustomization, read_overlay
from services.normalizer.sources.manifest_checks import Noticed
from services.normalizer.sources.manifest_files import DocumentFault, FileContents, Place
from services.normalizer.sources.manifest_kinds import unreadable
from services.normalizer.sources.manifest_objects import FileFacts, ObjectFacts, read_objects

_OF_FIELDS = ("field_unknown", "field_of_wrong_type", "field_repeated")


class DeploymentManifest(NamedTuple):
    """A deployment in a file."""

    facts: Deployment
    place: Place


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of some files. `faults`: documents that cannot be read and may contain deployments.

    `cluster` is that of references: `MANIFESTS`, unless the objects were copied from a cluster.
    """

    deployments: Mapping[Ref, DeploymentManifest] = field(default_factory=dict)
    companions: Mapping[Ref, ObjectFact] = field(default_factory=dict)
    noticed: tuple[Noticed, ...] = ()
    faults: tuple[DocumentFault, ...] = ()
    cluster: str = MANIFESTS

    def facts(self) -> dict[Ref, ObjectFact]:
        """Return the facts about the objects."""
        return {**self.companions, **{ref: each.facts for ref, each in self.deployments.items()}}


def read_manifests(files: Mapping[Path, FileContents], *, connections: bool = False) -> Contents:
    """Return what the objects in files, by path, say together; the rest is as for `joined`."""
    overlay = overlay_of({path: read_objects(path, files[path]) for path in files if is_kustomization(path)})
    read = {path: read_objects(path, each, namespace=overlay.namespace(path)) for path, each in files.items()}
    return joined(read, overlay, connections=connections)


def overlay_of(files: Mapping[Path, FileFacts]) -> Overlay:
    """Return what the kustomizations among some files say of the others; of several in one file the last one counts."""
    return read_overlay(
        {
            path: each.fact
            for path, contents in files.items()
            for each in contents.objects
            if isinstance(each.fact, Kustomization)
        }
    )


def joined(files: Mapping[Path, FileFacts], overlay: Overlay, *, connections: bool = False) -> Contents:
    """Return what files, by path, say together; the rest is as for `Joining`."""
    joining = Joining(overlay, connections=connections)
    for path, facts in files.items():
        joining.take(path, facts)
    return joining.contents()


class Joining:
    """Joins what files say, which are taken one by one: each object once; if several files have it, the last one's.

    `overlay` is what kustomizations say of the files. `connections`: the Secrets that deployments name as connections
    are among the companions. `cluster` is that of the references.
    """

    def __init__(self, overlay: Overlay, *, connections: bool = False, cluster: str = MANIFESTS) -> None:
        self._overlay = overlay
        self._reads_connections = connections
        self._cluster = cluster
        self._ours: list[Path] = []
        self._faults: list[DocumentFault] = []
        self._parts: dict[Ref, Noticed] = {}
        self._connections: dict[Ref, Connection] = {}
        self._deployments: dict[Ref, DeploymentManifest] = {}
        self._companions: dict[Ref, ObjectFact] = {}
        self._noticed: list[Noticed] = []

    def take(self, path: Path, facts: FileFacts) -> dict[Ref, Deployment]:
        """Take a file; return the deployments in it that count."""
        if facts.is_ours:
            self._ours.append(path)
        if self._overlay.is_patch(path):
            return {}
        self._faults += facts.faults
        return {ref: self._deployments[ref].facts for each in facts.objects if (ref := self._take(each)) is not None}

    def contents(self) -> Contents:
        """Return what the files say together."""
        problems = self._overlay.problems(self._ours)
        of_files = [*map(unreadable, self._faults), *(Noticed(each, Place(each.object)) for each in problems)]
        return Contents(
            self._deployments,
            {**self._companions, **(self._connections_in_use() if self._reads_connections else {})},
            (*of_files, *self._noticed, *self._without_model()),
            tuple(fault for fault in self._faults if not fault.template),
            self._cluster,
        )

    def _take(self, each: ObjectFacts) -> Ref | None:
        """Take an object of any kind; return its reference if it is a deployment that counts."""
        self._noticed += each.noticed
        match each.fact:
            case None | Kustomization():
                pass
            case Deployment():
                return self._take_deployment(each, each.fact)
            case Connection():
                self._connections[each.ref(self._cluster)] = each.fact
            case _:
                self._companions[each.ref(self._cluster)] = each.fact
        return None

    def _connections_in_use(self) -> dict[Ref, Connection]:
        """Return the connections that deployments name: any other Secret is none, whatever its annotations say."""
        facts = (each.facts for each in self._deployments.values())
        named = (Ref("connection", self._cluster, (each.namespace, secret_name(each.storage))) for each in facts)
        return {ref: self._connections[ref] for ref in named if ref in self._connections}

    def _without_model(self) -> Iterator[Noticed]:
        """Yield the problems of deployments that do not say what they serve, unless a field is wrong in them anyway."""
        wrong = {each.problem.object for each in self._noticed if each.problem.id in _OF_FIELDS}
        yield from (each for each in self._parts.values() if each.problem.object not in wrong)

    def _take_deployment(self, each: ObjectFacts, facts: Deployment) -> Ref | None:
        ref, place = each.ref(self._cluster), each.place
        former = self._deployments.get(ref)
        if former is not None and (each.part is not None) != (ref in self._parts):
            whole, part = (former.place, place) if each.part else (place, former.place)
            problem = Problem(
                "part_of_an_object",
                "info",
                ref.label,
                f"{part} holds only a part of it, as a patch does: the whole in {whole} counts",
                "name the patch in a kustomization.yaml, or render it: kustomize build DIR | connector preview -",
            )
            self._noticed.append(Noticed(problem, part))
            if each.part:
                return None
        elif former is not None:
            problem = Problem(
                "object_twice",
                "warning",
                ref.label,
                f"it is in {former.place} and in {place}; the latter counts",
                "remove one of them",
            )
            self._noticed.append(Noticed(problem, place))
        self._deployments[ref] = DeploymentManifest(facts, place)
        self._parts.pop(ref, None)
        if each.part:
            self._parts[ref] = each.part
        return ref
