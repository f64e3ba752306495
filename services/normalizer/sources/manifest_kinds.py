"""What is told of objects and documents in files that are not read as deployments, though they may be meant as such."""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from common.problems import Problem, ProblemId
from services.normalizer.normalize.deployment import DEPLOYMENT_KINDS
from services.normalizer.sources.manifest_checks import ISVC, ISVC_VERSION, KSERVE, Noticed, identity
from services.normalizer.sources.manifest_files import DocumentFault, Manifest

# Kinds that serve models and are not read, by group.
_NOT_READ = {
    KSERVE: ("InferenceGraph", "TrainedModel"),
    "serving.kubeflow.org": (ISVC, "TrainedModel"),
    "machinelearning.seldon.io": ("SeldonDeployment",),
}
# Further kinds of KServe: what models are served with, but not served models.
_SUPPORTING = (
    "ClusterStorageContainer",
    "LLMInferenceServiceConfig",
    "LocalModelCache",
    "LocalModelNamespaceCache",
    "LocalModelNode",
    "LocalModelNodeGroup",
)
_RUNTIMES = ("ServingRuntime", "ClusterServingRuntime")
_OF_HELM = re.compile(r"\{\{-?\s*(?:[.$(]|[a-z]+\s+[^}\s|]|end\b|else\b)")


def kind_faults(manifest: Manifest, group: str, kind: str) -> Iterator[Noticed]:
    """Yield that an object serves a model and is of a kind that is not read, or nearly of one that is."""
    name = "/".join(filter(None, identity(manifest)[2:])) or "without a name"

    def problem(id_: ProblemId, message: str, remedy: str, key: str = "kind") -> Noticed:
        return Noticed(Problem(id_, "warning", f"{kind or 'object'} {name}", message, remedy, key), manifest.place)

    if kind in _NOT_READ.get(group, ()):
        yield problem(
            "kind_not_read",
            f"the kind {kind} of {group} is not read: it is not served",
            f"an InferenceService of {KSERVE}/{ISVC_VERSION} is served",
        )
    elif kind == ISVC:
        version = str(manifest.obj.get("apiVersion") or "")
        what = f"its apiVersion {version} is not that of KServe" if version else "it has no apiVersion"
        yield problem(
            "kind_not_read",
            f"{what}, so it is not served",
            f"write apiVersion: {KSERVE}/{ISVC_VERSION}",
            "apiVersion",
        )
    elif group == KSERVE and not kind:
        yield problem("kind_unknown", "it has no kind, and so is not served", f"write kind: {ISVC}")
    elif group == KSERVE and kind not in _SUPPORTING:
        near = get_close_matches(kind, (*DEPLOYMENT_KINDS, *_NOT_READ[KSERVE], *_SUPPORTING, *_RUNTIMES), n=1)
        yield problem(
            "kind_unknown",
            f"{KSERVE} has no kind {kind}" + (f"; did you mean {near[0]}?" if near else ""),
            f"write kind: {near[0] if near else ISVC}",
        )


def held_deployments(manifest: Manifest) -> tuple[Noticed, ...]:
    """Return the problem of an object that holds deployments for others to create: a ManifestWork, a Policy."""
    if not _holds_deployments(manifest.obj):
        return ()
    _, kind, *names = identity(manifest)
    problem = Problem(
        "kind_not_read",
        "info",
        f"{kind} {'/'.join(filter(None, names))}",
        "it holds InferenceServices for others to create, and these are not read",
        "to preview them, write them into a file as manifests of their own",
        "kind",
    )
    return (Noticed(problem, manifest.place),)


def _holds_deployments(obj: Mapping[str, Any]) -> bool:
    """Return whether a deployment is somewhere below an object; what aliases repeat is looked at once."""
    waiting: list[object] = [each for each in obj.values() if isinstance(each, dict | list)]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            group = str(value.get("apiVersion", "")).partition("/")[0]
            if group == KSERVE and value.get("kind") in DEPLOYMENT_KINDS:
                return True
        below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        waiting += (each for each in below if isinstance(each, dict | list))
    return False


def unreadable(fault: DocumentFault) -> Noticed:
    """Return the problem of a document that cannot be read."""
    if fault.template:
        problem = Problem(
            "template_not_read",
            "info",
            str(fault.place),
            "it is not read, because it is a template and not a manifest",
            _rendering(fault),
        )
    else:
        remedy = f"{fault.remedy or 'correct the file'}; until then, a running connector keeps what was read before"
        problem = Problem("file_unreadable", "error", str(fault.place), f"it cannot be read: {fault.message}", remedy)
    return Noticed(problem, fault.place)


def _rendering(fault: DocumentFault) -> str:
    """Return how a template is rendered, as far as its placeholder shows what it is a template for."""
    if _OF_HELM.match(fault.template):
        return "to see what comes of it: helm template CHART | connector preview -"
    if fault.template.startswith("$") and not fault.template.startswith("$("):
        return f"to see what comes of it: envsubst < {fault.place.path} | connector preview -"
    return "render it with the tool that fills it in, and preview the result: ... | connector preview -"
