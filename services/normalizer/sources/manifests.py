"""InferenceServices in YAML and JSON files on disk, with the Services and ServiceAccounts that belong to them."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog

from common.faults import Fault
from common.problems import Problem
from services.normalizer.facts import MANIFESTS, Gone, Ref
from services.normalizer.source import Fact, Sink
from services.normalizer.sourcebook import SourceKind
from services.normalizer.sources.kustomizations import is_kustomization
from services.normalizer.sources.manifest_checks import Noticed
from services.normalizer.sources.manifest_contents import Contents, joined, overlay_of
from services.normalizer.sources.manifest_files import Place, Stamp, find_manifests, read_file
from services.normalizer.sources.manifest_lines import Lines
from services.normalizer.sources.manifest_objects import FileFacts, read_objects

log = structlog.get_logger("manifests")

INTERVAL = 0.5
"""Seconds between two looks at the files."""


class ManifestSource:
    """Reads manifests, and watches them for changes."""

    id = MANIFESTS
    kind: SourceKind = "kserve"
    namespaces: tuple[str, ...] = ()

    def __init__(self, *, paths: Iterable[Path], connections: bool = False, interval: float = INTERVAL) -> None:
        """`connections`: Secrets in the same files are read, for where the files of models are."""
        self._paths = tuple(paths)
        self._connections = connections
        self._interval = interval
        self._stamps: dict[Path, Stamp] = {}
        self._files: dict[Path, FileFacts] = {}
        self._read_as: dict[Path, tuple[Stamp, str]] = {}  # the stamps of files, and the namespaces that they got
        self._unread: set[Path] = set()  # tried again each time: other rights, or a disk that answers, leave no stamp
        self._facts: Mapping[Ref, Fact] = {}
        self._places: dict[Ref, Place] = {}
        self._lines = Lines()
        self._told: set[Problem] = set()
        self._again = False
        self._is_empty = False

    async def run(self, sink: Sink) -> None:
        """Follow the files until cancelled."""
        while True:
            await self.look(sink)
            await asyncio.sleep(self._interval)

    def relist(self) -> None:
        """Report the contents of all files again."""
        self._again = True

    def place_of(self, ref: Ref, problem: Problem) -> str:
        """Return the place of a problem of a deployment; empty if it is unknown."""
        place = self._places.get(ref)
        return "" if place is None else str(self._lines.pinpoint(Noticed(problem, place)).place)

    async def look(self, sink: Sink) -> None:
        """Read what has changed since the last time, and report it."""
        try:
            stamps = await asyncio.to_thread(find_manifests, self._paths)
        except OSError as error:
            missing = Problem("file_unreadable", "error", "manifests", str(error), "give a path that exists")
            self._report([Noticed(missing, Place(""))])
            self._stamps = {}
            sink.state(Fault(kind="error", reason=missing.message, remedy=missing.remedy))
            return
        unchanged = stamps == self._stamps and bool(stamps) and not self._again
        unread = self._unread.copy()
        if unchanged and not unread:
            return
        self._again = False
        contents = await asyncio.to_thread(self._read, stamps)
        if unchanged and self._unread == unread:
            return
        self._lines = Lines()
        before, self._facts = self._facts, contents.facts()
        self._places = {ref: manifest.place for ref, manifest in contents.deployments.items()}
        gone = {ref: Gone() for ref in before.keys() - self._facts.keys()}
        sink.changed({**gone, **{ref: fact for ref, fact in self._facts.items() if before.get(ref) != fact}})
        self._stamps = stamps
        self._report(contents.noticed)
        is_empty = not (contents.deployments or contents.noticed)
        if is_empty and not self._is_empty:
            log.warning("manifests_without_deployments", paths=list(map(str, self._paths)), files=len(stamps))
        self._is_empty = is_empty
        if contents.faults:
            reason = "; ".join(f"{fault.place} cannot be read: {fault.message}" for fault in contents.faults)
            sink.state(Fault(kind="error", reason=reason), partly=True)
        else:
            sink.listed()

    def _read(self, stamps: Mapping[Path, Stamp]) -> Contents:
        """Return the contents of all files; only those that have changed are read, or get another namespace now."""
        for path in self._files.keys() - stamps.keys():
            del self._files[path], self._read_as[path]
            self._unread.discard(path)
        for path in filter(is_kustomization, stamps):
            self._read_file(path, stamps[path])
        overlay = overlay_of(self._files)
        for path, stamp in stamps.items():
            if not is_kustomization(path):
                self._read_file(path, stamp, overlay.namespace(path))
        in_order = {path: self._files[path] for path in stamps}
        return joined(in_order, overlay, connections=self._connections)

    def _read_file(self, path: Path, stamp: Stamp, namespace: str = "") -> None:
        if self._read_as.get(path) == (stamp, namespace) and path not in self._unread:
            return
        former = self._files.get(path, FileFacts())
        # In a file that held something of ours, whatever cannot be read may be that.
        contents = read_file(path, everything=bool(former.objects))
        self._files[path] = _kept(former, read_objects(path, contents, namespace=namespace))
        self._read_as[path] = (stamp, namespace)
        (self._unread.discard if contents.was_read else self._unread.add)(path)

    def _report(self, noticed: Iterable[Noticed]) -> None:
        current = dict(noticed)
        for problem in sorted(current.keys() - self._told):
            tell = log.info if problem.severity == "info" else log.warning
            place = self._lines.pinpoint(Noticed(problem, current[problem])).place
            tell("problem_found", place=str(place), **problem.fields())
        for problem in sorted(self._told - current.keys()):
            log.info("problem_solved", **problem.fields())
        self._told = set(current)


def _kept(former: FileFacts, current: FileFacts) -> FileFacts:
    """Return what a file holds now and, where a part of it cannot be read, what it held before of the rest."""
    if not former.objects or not current.faults:
        return current
    read = {each.written for each in current.objects}
    kept = tuple(each for each in former.objects if each.written not in read)
    # It was a manifest before, so it is no template now.
    faults = tuple(fault._replace(template="") for fault in current.faults) if kept else current.faults
    return FileFacts((*current.objects, *kept), faults)
