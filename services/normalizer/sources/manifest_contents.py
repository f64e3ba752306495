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
from services.normalizer.sources.manifest_checks import Noticed, unreadable
from services.normalizer.sources.manifest_files import DocumentFault, FileContents, Place
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


def read_manifests(
    files: Mapping[Path, FileContents],
    *,
    connections: bool = False,
    accepted: bool = False,
    cluster: str = MANIFESTS,
) -> Contents:
    """Return what the objects in files, by path, say together; `accepted`: they come from an API server.

    The rest is as for `joined`.
    """
    overlay = overlay_of({path: read_objects(path, files[path]) for path in files if is_kustomization(path)})
    read = {
        path: read_objects(path, contents, namespace=overlay.namespace(path), accepted=accepted)
        for path, contents in files.items()
    }
    return joined(read, overlay, connections=connections, cluster=cluster)


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


def joined(
    files: Mapping[Path, FileFacts], overlay: Overlay, *, connections: bool = False, cluster: str = MANIFESTS
) -> Contents:
    """Return what files, by path, say together, in the order of their paths.

    `overlay` is what kustomizations say of them. `connections`: the Secrets that deployments name as connections are
    among the companions. `cluster` is that of the references.
    """
    read = [(path, files[path]) for path in sorted(files)]
    taken = [facts for path, facts in read if not overlay.is_patch(path)]
    reading = _Joining(cluster)
    for facts in taken:
        for each in facts.objects:
            reading.take(each)
    faults = [fault for facts in taken for fault in facts.faults]
    problems = overlay.problems(path for path, facts in read if facts.is_ours)
    of_files = [*map(unreadable, faults), *(Noticed(each, Place(each.object)) for each in problems)]
    return Contents(
        reading.deployments,
        {**reading.companions, **(reading.connections_in_use() if connections else {})},
        (*of_files, *reading.noticed, *reading.without_model()),
        tuple(fault for fault in faults if not fault.template),
        cluster,
    )


class _Joining:
    """What was taken so far."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._parts: dict[Ref, Noticed] = {}
        self._connections: dict[Ref, Connection] = {}
        self.deployments: dict[Ref, DeploymentManifest] = {}
        self.companions: dict[Ref, ObjectFact] = {}
        self.noticed: list[Noticed] = []

    def take(self, each: ObjectFacts) -> None:
        """Take an object of any kind."""
        self.noticed += each.noticed
        match each.fact:
            case None | Kustomization():
                pass
            case Deployment():
                self._take_deployment(each, each.fact)
            case Connection():
                self._connections[each.ref(self._cluster)] = each.fact
            case _:
                self.companions[each.ref(self._cluster)] = each.fact

    def connections_in_use(self) -> dict[Ref, Connection]:
        """Return the connections that deployments name: any other Secret is none, whatever its annotations say."""
        facts = (each.facts for each in self.deployments.values())
        named = (Ref("connection", self._cluster, (each.namespace, secret_name(each.storage))) for each in facts)
        return {ref: self._connections[ref] for ref in named if ref in self._connections}

    def without_model(self) -> Iterator[Noticed]:
        """Yield the problems of deployments that do not say what they serve, unless a field is wrong in them anyway."""
        wrong = {each.problem.object for each in self.noticed if each.problem.id in _OF_FIELDS}
        yield from (each for each in self._parts.values() if each.problem.object not in wrong)

    def _take_deployment(self, each: ObjectFacts, facts: Deployment) -> None:
        ref, place = each.ref(self._cluster), each.place
        former = self.deployments.get(ref)
        if former is not None and (each.part is not None) != (ref in self._parts):
            whole, part = (former.place, place) if each.part else (place, former.place)
            problem = Problem(
                "part_of_an_object",
                "info",
                ref.label,
                f"{part} holds only a part of it, as a patch does: the whole in {whole} counts",
                "name the patch in a kustomization.yaml, or render it: kustomize build DIR | connector preview -",
            )
            self.noticed.append(Noticed(problem, part))
            if each.part:
                return
        elif former is not None:
            problem = Problem(
                "object_twice",
                "warning",
                ref.label,
                f"it is in {former.place} and in {place}; the latter counts",
                "remove one of them",
            )
            self.noticed.append(Noticed(problem, place))
        self.deployments[ref] = DeploymentManifest(facts, place)
        self._parts.pop(ref, None)
        if each.part:
            self._parts[ref] = each.part
