"""Computes what the connector would serve from some manifests, and what is wrong with them."""

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from common.problems import Problem, Severity
from common.wire import Upsert
from services.connector.reading import Progress, Reading, no_progress
from services.normalizer.desired import Desired
from services.normalizer.facts import SHARED, Ref
from services.normalizer.hidden import HiddenCause, unready
from services.normalizer.normalize.deployment import Deployment
from services.normalizer.normalize.readiness import STOP_ANNOTATION
from services.normalizer.normalize.registered_version import registry_source
from services.normalizer.normalize.result import IGNORE, ClusterView, Defaults
from services.normalizer.normalize.selection import ALL, Selection
from services.normalizer.source import Fact
from services.normalizer.sources.kustomizations import Overlay
from services.normalizer.sources.manifest_checks import Noticed
from services.normalizer.sources.manifest_contents import Contents, Joining
from services.normalizer.sources.manifest_files import FileContents, Place
from services.normalizer.sources.manifest_lines import Lines
from services.normalizer.sources.manifest_objects import FileFacts, read_objects

Clusters: TypeAlias = Mapping[str, Mapping[Path, FileContents]]
"""Manifests from clusters, by the name of the cluster; the only one has an empty name."""
NOTHING: Clusters = MappingProxyType({})
_Found: TypeAlias = "dict[tuple[str, str], list[Noticed]]"
"""Problems by the cluster or registry and the name of the object."""
_KEYS: Mapping[HiddenCause, str] = {"stopped": STOP_ANNOTATION, "ignored": IGNORE}
"""The annotation or label that hides a deployment, by the cause."""
_NOWHERE = Place("")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The most severe first."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A document that would be served: the object that it is made from, its place in the files, and its problems."""

    upsert: Upsert
    object: str
    place: Place
    noticed: tuple[Noticed, ...]

    @property
    def key(self) -> str:
        """The key of the document in the cache."""
        return self.upsert.key

    @property
    def document(self) -> bytes:
        """The document as JSON."""
        return self.upsert.body


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be served from a number of `files`; `hidden` is why others would not be, for each object or file."""

    shown: tuple[Shown, ...]
    hidden: tuple[tuple[Noticed, ...], ...]
    files: int

    @property
    def noticed(self) -> tuple[Noticed, ...]:
        """All problems, sorted by file and line."""
        every = (*(shown.noticed for shown in self.shown), *self.hidden)
        return _in_order(each for of_one in every for each in of_one)

    def fails(self, severity: str = "error") -> bool:
        """Return whether a problem is at least as severe as `severity`; with any other word, False."""
        severe = SEVERITIES[: SEVERITIES.index(severity) + 1] if severity in SEVERITIES else ()
        return any(each.problem.severity in severe for each in self.noticed)


def preview(
    files: Reading,
    *,
    defaults: Defaults,
    progress: Progress = no_progress,
    selection: Selection = ALL,
    clusters: Clusters = NOTHING,
    registries: Iterable[Mapping[Ref, Fact]] = (),
    connections: bool = False,
) -> Preview:
    """Return what would be served from files; `progress` is called for each of them.

    `clusters` are manifests from clusters, `registries` the content of registries. `connections`: Secrets of
    connections in the files are read.
    """
    desired = _described(defaults, registries)
    copied = {name: _accepted(of_one) for name, of_one in clusters.items()}
    parts = chain([copied.pop("", {})], files.parts(progress))
    every = [_put(parts, Joining(files.overlay, connections=connections), desired, selection)]
    for name, of_one in copied.items():
        desired.put_cluster(name, ClusterView(name, defaults))
        joining = Joining(Overlay(), connections=connections, cluster=name)
        every.append(_put([of_one], joining, desired, selection))
    desired.render(now=0)
    places = {str(ref): manifest.place for contents in every for ref, manifest in contents.deployments.items()}
    found = _found(every, desired, places, {str(path) for of_one in clusters.values() for path in of_one})
    shown = [_shown(upsert, places, found) for _, upsert in sorted(desired.wanted.items())]
    hidden = sorted(map(_in_order, found.values()), key=lambda of_one: (of_one[0].place, of_one[0].problem))
    return Preview(tuple(shown), tuple(hidden), files.number + sum(map(len, clusters.values())))


def _described(defaults: Defaults, registries: Iterable[Mapping[Ref, Fact]]) -> Desired:
    """Return the state with what registries say, before any deployment is known."""
    desired = Desired(defaults=defaults)
    desired.put_cluster(SHARED, ClusterView(defaults=defaults))
    for each in registries:
        for ref, registered in each.items():
            desired.put(registry_source(ref.place), ref, registered)
    return desired


def _accepted(files: Mapping[Path, FileContents]) -> dict[Path, FileFacts]:
    """Return what manifests from a cluster say."""
    return {path: read_objects(path, each, accepted=True) for path, each in files.items()}


def _put(
    parts: Iterable[Mapping[Path, FileFacts]], joining: Joining, desired: Desired, selection: Selection
) -> Contents:
    """Put what files say into `desired`, and return what they say together; deployments that are not selected stop.

    The documents of each part are made before the next part is taken, which other processes read in the meantime.
    """
    for part in parts:
        for path, facts in part.items():
            for ref, deployment in joining.take(path, facts).items():
                desired.put(ref.place, ref, selection.applied(deployment))
        desired.make(now=0)
    contents = joining.contents()
    for ref, companion in contents.companions.items():
        desired.put(contents.cluster, ref, companion)
    return contents


def _in_order(noticed: Iterable[Noticed]) -> tuple[Noticed, ...]:
    return tuple(sorted(noticed, key=lambda each: (each.place, each.problem)))


def _found(every: Iterable[Contents], desired: Desired, places: Mapping[str, Place], copied: Container[str]) -> _Found:
    """Return all problems with their lines; the files that are `copied` are objects of clusters."""
    found: _Found = defaultdict(list)
    for contents in every:
        for each in contents.noticed:
            found[contents.cluster, each.problem.object].append(each)
    for ref, problems in desired.problems.items():
        parsed, place = Ref.parse(ref), places.get(ref, _NOWHERE)
        found[parsed.place, parsed.label] += [Noticed(problem, place) for problem in problems]
    deployments = dict(desired.deployments.all())
    for contents in every:
        for each in _not_ready(contents, deployments, copied):
            found[contents.cluster, each.problem.object].append(each)
    lines = Lines()
    for of_one in found.values():
        of_one[:] = map(lines.pinpoint, of_one)
    return found


def _shown(upsert: Upsert, places: Mapping[str, Place], found: _Found) -> Shown:
    ref = Ref.parse(upsert.ref)
    return Shown(upsert, ref.label, places.get(upsert.ref, _NOWHERE), tuple(found.pop((ref.place, ref.label), ())))


def _not_ready(contents: Contents, deployments: Mapping[str, Deployment], copied: Container[str]) -> Iterator[Noticed]:
    """Yield why deployments in files are not shown; `deployments` are all by reference, as the selection left them."""
    for ref, manifest in sorted(contents.deployments.items()):
        facts = deployments[str(ref)]
        if not facts.readiness.ready and not facts.planned:
            why = unready(facts, in_files=manifest.place.path not in copied)
            problem = Problem(
                "not_ready",
                "info",
                ref.label,
                f"it is not shown: {why.reason}",
                why.remedy,
                _KEYS.get(why.cause, ""),
            )
            yield Noticed(problem, manifest.place)
