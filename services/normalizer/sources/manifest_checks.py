"""What is wrong with deployments in files, apart from what their mapping tells: with file and line."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from common.problems import Problem
from services.normalizer.facts import DeploymentKind
from services.normalizer.normalize import values
from services.normalizer.normalize.readiness import STOP_ANNOTATION
from services.normalizer.normalize.result import IGNORE
from services.normalizer.normalize.stated import AUTH_ANNOTATION, annotations_among, misspellings
from services.normalizer.sources.manifest_files import Manifest, Place, is_placeholder
from services.normalizer.sources.manifest_schema import (
    FieldFault,
    RepeatedField,
    UnknownField,
    field_faults,
    table,
)
from services.normalizer.sources.manifest_text import Located, Unquoted

KSERVE = "serving.kserve.io"
ISVC: DeploymentKind = "InferenceService"
ISVC_VERSION = "v1beta1"
_SWITCHES = {"annotations": (IGNORE, STOP_ANNOTATION, AUTH_ANNOTATION), "labels": (IGNORE, AUTH_ANNOTATION)}
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")
_VERSIONS: Mapping[DeploymentKind, tuple[str, ...]] = {
    ISVC: (ISVC_VERSION,),
    "LLMInferenceService": ("v1alpha2", "v1alpha1"),
}
"""The API versions that KServe defines for a kind, the newest first."""


class Noticed(NamedTuple):
    """A problem, and the place in the files that causes it."""

    problem: Problem
    place: Place


class Identity(NamedTuple):
    """What an object calls itself; what it does not say is empty."""

    group: str
    kind: str
    namespace: str
    name: str


def identity(manifest: Manifest) -> Identity:
    """Return the identity of an object."""
    metadata = values.mapping(manifest.obj.get("metadata"))
    group = str(manifest.obj.get("apiVersion", "")).rpartition("/")[0]
    kind = str(manifest.obj.get("kind", ""))
    return Identity(group, kind, str(metadata.get("namespace", "")), str(metadata.get("name", "")))


def is_to_be_filled_in(obj: Mapping[str, Any]) -> bool:
    """Return whether an object's name or namespace is a placeholder: the template of one, although it is valid YAML."""
    names = (values.at(obj, "metadata", field_name) for field_name in ("name", "namespace"))
    return any(is_placeholder(name) if isinstance(name, str) else isinstance(name, Mapping) for name in names)


def deployment_faults(
    manifest: Manifest, kind: DeploymentKind, name: str, *, accepted: bool = False
) -> Iterator[Noticed]:
    """Yield what is wrong with a deployment; `name` is what problems call it.

    `accepted`: an API server has taken it, so its fields are what that server knows.
    """
    for problem in _misstated(manifest.obj, name, _VERSIONS[kind]):
        yield Noticed(problem, manifest.place)
    if not accepted:
        yield from _wrong_fields(manifest, kind, name)


def _misstated(obj: Mapping[str, Any], name: str, versions: tuple[str, ...]) -> Iterator[Problem]:
    """Yield what is wrong with its API version and its metadata."""
    version = str(obj.get("apiVersion", "")).rpartition("/")[2]
    if version not in versions:
        yield Problem(
            "api_version_unknown",
            "warning",
            name,
            f"its API version {KSERVE}/{version} does not exist in KServe for this kind",
            f"write apiVersion: {KSERVE}/{versions[0]}",
            "apiVersion",
        )
    metadata = values.mapping(obj.get("metadata"))
    yield from _unknown_switches(metadata, name)
    written = metadata.get("name")
    is_text = isinstance(written, str) and not isinstance(written, Unquoted)  # any other is a fault of its own
    if is_text and not _NAME.match(values.line(written)):
        yield Problem(
            "object_name_invalid",
            "warning",
            name,
            f'its name "{values.line(metadata.get("name"))}" is not valid in a cluster',
            "use at most 63 lower-case letters, digits and '-', beginning with a letter",
            "name",
        )
    annotations = values.mapping(metadata.get("annotations"))
    for field_name, texts in (("label", values.mapping(metadata.get("labels"))), ("annotation", annotations)):
        for key, value in texts.items():
            if value is not None and (not isinstance(value, str) or isinstance(value, Unquoted)):
                yield Problem(
                    "value_not_text",
                    "warning",
                    name,
                    f"the value of the {field_name} {key} is not text: kubectl refuses it",
                    f"write it in quotes, {key}: {_quoted(value)}",
                    key,
                )
    for key in annotations_among(values.mapping(metadata.get("labels"))):
        yield Problem(
            "label_not_read",
            "warning",
            name,
            f"the label {key} is an annotation of the connector: it is not read among the labels",
            f"write {key} below annotations instead of labels",
            key,
        )
    spec = values.mapping(obj.get("spec"))
    for part in ("predictor", "transformer", "explainer"):
        for key in annotations_among(values.mapping(values.at(spec.get(part), "annotations"))):
            yield Problem(
                "label_not_read",
                "warning",
                name,
                f"the annotation {key} is among those of the pods, in spec.{part}.annotations: it is not read there",
                f"write {key} below metadata.annotations",
                key,
            )
    for found in misspellings(annotations):
        yield Problem(
            "annotation_unknown",
            "warning",
            name,
            f"the annotation {_visible(found.key)} is unknown"
            + (f"; did you mean {found.meant}?" if found.meant else ""),
            f"write {found.meant}" if found.meant else "docs/annotations.md and docs/mapping.md list the annotations",
            found.key,
        )


def _unknown_switches(metadata: Mapping[str, Any], name: str) -> Iterator[Problem]:
    """Yield the switches that are neither on nor off, and so have no effect."""
    for place, keys in _SWITCHES.items():
        texts = values.mapping(metadata.get(place))
        for key in keys if texts else ():
            written = values.line(texts.get(key))
            if written and written.lower() not in ("true", "false"):
                yield Problem(
                    "switch_unknown",
                    "warning",
                    name,
                    f'the value {written!r} of {key} is neither "true" nor "false", so it has no effect',
                    f'write {key}: "true", or remove it',
                    key,
                )


def _wrong_fields(manifest: Manifest, kind: DeploymentKind, name: str) -> Iterator[Noticed]:
    """Yield what is wrong with the fields of a deployment, each with the line of the object around."""
    obj, place = manifest
    first = obj.line if isinstance(obj, Located) else -1
    merged = merged_objects(manifest, name)
    yield from merged
    for each in field_faults(obj, kind):
        if merged and isinstance(each, RepeatedField) and "." not in each.field:
            continue  # that is the same mistake
        line = place.line + each.line - first if min(each.line, first) >= 0 else place.line
        yield Noticed(_of_field(name, each), Place(place.path, line))


def without_namespace(manifest: Manifest, name: str) -> Iterator[Noticed]:
    """Yield the problem of a deployment whose namespace is only known where it is applied."""
    if values.line_at(manifest.obj, "metadata", "namespace"):
        return
    problem = Problem(
        "namespace_missing",
        "info",
        name,
        "it has no namespace, so default is assumed; in a cluster, it gets that of kubectl or Argo CD, also in its key",
        "write metadata.namespace, or name one in a kustomization.yaml of its folder",
    )
    yield Noticed(problem, manifest.place)


def merged_objects(manifest: Manifest, name: str) -> tuple[Noticed, ...]:
    """Return the problem of two objects in one document: the one before is lost."""
    obj, place = manifest
    again = [line for key, line in obj.repeated if key in ("apiVersion", "kind")] if isinstance(obj, Located) else []
    if not again:
        return ()
    line = place.line + min(again) - obj.line if isinstance(obj, Located) else place.line
    problem = Problem(
        "objects_not_separated",
        "error",
        name,
        "another object stands before it in the same document, and is lost: the line --- between them is missing",
        "write a line --- before this one",
    )
    return (Noticed(problem, Place(place.path, line)),)


def _of_field(name: str, each: FieldFault) -> Problem:
    if isinstance(each, UnknownField):
        return _of_unknown(name, each)
    if isinstance(each, RepeatedField):
        return Problem(
            "field_repeated",
            "warning",
            name,
            f"its field {each.field} is there more than once: the last one counts, and the others are lost",
            "write it once, with the contents of all",
        )
    return Problem(
        "field_of_wrong_type",
        "error",
        name,
        f"its field {each.field} is {each.found}, where {each.expected} belongs: the API server refuses it",
        each.remedy,
        _last_part(each.field),
    )


def _of_unknown(name: str, each: UnknownField) -> Problem:
    known_by = f"KServe {table().kserve}" if each.field.startswith("spec.") else f"Kubernetes {table().kubernetes}"
    meant = f"; did you mean {each.meant}?" if each.meant else "."
    remedy = f"{'move it to' if '.' in each.meant else 'write'} {each.meant}" if each.meant else "correct or remove it"
    if "\u00a0" in each.field:
        remedy = "write blanks in place of the no-break spaces (\\xa0)"
    return Problem(
        "field_unknown",
        "warning",
        name,
        f"its field {_visible(each.field)} is unknown to {known_by}{meant} If the cluster does not know it either, "
        "kubectl refuses the manifest, and other clients deploy it without this field",
        remedy,
        _last_part(each.field),
    )


def _visible(key: str) -> str:
    """Return a key as it is; in quotes and with codes where blanks or other invisible characters are in it."""
    return key if key.isprintable() and key == key.strip() and key.isascii() else ascii(key)


def _last_part(field: str) -> str:
    """Return the last name in the path of a field, which may be an item of a list."""
    return field.rpartition(".")[2].partition("[")[0]


def without_model(manifest: Manifest, kind: DeploymentKind, name: str) -> Noticed:
    """Return the problem of a deployment that does not say what it serves."""
    if kind == ISVC:
        lacks = "a model in spec.predictor" if values.at(manifest.obj, "spec", "predictor") else "spec.predictor"
        message = f"it lacks {lacks}, and so does not say what is served: KServe refuses it"
        remedy = (
            "write it below spec.predictor, such as model: {modelFormat: {name: onnx}, storageUri: s3://bucket/path}"
        )
    else:
        message = "it lacks spec.model, and so does not say what is served: KServe cannot start it"
        remedy = "write where the model is, such as spec: {model: {uri: hf://organisation/model}}, or name baseRefs"
    return Noticed(Problem("model_missing", "warning", name, message, remedy), manifest.place)


def _quoted(value: object) -> str:
    return f'"{values.line(value)}"' if isinstance(value, str | int | float) else '"..."'
