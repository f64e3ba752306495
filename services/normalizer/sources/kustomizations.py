"""What kustomizations change in the manifests of their folder, as far as this can be found out without rendering them.

The namespace is applied, patches are not read as manifests, and anything else a kustomization changes is reported.
"""

import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.sources.manifest_files import KUSTOMIZATIONS

_INCLUDES = ("resources", "bases", "components")
# Fields that change what is deployed, and of which nothing is done here.
_CHANGES = (
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "namePrefix",
    "nameSuffix",
    "components",
    "replacements",
    "transformers",
    "vars",
    "commonAnnotations",
    "commonLabels",
    "labels",
)


@dataclass(frozen=True, slots=True)
class Kustomization:
    """A kustomization: what it includes and patches, as absolute paths, and what else it `changes`, by field."""

    path: Path
    namespace: str
    includes: tuple[str, ...]
    patches: tuple[str, ...]
    changes: tuple[str, ...]

    @property
    def folder(self) -> str:
        """The absolute path of its folder."""
        return _normal(self.path.parent)


@dataclass(frozen=True, slots=True)
class Overlay:
    """What kustomizations, by folder, say of files: the namespaces of their objects, and which of them are patches."""

    of_folder: Mapping[str, Kustomization] = field(default_factory=dict)
    namespaces: Mapping[str, Collection[str]] = field(default_factory=dict)
    patches: frozenset[str] = frozenset()

    def is_patch(self, file: Path) -> bool:
        """Return whether a file is a patch of others, and so no manifest."""
        return bool(self.patches) and _normal(file) in self.patches

    def namespace(self, file: Path) -> str:
        """Return the namespace that the objects of a file get; empty if there is none, or more than one."""
        found = self.namespaces.get(_normal(file), ()) if self.namespaces else ()
        return next(iter(found)) if len(found) == 1 else ""

    def problems(self, ours: Iterable[Path]) -> list[Problem]:
        """Return what is not applied to the files `ours`, which hold deployments, and which of them are ambiguous."""
        if not self.of_folder:
            return []
        shown = {_normal(path) for path in ours}
        problems = [
            problem
            for each in self.of_folder.values()
            if any(_reaches(each, file, self.of_folder) for file in shown)
            for problem in _told(each)
        ]
        for file in sorted(shown - self.patches):
            if len(found := self.namespaces.get(file, ())) > 1:
                problems.append(_ambiguous(file, sorted(found)))
        return problems


def is_kustomization(path: Path) -> bool:
    """Return whether a file is one by its name."""
    return path.name in KUSTOMIZATIONS


def read_overlay(kustomizations: Mapping[Path, Kustomization]) -> Overlay:
    """Return what kustomizations, by path, say of files."""
    of_folder = {each.folder: each for _, each in sorted(kustomizations.items())}
    included = {include for each in of_folder.values() for include in each.includes}
    namespaces: defaultdict[str, set[str]] = defaultdict(set)
    for folder, each in of_folder.items():
        if folder not in included:
            _spread(each, each.namespace, of_folder, namespaces, seen=frozenset())
    return Overlay(of_folder, namespaces, frozenset(patch for each in of_folder.values() for patch in each.patches))


def _normal(path: Path | str) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - without following links, unlike Path.resolve


def read_kustomization(path: Path, obj: Mapping[str, Any]) -> Kustomization:
    """Return what a kustomization says, from its content."""
    folder = path.parent
    inline = [
        values.at(patch, "path") for name in ("patches", "patchesJson6902") for patch in values.items(obj.get(name))
    ]
    patches = [*inline, *values.items(obj.get("patchesStrategicMerge"))]
    includes = [include for name in _INCLUDES for include in values.items(obj.get(name))]
    return Kustomization(
        path,
        values.line(obj.get("namespace")),
        tuple(_normal(folder / text) for each in includes if (text := values.line(each)) and "://" not in text),
        tuple(_normal(folder / text) for each in patches if (text := values.line(each)) and "\n" not in str(each)),
        tuple(name for name in _CHANGES if obj.get(name)),
    )


def _spread(
    each: Kustomization,
    namespace: str,
    of_folder: Mapping[str, Kustomization],
    namespaces: defaultdict[str, set[str]],
    *,
    seen: frozenset[str],
) -> None:
    """Note the namespace of all that a kustomization includes; the outer one's wins over the inner one's."""
    for include in each.includes:
        inner = of_folder.get(include)
        if inner is None:
            namespaces[include].add(namespace)
        elif include not in seen:
            _spread(inner, namespace or inner.namespace, of_folder, namespaces, seen=seen | {include})


def _reaches(each: Kustomization, file: str, of_folder: Mapping[str, Kustomization]) -> bool:
    """Return whether a kustomization includes or patches a file, by itself or through another one."""
    waiting, seen = [each], {each.folder}
    while waiting:
        current = waiting.pop()
        if file in current.includes or file in current.patches:
            return True
        for include in current.includes:
            if include in of_folder and include not in seen:
                seen.add(include)
                waiting.append(of_folder[include])
    return False


def _told(each: Kustomization) -> Iterable[Problem]:
    if each.changes:
        yield Problem(
            "kustomization_not_applied",
            "info",
            str(each.path),
            f"what it changes by {', '.join(each.changes)} is not applied to the manifests of its folder",
            f"to see the result: kustomize build {each.path.parent} | connector preview -",
        )


def _ambiguous(file: str, found: Iterable[str]) -> Problem:
    named = ", ".join(namespace or "none" for namespace in found)
    return Problem(
        "namespace_ambiguous",
        "info",
        os.path.relpath(file),
        f"kustomizations give it several namespaces ({named}): it is shown once, as it is written",
        "render the one that you mean: kustomize build DIR | connector preview -",
    )
