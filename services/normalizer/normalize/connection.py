"""Connections of OpenShift AI: the Secrets that say where a model's files are, as far as they may be read.

Only the type, the display name and the fields about the location are taken out of a Secret. Nothing else is kept, above
all not the annotations as a whole: `kubectl apply` copies the secret key into `last-applied-configuration`.
Source: Red Hat OpenShift AI, "Using connections"; the webhooks of 2.25 to 3.5 (which annotations count); the storage
controller of odh-model-controller (which Secrets KServe finds).
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from common.problems import Problem
from services.normalizer.normalize import values
from services.normalizer.normalize.links import without_credentials
from services.normalizer.normalize.result import Notes

ConnectionType = Literal["", "s3", "uri", "oci"]
ConnectionState = Literal["read", "typed", "pod", "missing", "forbidden"]
"""`typed`: only its metadata were read. `pod`: it was not read itself, but a pod that uses it may show the bucket."""

Resolving = Literal["false", "true", "secrets", "pods"]
"""How connections are read: not at all, from Secrets and else from pods, or only from one of them."""

CONNECTIONS_ANNOTATION = "opendatahub.io/connections"
PATH_ANNOTATION = "opendatahub.io/connection-path"
_PROTOCOL_ANNOTATION = "opendatahub.io/connection-type-protocol"
_REF_ANNOTATION = "opendatahub.io/connection-type-ref"
_TYPE_ANNOTATION = "opendatahub.io/connection-type"
_FOUND_BY_LABELS = ("opendatahub.io/managed", "opendatahub.io/dashboard")

_PROTOCOLS: Mapping[str, ConnectionType] = {"s3": "s3", "uri": "uri", "oci": "oci"}
_REFS: Mapping[str, ConnectionType] = {"s3": "s3", "uri-v1": "uri", "oci-v1": "oci"}
_S3 = "s3"
_READ_IN_METADATA: Mapping[str, tuple[str, ...]] = {
    "annotations": (_PROTOCOL_ANNOTATION, _REF_ANNOTATION, _TYPE_ANNOTATION, values.DISPLAY_NAME),
    "labels": (*_FOUND_BY_LABELS, _TYPE_ANNOTATION),
}
_FIELDS = ("AWS_S3_BUCKET", "URI", "https-host")
_STORAGE_INITIALIZER = "storage-initializer"
_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?\Z")
_MAX_FIELD = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What is known about one connection; the fields are without credentials, which people put into URLs.

    `stated_type` is the type as its annotations have it; `outdated_type`: only a deprecated annotation has it.
    `found_by_kserve`: KServe's storage controller adds it to its configuration, which `storage.key` needs.
    `buckets` are those that the pods of single InferenceServices, by name, were started with: the Secret may have named
    another one then.
    """

    namespace: str
    name: str
    state: ConnectionState = "read"
    type: ConnectionType = ""
    stated_type: str = ""
    outdated_type: bool = False
    found_by_kserve: bool = False
    title: str = ""
    bucket: str = ""
    uri: str = ""
    buckets: tuple[tuple[str, str], ...] = ()

    def of(self, deployment: str) -> "Connection":
        """Return the connection as the InferenceService of this name uses it."""
        bucket = dict(self.buckets).get(deployment)
        return replace(self, bucket=bucket) if bucket else self

    @property
    def subject(self) -> str:
        """What problems call it."""
        return f"connection {self.namespace}/{self.name}"


def is_secret_name(name: str) -> bool:
    """Return whether `name` is a possible name of one Secret in the same namespace, as a connection must be."""
    return _NAME.match(name) is not None


def is_allowed(namespace: str, name: str, allowed: Collection[str]) -> bool:
    """Return whether a connection may be read; `allowed` are namespaces, or `namespace/name`s, all when empty."""
    return not allowed or namespace in allowed or f"{namespace}/{name}" in allowed


def read_connection(obj: Mapping[str, Any], *, namespace: str, name: str) -> Connection:
    """Return the connection that a Secret is; it may be given with its metadata alone."""
    metadata = values.mapping(obj.get("metadata"))
    annotations, labels = values.mapping(metadata.get("annotations")), values.mapping(metadata.get("labels"))
    protocol, ref = (values.line(annotations.get(key)) for key in (_PROTOCOL_ANNOTATION, _REF_ANNOTATION))
    kind = _PROTOCOLS.get(protocol, "") if protocol else _by_older_annotations(annotations, ref)
    whole = obj.get("kind") != "PartialObjectMetadata"
    return Connection(
        namespace=namespace,
        name=name,
        state="read" if whole else "typed",
        type=kind,
        stated_type=_safe(protocol or ref),
        outdated_type=bool(kind) and not protocol,
        found_by_kserve=all(values.line(labels.get(label)) == "true" for label in _FOUND_BY_LABELS)
        and _S3 in (values.line(annotations.get(_TYPE_ANNOTATION)), values.line(labels.get(_TYPE_ANNOTATION))),
        title=_safe(values.line(annotations.get(values.DISPLAY_NAME))),
        **(_fields(obj) if whole else {}),
    )


def fetched_bucket(pod: Mapping[str, Any]) -> str:
    """Return the bucket that a predictor's pod fetched its model from, empty where the pod does not show it.

    Only the arguments of KServe's storage initializer are read: pairs of source and destination.
    """
    for container in values.items_at(pod, "spec", "initContainers"):
        if values.at(container, "name") == _STORAGE_INITIALIZER:
            for argument in values.items_at(container, "args"):
                scheme, _, rest = _safe(values.line(argument)).partition("://")
                if scheme == _S3:
                    return rest.partition("/")[0]
    return ""


def seen_in_pods(bucket: str, buckets: Mapping[str, str], *, namespace: str, name: str) -> Connection:
    """Return what running pods show of their connection: with a bucket, KServe has found it, and its type is S3.

    `bucket` is that of the newest pod, `buckets` are those of single InferenceServices, by name.
    """
    return Connection(
        namespace=namespace,
        name=name,
        state="pod",
        type="s3" if bucket else "",
        found_by_kserve=bool(bucket),
        bucket=bucket,
        buckets=tuple(sorted(buckets.items())),
    )


def _by_older_annotations(annotations: Mapping[str, Any], ref: str) -> ConnectionType:
    """Return the type by annotations that are older than the protocol; custom types name the type they derive from."""
    if known := _REFS.get(ref):
        return known
    return "s3" if values.line(annotations.get(_TYPE_ANNOTATION)) == _S3 else ""


def _fields(secret: Mapping[str, Any]) -> dict[str, Any]:
    bucket = _safe(f"s3://{_field(secret, 'AWS_S3_BUCKET')}").removeprefix("s3://")
    uri = _safe(_field(secret, "https-host")) or _safe(_field(secret, "URI"))
    return {"bucket": bucket.strip("/"), "uri": uri}


def readable_part(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return only those parts of a Secret that are read, for Secrets that are kept in memory."""
    metadata = values.mapping(secret.get("metadata"))
    kept: dict[str, Any] = {
        "metadata": {
            **{name: metadata[name] for name in ("name", "namespace") if name in metadata},
            **{name: _only(metadata.get(name), keys) for name, keys in _READ_IN_METADATA.items()},
        },
    }
    kept |= {name: secret[name] for name in ("apiVersion", "kind") if name in secret}
    return kept | {name: _only(secret.get(name), _FIELDS) for name in ("data", "stringData")}


def _only(mapping: object, keys: Iterable[str]) -> dict[str, Any]:
    found = values.mapping(mapping)
    return {key: found[key] for key in keys if key in found}


def _field(secret: Mapping[str, Any], key: str) -> str:
    """Return one field of a Secret as text; `stringData`, which manifests have, overrides `data`."""
    plain = values.at(secret, "stringData", key)
    if plain is not None:
        return values.line(plain)
    encoded = values.at(secret, "data", key)
    if not isinstance(encoded, str):
        return ""
    try:
        return values.line(base64.b64decode(encoded, validate=True).decode())
    except (binascii.Error, ValueError):
        return ""


def _safe(text: str) -> str:
    return without_credentials(text)[:_MAX_FIELD]


def connection_problems(connection: Connection, *, by_key: bool) -> tuple[Problem, ...]:
    """Return what is wrong with a connection itself; `by_key`: KServe must find it by its key."""
    notes = Notes(connection.subject)
    if connection.state == "missing":
        notes.warning(
            "connection_missing",
            "there is no Secret of this name, and models that use it cannot be fetched",
            f"create the connection, or correct the annotation {CONNECTIONS_ANNOTATION} of the models",
            key=CONNECTIONS_ANNOTATION,
        )
    elif connection.state == "forbidden":
        notes.info(
            "connection_forbidden",
            "it may not be read, so the bucket or the address in it is not known",
            "allow the connector to get this Secret, or set RESOLVE_CONNECTIONS to pods or to false",
        )
    elif connection.state != "pod" and not connection.type:
        stated = f"it says {values.shown(connection.stated_type)}" if connection.stated_type else "it says none"
        notes.warning(
            "connection_without_type",
            f"its type is none of s3, uri and oci ({stated}), and the platform does not apply it",
            f"set its annotation {_PROTOCOL_ANNOTATION}; up to OpenShift AI 3.4 the next change of a model that uses "
            "it removes the model's location",
        )
    elif connection.state != "pod":
        _note_typed(connection, notes, by_key=by_key)
    return notes.problems


def _note_typed(connection: Connection, notes: Notes, *, by_key: bool) -> None:
    if connection.outdated_type:
        notes.info(
            "connection_type_deprecated",
            "its type is said by a deprecated annotation only",
            f'set its annotation {_PROTOCOL_ANNOTATION} to "{connection.type}"',
        )
    if connection.state == "read" and connection.type == "s3" and not connection.bucket:
        notes.warning("connection_incomplete", "it names no bucket", "set its field AWS_S3_BUCKET")
    if connection.state == "read" and connection.type == "uri" and not connection.uri:
        notes.warning("connection_incomplete", "it has no address", "set its field URI")
    if by_key and connection.type == "s3" and not connection.found_by_kserve:
        notes.warning(
            "connection_not_found_by_kserve",
            "KServe does not find it, and an InferenceService that uses it fails with "
            f'"specified storage key {connection.name} not found"',
            f'set its labels {_FOUND_BY_LABELS[0]} and {_FOUND_BY_LABELS[1]} to "true" and its annotation '
            f'{_TYPE_ANNOTATION} to "s3"',
        )
