"""Writes services/normalizer/sources/manifest_fields.json: which fields KServe's deployments have, and of which type.

`python -m scripts.manifest_fields kserve-0.21.0.whl kserve-0.11.2.whl` takes the fields of InferenceService from the
models in wheels of KServe's Python package (`pip download --no-deps kserve`), the newest first; older ones add what
has been removed since. Pods are described by the schemas in the package kubernetes-validate. KServe's package does not
describe the specification of LLMInferenceService, so `_LLM` has it, from KServe's Go types
(`llm_inference_service_types.go` of v1alpha1 and v1alpha2).
"""

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

FIELDS = Path(__file__).parents[1] / "services/normalizer/sources/manifest_fields.json"

Types = dict[str, dict[str, str]]
"""Types by name, each with its fields. A field is `text`, `number`, `boolean`, `any` or the name of a type, `[…]` for a
list and `{…}` for an object with any names."""

_KUBERNETES = "1.37.0"
_PREFIX = re.compile(r"io\.k8s\.(?:api|apimachinery\.pkg)\.(?:.*\.)?")
_SCALARS = {
    "str": "text",
    "int": "number",
    "bool": "boolean",
    "string": "text",
    "integer": "number",
    "boolean": "boolean",
}
_NAMED = {
    "K8sIoApiAppsV1DeploymentStrategy": "io.k8s.api.apps.v1.DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": "io.k8s.api.autoscaling.v2.HorizontalPodAutoscalerBehavior",
}
_ROOT = {"apiVersion": "any", "kind": "any", "metadata": "Metadata", "status": "any"}
_POD = "PodSpec"
_REFS = "[LocalObjectReference]"
_WORKLOAD = {
    "replicas": "number",
    "scaling": "LLMScaling",
    "parallelism": "LLMParallelism",
    "labels": "{text}",
    "annotations": "{text}",
    "template": _POD,
    "worker": _POD,
    "rolloutStrategy": "LLMRollout",
    "kvCacheOffloading": "any",
}
_LLM: Types = {
    "LLMInferenceServiceSpec": {
        **_WORKLOAD,
        "model": "LLMModel",
        "runtime": "text",
        "trustRemoteCode": "boolean",
        "storageInitializer": "LLMStorageInitializer",
        "router": "LLMRouter",
        "prefill": "LLMWorkload",
        "tracing": "LLMTracing",
        "speculator": "LLMSpeculator",
        "baseRefs": _REFS,
    },
    "LLMWorkload": _WORKLOAD,
    "LLMModel": {"uri": "text", "name": "text", "criticality": "text", "lora": "LLMLoRA", "confidential": "any"},
    "LLMSpeculator": {"model": "LLMModel", "config": "{text}"},
    "LLMLoRA": {
        "adapters": "[LLMModel]",
        "maxRank": "number",
        "maxAdapters": "number",
        "maxCpuAdapters": "number",
    },
    "LLMStorageInitializer": {"enabled": "boolean"},
    "LLMScaling": {"minReplicas": "number", "maxReplicas": "number", "wva": "any", "keda": "any"},
    "LLMParallelism": {
        "tensor": "number",
        "pipeline": "number",
        "data": "number",
        "dataLocal": "number",
        "dataRPCPort": "number",
        "expert": "boolean",
    },
    "LLMRollout": {"maxUnavailable": "any", "maxSurge": "any"},
    "LLMTracing": {"exporterEndpoint": "text", "sampler": "text", "samplerArg": "text", "exporter": "text"},
    "LLMRouter": {"route": "LLMRoute", "gateway": "LLMGateway", "ingress": "LLMIngress", "scheduler": "LLMScheduler"},
    "LLMRoute": {"http": "LLMHTTPRoute", "group": "text", "weight": "number"},
    "LLMHTTPRoute": {"refs": _REFS, "spec": "any"},
    "LLMGateway": {"refs": "[LLMReference]"},
    "LLMIngress": {"refs": "[LLMReference]"},
    "LLMReference": {"name": "text", "namespace": "text", "sectionName": "text"},
    "LLMScheduler": {
        "pool": "LLMPool",
        "labels": "{text}",
        "annotations": "{text}",
        "template": _POD,
        "config": "LLMSchedulerConfig",
        "replicas": "number",
        "tokenizer": "LLMTokenizer",
    },
    "LLMTokenizer": {"template": _POD},
    "LLMSchedulerConfig": {"inline": "any", "ref": "ConfigMapKeySelector"},
    "LLMPool": {"spec": "any", "ref": "LocalObjectReference"},
}

# Fields that KServe's examples use and its package does not describe yet.
_NEWER: Types = {"V1beta1AutoScalingSpec": {"keda": "any"}, "V1beta1MetricsSpec": {"name": "text"}}


def kserve_types(wheels: Iterable[Path]) -> Types:
    """Return the types in wheels of KServe's Python package, of which the first is the newest."""
    types: Types = dict(_NEWER)
    for wheel in wheels:
        for name, fields in _models(wheel):
            types[name] = {**fields, **types.get(name, {})}
    return types


def _models(wheel: Path) -> Iterator[tuple[str, dict[str, str]]]:
    with zipfile.ZipFile(wheel) as archive:
        for file in archive.namelist():
            if not file.startswith("kserve/models/v1beta1_"):
                continue
            tables: dict[str, Mapping[str, str]] = {}
            for node in ast.walk(ast.parse(archive.read(file))):
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    if (name := node.targets[0].id) in ("openapi_types", "attribute_map"):
                        tables[name] = ast.literal_eval(node.value)
                elif isinstance(node, ast.ClassDef):
                    class_name = node.name
            if tables:
                spelt = tables["attribute_map"]
                yield class_name, {spelt[name]: _of_model(type_) for name, type_ in tables["openapi_types"].items()}


def _of_model(type_: str) -> str:
    """Return the notation of a type in KServe's package, such as `list[V1Container]` or `dict(str, str)`."""
    if type_.startswith("list["):
        return f"[{_of_model(type_[5:-1])}]"
    if type_.startswith("dict("):
        return f"{{{_of_model(type_[5:-1].split(', ', 1)[1])}}}"
    if type_ in _SCALARS or type_.startswith("V1beta1"):
        return _SCALARS.get(type_, type_)
    if type_ in _NAMED:
        return _NAMED[type_]
    return f"io.k8s.api.core.v1.{type_[2:]}" if type_.startswith("V1") else "any"


def kubernetes_types() -> Types:
    """Return the types of Kubernetes that have fields."""
    folder = files("kubernetes_validate") / f"kubernetes-json-schema/v{_KUBERNETES}-local-strict"
    definitions = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))["$defs"]
    return {
        name: {field: _of_schema(schema) for field, schema in described["properties"].items()}
        for name, described in definitions.items()
        if "properties" in described
    }


def _of_schema(schema: Mapping[str, Any]) -> str:
    """Return the notation of a JSON Schema."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    types = schema.get("type", ())
    [of_one] = [each for each in ([types] if isinstance(types, str) else types) if each != "null"] or [""]
    match of_one:
        case "array":
            return f"[{_of_schema(schema['items'])}]"
        case "object" if isinstance(schema.get("additionalProperties"), Mapping):
            return f"{{{_of_schema(schema['additionalProperties'])}}}"
        case _ if "format" in schema and schema["format"] not in ("int32", "int64"):
            return "any"
        case _:
            return _SCALARS.get(of_one, "any")


def reachable(types: Types, root: str) -> Types:
    """Return the type `root` and those that its fields name; names of types that are not known become `any`."""
    found: Types = {}
    wanted = [root]
    while wanted:
        name = wanted.pop()
        if name not in found:
            found[name] = {field: _known(type_, types) for field, type_ in sorted(types[name].items())}
            wanted += [inner for type_ in found[name].values() if (inner := type_.strip("[]{}")) in types]
    return found


def _known(type_: str, types: Types) -> str:
    inner = type_.strip("[]{}")
    return type_ if inner in types or inner in ("text", "number", "boolean") else type_.replace(inner, "any")


def table(wheels: list[Path]) -> str:
    """Return the file as text: one type in a line."""
    kubernetes = kubernetes_types()
    metadata = dict.fromkeys(kubernetes["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"], "any")
    types = {
        **kubernetes,
        **{name: {field: _of_core(type_) for field, type_ in fields.items()} for name, fields in _LLM.items()},
        **kserve_types(wheels),
        "Metadata": {**metadata, "annotations": "{any}", "labels": "{any}", "name": "text", "namespace": "text"},
        "InferenceService": {**_ROOT, "spec": "V1beta1InferenceServiceSpec"},
        "LLMInferenceService": {**_ROOT, "spec": "LLMInferenceServiceSpec"},
    }
    found = {**reachable(types, "InferenceService"), **reachable(types, "LLMInferenceService")}
    short = {_short(name): {f: _short(type_) for f, type_ in fields.items()} for name, fields in sorted(found.items())}
    lines = [f" {json.dumps(name)}: {json.dumps(fields)}" for name, fields in short.items()]
    versions = {"kserve": wheels[0].name.split("-")[1], "kubernetes": _KUBERNETES}
    return f'{{"versions": {json.dumps(versions)},\n"types": {{\n' + ",\n".join(lines) + "\n}}\n"


def _of_core(type_: str) -> str:
    """Return the notation of a field of `_LLM` with the full name of a type of Kubernetes."""
    inner = type_.strip("[]{}")
    known = inner in _LLM or inner in ("text", "number", "boolean", "any")
    return type_ if known else type_.replace(inner, f"io.k8s.api.core.v1.{inner}")


def _short(name: str) -> str:
    return _PREFIX.sub("", name).replace("V1beta1", "")


if __name__ == "__main__":
    FIELDS.write_text(table([Path(each) for each in sys.argv[1:]]), encoding="utf-8")
