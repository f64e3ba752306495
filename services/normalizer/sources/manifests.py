"""InferenceServices in YAML and JSON files on disk, with the Services and ServiceAccounts beside them."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog
import yaml

from common.kube.replica import Key
from common.problems import Problem
from services.normalizer.contents import IsvcSource
from services.normalizer.normalize import values
from services.normalizer.normalize.deployment import (
    Deployment,
    ServiceAccountFacts,
    ServiceFacts,
    read_service,
    read_service_account,
)
from services.normalizer.normalize.isvc import read_isvc

log = structlog.get_logger("manifests")

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
MANIFESTS = IsvcSource("manifests", "manifests")
INTERVAL = 0.5
"""Seconds between two looks at the files."""
_MAX_BYTES = 16 * 1024 * 1024
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Stamp = tuple[int, int, int]
"""What changes when a file does: time of modification, size, inode."""


class ManifestListener(Protocol):
    """Who is told what the files hold."""

    def isvc_changed(
        self, source: IsvcSource, key: Key, facts: Deployment | None, *, explicit: bool, bare: bool = False
    ) -> None:
        """An isvc is new, another or gone; `bare`: it has no status."""

    def service_changed(self, source: IsvcSource, key: Key, facts: ServiceFacts | None) -> None:
        """A Service is new, another or gone."""

    def service_account_changed(self, source: IsvcSource, key: Key, facts: ServiceAccountFacts | None) -> None:
        """A ServiceAccount is new, another or gone."""

    def source_listed(self, source: str) -> None:
        """All files were read."""

    def source_partly_listed(self, source: str, reason: str) -> None:
        """Some files cannot be read; what they held stays."""


class IsvcManifest(NamedTuple):
    """An isvc as a file has it."""

    facts: Deployment
    bare: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """What some files hold; `files` counts those that could be read."""

    isvcs: Mapping[Key, IsvcManifest] = field(default_factory=dict)
    services: Mapping[Key, ServiceFacts] = field(default_factory=dict)
    accounts: Mapping[Key, ServiceAccountFacts] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def find_manifests(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the manifest files among `paths` and below the folders among them, with what tells of a change.

    Raises:
        FileNotFoundError: one of `paths` does not exist.
    """
    found: dict[Path, Stamp] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
        files = (p for p in sorted(path.rglob("*")) if p.suffix in SUFFIXES) if path.is_dir() else [path]
        for file in files:
            try:
                status = file.stat()
            except OSError:  # it went away while we looked
                continue
            if file.is_file():
                found[file] = (status.st_mtime_ns, status.st_size, status.st_ino)
    return found


def read_objects(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the Kubernetes objects of a file: several documents, and Lists, are taken apart.

    Raises:
        ValueError: the file cannot be read as such; the text says why.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"larger than {_MAX_BYTES} bytes")
        documents = list(yaml.load_all(path.read_text(encoding="utf-8"), Loader=_LOADER))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None
    for document in documents:
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
            yield from (item for item in document.get("items") or () if isinstance(item, dict))
        elif isinstance(document, dict):
            yield document
        elif document is not None:
            raise ValueError(f"a {type(document).__name__} stands where a Kubernetes object is expected")


def read_manifests(files: Mapping[Path, list[dict[str, Any]]]) -> Contents:
    """Return the facts of the objects in `files`; other kinds are passed over."""
    isvcs: dict[Key, IsvcManifest] = {}
    services: dict[Key, ServiceFacts] = {}
    accounts: dict[Key, ServiceAccountFacts] = {}
    places: dict[Key, Path] = {}
    problems: list[Problem] = []
    for path, objects in sorted(files.items()):
        for obj in objects:
            match obj.get("kind"), str(obj.get("apiVersion", "")).partition("/")[0]:
                case "InferenceService", "serving.kserve.io" if not values.at(obj, "metadata", "name"):
                    problems.append(
                        Problem("error", str(path), "an InferenceService without metadata.name", "give it a name")
                    )
                case "InferenceService", "serving.kserve.io":
                    facts = read_isvc(obj)
                    key = (facts.namespace, facts.name)
                    problems += _check(key, path, places.get(key))
                    isvcs[key] = IsvcManifest(facts, bare=not obj.get("status"))
                    places[key] = path
                case "Service", "v1":
                    service = read_service(obj)
                    services[service.namespace, service.name] = service
                case "ServiceAccount", "v1":
                    account = read_service_account(obj)
                    accounts[account.namespace, account.name] = account
    return Contents(isvcs, services, accounts, tuple(problems))


def _check(key: Key, path: Path, former: Path | None) -> Iterator[Problem]:
    name = f"InferenceService {'/'.join(key)}"
    if former is not None:
        yield Problem("warning", name, f"it stands in {former} and in {path}; the latter counts", "remove one of them")


def unreadable(path: Path, error: ValueError) -> Problem:
    """Return the problem of a file that cannot be read."""
    return Problem("error", str(path), f"not read: {error}", "mend the file; what it held before stays until then")


class ManifestSource:
    """Reads manifests and tells a listener what changed in them; watches them for edits."""

    def __init__(self, *, paths: Iterable[Path], listener: ManifestListener, interval: float = INTERVAL) -> None:
        self._paths = tuple(paths)
        self._listener = listener
        self._interval = interval
        self._stamps: dict[Path, Stamp] = {}
        self._objects: dict[Path, list[dict[str, Any]]] = {}
        self._unreadable: dict[Path, Problem] = {}
        self._contents = Contents()
        self._told: set[Problem] = set()
        self._again = False

    @property
    def id(self) -> str:
        """The id of this source."""
        return MANIFESTS.id

    async def run(self) -> None:
        """Follow the files until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._interval)

    def confirm(self) -> None:
        """Say once more what the files hold."""
        self._again = True

    async def look(self) -> None:
        """Read what has changed since the last time and tell the listener."""
        try:
            stamps = await asyncio.to_thread(find_manifests, self._paths)
        except OSError as error:
            self._report([Problem("error", "manifests", str(error), "give a path that exists")])
            return
        if stamps == self._stamps and self._stamps and not self._again:
            return
        self._again = False
        problems = await asyncio.to_thread(self._read, stamps)
        contents = read_manifests(self._objects)
        self._tell(contents)
        self._contents = contents
        self._stamps = stamps
        self._report([*problems, *contents.problems])
        if problems:
            self._listener.source_partly_listed(self.id, "; ".join(f"{p.object}: {p.message}" for p in problems))
        else:
            self._listener.source_listed(self.id)

    def _read(self, stamps: Mapping[Path, Stamp]) -> list[Problem]:
        for path in (self._objects.keys() | self._unreadable.keys()) - stamps.keys():
            self._objects.pop(path, None)
            self._unreadable.pop(path, None)
        for path, stamp in stamps.items():
            if self._stamps.get(path) == stamp:
                continue
            self._unreadable.pop(path, None)
            try:
                self._objects[path] = list(read_objects(path))
            except ValueError as error:
                self._unreadable[path] = unreadable(path, error)
        return list(self._unreadable.values())

    def _tell(self, contents: Contents) -> None:
        for key in _changed(self._contents.services, contents.services):
            self._listener.service_changed(MANIFESTS, key, contents.services.get(key))
        for key in _changed(self._contents.accounts, contents.accounts):
            self._listener.service_account_changed(MANIFESTS, key, contents.accounts.get(key))
        for key in _changed(self._contents.isvcs, contents.isvcs):
            manifest = contents.isvcs.get(key)
            self._listener.isvc_changed(
                MANIFESTS,
                key,
                manifest.facts if manifest else None,
                explicit=True,
                bare=manifest.bare if manifest else False,
            )

    def _report(self, problems: Iterable[Problem]) -> None:
        current = set(problems)
        for problem in sorted(current - self._told):
            log.warning(problem.message, object=problem.object, remedy=problem.remedy)
        self._told = current


def _changed(before: Mapping[Key, object], after: Mapping[Key, object]) -> list[Key]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
