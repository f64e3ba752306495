"""Which types the API server takes in the fields of a deployment that are read, or that people often get wrong.

Source: KServe, the types of serving.kserve.io v1beta1 (`predictor.go`, `component.go`) and v1alpha1
(`llm_inference_service_types.go`), and Kubernetes core/v1 Container. Fields that are not here are not looked at.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from services.normalizer.normalize.kserve_objects import FRAMEWORKS
from services.normalizer.sources.manifest_files import is_placeholder
from services.normalizer.sources.manifest_text import Located, Unquoted

Scalar = Literal["a text", "a whole number"]
Schema: TypeAlias = "Scalar | Mapping[str, Schema] | tuple[Schema]"
"""A scalar, an object by its fields (`*` stands for any other), or a list of one kind of items."""

_TEXT: Scalar = "a text"
_NUMBER: Scalar = "a whole number"
_TEXTS: Schema = {"*": _TEXT}
_NAMED: Schema = ({"name": _TEXT},)
_CONTAINER: Mapping[str, Schema] = {
    "name": _TEXT,
    "image": _TEXT,
    "command": (_TEXT,),
    "args": (_TEXT,),
    "env": ({"name": _TEXT, "value": _TEXT, "valueFrom": {}},),
    "resources": {"limits": {}, "requests": {}},
}
_POD: Mapping[str, Schema] = {
    "containers": (_CONTAINER,),
    "serviceAccountName": _TEXT,
    "imagePullSecrets": _NAMED,
    "nodeSelector": _TEXTS,
    "tolerations": ({},),
}
_COMPONENT: Mapping[str, Schema] = {
    **_POD,
    "minReplicas": _NUMBER,
    "maxReplicas": _NUMBER,
    "scaleTarget": _NUMBER,
    "containerConcurrency": _NUMBER,
    "timeout": _NUMBER,
    "canaryTrafficPercent": _NUMBER,
    "labels": _TEXTS,
    "annotations": _TEXTS,
}
_STORAGE: Schema = {"key": _TEXT, "path": _TEXT, "schemaPath": _TEXT, "parameters": _TEXTS}
_FRAMEWORK: Mapping[str, Schema] = {
    **_CONTAINER,
    "storageUri": _TEXT,
    "storage": _STORAGE,
    "runtimeVersion": _TEXT,
    "protocolVersion": _TEXT,
}
_URIS: Schema = ({"uri": _TEXT, "mountPath": _TEXT},)
ISVC: Mapping[str, Schema] = {
    "predictor": {
        **_COMPONENT,
        **dict.fromkeys(FRAMEWORKS, _FRAMEWORK),
        "model": {**_FRAMEWORK, "modelFormat": {"name": _TEXT, "version": _TEXT}, "runtime": _TEXT},
        "storageUris": _URIS,
        "workerSpec": _POD,
    },
    "transformer": _COMPONENT,
    "explainer": _COMPONENT,
}
_ADAPTERS: Schema = ({"uri": _TEXT, "name": _TEXT},)
LLM: Mapping[str, Schema] = {
    "model": {"uri": _TEXT, "name": _TEXT, "lora": {"adapters": _ADAPTERS}},
    "replicas": _NUMBER,
    "template": _POD,
    "worker": _POD,
    "router": {},
    "prefill": {"replicas": _NUMBER, "template": _POD, "worker": _POD},
    "baseRefs": _NAMED,
}


class WrongType(NamedTuple):
    """A field with a value of a type that the API server refuses, and the line of the object that it is in."""

    field: str
    expected: str
    found: str
    remedy: str
    line: int


def wrong_types(value: object, schema: Schema, field: str, line: int = -1) -> Iterator[WrongType]:
    """Yield what has a wrong type in a value; `line` is that of the object around it, -1 where it is unknown."""
    if value is None or (isinstance(value, str) and is_placeholder(value)):
        return  # null counts as absent, and a placeholder may become anything
    match schema:
        case Mapping():
            if not isinstance(value, Mapping):
                yield WrongType(field, "an object", _named(value), _as_object(field, schema), line)
                return
            line = value.line if isinstance(value, Located) and value.line >= 0 else line
            for name, each in value.items():
                if (of_field := schema.get(name, schema.get("*"))) is not None:
                    yield from wrong_types(each, of_field, f"{field}.{name}", line)
        case (of_items,):
            if not isinstance(value, list | tuple):
                yield WrongType(
                    field, "a list", _named(value), "write each item in a line of its own, after '- '", line
                )
                return
            for number, each in enumerate(value):
                yield from wrong_types(each, of_items, f"{field}[{number}]", line)
        case _ if not _is(value, schema):
            yield WrongType(field, str(schema), _named(value), _REMEDIES[schema], line)


_MEANT: Mapping[str, str] = {
    "modelFormat": "write the name of the format below it: modelFormat: {name: onnx}",
    "storage": "write a location as storageUri, and below storage key, path and parameters",
}
"""What people probably mean who write a text instead of an object."""
_REMEDIES: Mapping[Any, str] = {
    _TEXT: "write it in quotes",
    _NUMBER: "write it in digits, without quotes",
}


def _is(value: object, schema: object) -> bool:
    if schema == _TEXT:
        return isinstance(value, str) and not isinstance(value, Unquoted)
    if isinstance(value, float):
        return value.is_integer()
    return isinstance(value, int) and not isinstance(value, bool)


def _as_object(field: str, schema: Mapping[str, Schema]) -> str:
    fields = [name for name in schema if name != "*"]
    inner = ", ".join(fields[:4]) if fields else "names with values"
    name = field.rpartition(".")[2]
    return _MEANT.get(name, f"write below {name} what it is to have: {inner}")


def _named(value: Any) -> str:
    """Return what the type of a value is called."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float) or (isinstance(value, Unquoted) and value[:1] in "+-.0123456789"):
        return "a number"
    return "a word without quotes that is no text" if isinstance(value, Unquoted) else "a text"
