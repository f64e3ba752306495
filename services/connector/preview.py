"""What the connector would serve of some manifests, without serving it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.problems import Problem
from common.wire import Upsert
from services.normalizer.catalogue import Catalogue
from services.normalizer.normalize.result import Defaults
from services.normalizer.sources.manifests import (
    MANIFESTS,
    Contents,
    find_manifests,
    read_manifests,
    read_objects,
    unreadable,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One document that would be served, with the problems of its model."""

    key: str
    uri: str
    document: bytes
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """All that would be served; `hidden` tells of each isvc that would not be, and why."""

    shown: tuple[Shown, ...]
    hidden: tuple[Problem, ...]

    @property
    def usable(self) -> bool:
        """Whether every object could be used."""
        problems = [*self.hidden, *(problem for shown in self.shown for problem in shown.problems)]
        return all(problem.severity != "error" for problem in problems)


def preview(paths: Iterable[Path], *, defaults: Defaults) -> Preview:
    """Return what would be served of the manifests in `paths`.

    Raises:
        FileNotFoundError: one of `paths` does not exist.
    """
    files: dict[Path, list[dict[str, Any]]] = {}
    problems: list[Problem] = []
    for path in find_manifests(paths):
        try:
            files[path] = list(read_objects(path))
        except ValueError as error:
            problems.append(unreadable(path, error))
    contents = read_manifests(files)
    catalogue = _catalogue(contents, defaults)
    shown = [_shown(upsert, catalogue) for _, upsert in sorted(catalogue.wanted.items())]
    unshown = [
        problem
        for ref, of_one in catalogue.problems.items()
        if ref not in {upsert.ref for upsert in catalogue.wanted.values()}
        for problem in of_one
    ]
    return Preview(tuple(shown), (*problems, *contents.problems, *unshown, *_not_ready(contents)))


def _catalogue(contents: Contents, defaults: Defaults) -> Catalogue:
    catalogue = Catalogue(defaults=defaults)
    for service_key, service in contents.services.items():
        catalogue.put_service(MANIFESTS, service_key, service)
    for account_key, account in contents.accounts.items():
        catalogue.put_service_account(MANIFESTS, account_key, account)
    for key, manifest in contents.isvcs.items():
        catalogue.put_isvc(MANIFESTS, key, manifest.facts, explicit=True, bare=manifest.bare)
    catalogue.render(catalogue.take_dirty(), now=0)
    return catalogue


def _shown(upsert: Upsert, catalogue: Catalogue) -> Shown:
    return Shown(upsert.key, upsert.uri, upsert.body, catalogue.problems.get(upsert.ref, ()))


def _not_ready(contents: Contents) -> Iterable[Problem]:
    for (namespace, name), manifest in sorted(contents.isvcs.items()):
        readiness = manifest.facts.readiness
        if not readiness.ready and not manifest.bare:
            yield Problem(
                "info",
                f"InferenceService {namespace}/{name}",
                f"not served: {readiness.reason}",
                "start it again to have it served" if readiness.stopped else "it is served as soon as it is ready",
            )


def as_json(shown: Shown, document: Any) -> dict[str, Any]:
    """Return one entry of the command's JSON output."""
    return {
        "key": shown.key,
        "uri": shown.uri,
        "document": document,
        "problems": [asdict(problem) for problem in shown.problems],
    }
