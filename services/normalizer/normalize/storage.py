"""Where a model's files are: what a deployment says about that, and how KServe understands it.

Source: KServe, `StorageSpec` and its credentials package (what happens to `storage` by type, bucket and key), and the
webhooks of Red Hat OpenShift AI 2.25 to 3.5 (what happens to a connection). A bucket that is not named is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple

from services.normalizer.normalize import values
from services.normalizer.normalize.connection import (
    CONNECTIONS_ANNOTATION,
    PATH_ANNOTATION,
    Connection,
    connection_problems,
    is_secret_name,
)
from services.normalizer.normalize.links import read_link, without_credentials
from services.normalizer.normalize.result import Notes

_S3 = "s3"
_VOLUME = "pvc"
# What KServe fetches or mounts itself (its storage-initializer and webhooks; for LLMInferenceServices its controller
# takes fewer, but connections may write any of them), and the schemes of registries, which need a storage container.
_SCHEMES = ("file", "gs", "hdfs", "hf", "http", "https", "oci", "pvc", "s3", "webhdfs")
_SCHEMES_OF_CONTAINERS = ("model-registry", "models")
_MODEL_MESH_SCHEMES = {"gcs": "gs"}
_ADD_AGAIN = f"remove the annotation {CONNECTIONS_ANNOTATION} and add it again, so that the platform applies it"


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFacts:
    """What a deployment says about where its model's files are; empty where it says nothing.

    `uri` is the complete location, `further` are other ones. `path` is inside a bucket or a volume, which is found by
    `key` (an entry of KServe's storage configuration) or by the parameters `type`, `bucket` and `claim`. `connection`
    is the name of the connection, by annotation (`annotated`), else key, else pull secret; `connection_path` is the
    path by annotation. `by_key`: the platform writes an S3 connection as key and path, as in InferenceServices, not as
    a location, as in LLMInferenceServices.
    """

    uri: str = ""
    further: tuple[str, ...] = ()
    path: str = ""
    key: str = ""
    type: str = ""
    bucket: str = ""
    claim: str = ""
    model_mesh: bool = False
    connection: str = ""
    connection_path: str = ""
    annotated: bool = False
    by_key: bool = True

    @property
    def uri_field(self) -> str:
        """The field that has the location."""
        return "storageUri" if self.by_key else "model.uri"

    @property
    def uri_key(self) -> str:
        """The last part of that field."""
        return self.uri_field.rpartition(".")[2]


class Location(NamedTuple):
    """A location: an absolute URL without credentials, or a description where there is no URL; both may be empty.

    `connection` is the name of the one that is needed to read it, if there is no URL.
    """

    url: str = ""
    words: str = ""
    connection: str = ""


def secret_name(storage: StorageFacts) -> str:
    """Return the name of the Secret that leads to the files, empty where there is none or not exactly one."""
    name = (storage.path and storage.key) or storage.connection
    return name if is_secret_name(name) else ""


def needs_fields(storage: StorageFacts) -> bool:
    """Return whether the location, or a change of it, shows only in fields of the Secret and not in its metadata."""
    return storage.annotated or not (storage.uri or storage.bucket or storage.type)


def needs_bucket(storage: StorageFacts) -> bool:
    """Return whether only the bucket is unknown, because it is found by the key in KServe's storage configuration."""
    named = storage.uri or storage.bucket or storage.type or storage.model_mesh
    return bool(storage.by_key and storage.path and secret_name(storage) and not named)


def locate(storage: StorageFacts, notes: Notes, connection: Connection | None = None) -> Location:
    """Return where the files are; `connection` is that of the Secret `secret_name`, None where it is not known."""
    _note_storage(storage, notes)
    if connection is not None:
        _note_connection(storage, connection, notes)
    written, words = _location(storage, connection)
    url = notes.link(
        written,
        place="the storage location",
        correct="write it with a scheme, such as oci://, s3:// or pvc://",
        replace="give them to KServe by a Secret: anyone who may read the object can read them",
        key=storage.uri_key,
    )
    if url and not storage.path:
        _note_scheme(storage, url, notes)
    return Location(url, words)


def _location(storage: StorageFacts, connection: Connection | None) -> tuple[str, str]:
    """Return the location, or a description of it, by the first rule that applies."""
    if storage.uri:
        return ("", "") if storage.path else (storage.uri, "")
    if storage.path:
        return _by_path(storage, connection)
    if storage.key or storage.type or storage.bucket:
        return "", ""
    return _by_connection(storage, connection), ""


def _note_scheme(storage: StorageFacts, url: str, notes: Notes) -> None:
    """Note if KServe itself fetches nothing from locations with the scheme of `url`.

    For an InferenceService a ClusterStorageContainer can add any scheme (KServe: "Storage Containers").
    """
    scheme, _, rest = url.partition(":")
    if scheme in _SCHEMES and not rest.startswith("//"):
        message = f"{values.shown(url)} in the storage location lacks a slash: KServe does not fetch it"
        notes.warning("invalid_url", message, f"write {scheme}://{rest.lstrip('/')}", key=storage.uri_key)
        return
    if scheme in (*_SCHEMES, *_SCHEMES_OF_CONTAINERS):
        return
    alike = [each for each in _SCHEMES if each[0] == scheme[0].lower() and abs(len(each) - len(scheme)) <= 1]
    meant = get_close_matches(scheme.lower(), alike, n=1, cutoff=0.5)
    container = "; nothing needs doing if a ClusterStorageContainer of the cluster fetches it" if storage.by_key else ""
    notes.info(
        "storage_scheme_unknown",
        f"KServe itself does not fetch models from {scheme}:// ({storage.uri_field})"
        + (f": did you mean {meant[0]}://?" if meant else ""),
        f"write one of {', '.join(f'{each}://' for each in _SCHEMES)}{container}",
        key=storage.uri_key,
    )


def _by_path(storage: StorageFacts, connection: Connection | None) -> tuple[str, str]:
    path = storage.path.removeprefix("/")
    if storage.model_mesh and (place := storage.claim if storage.type == _VOLUME else storage.bucket):
        scheme = _MODEL_MESH_SCHEMES.get(storage.type, storage.type or _S3)
        return f"{scheme}://{place}/{path}", ""
    if storage.type not in ("", _S3):
        return f"{storage.type}://{path}", ""
    if storage.bucket and (storage.type or storage.key):
        return f"{_S3}://{storage.bucket}/{path}", ""
    if storage.type or storage.bucket:
        return "", ""
    if connection is not None and connection.bucket:
        return f"{_S3}://{connection.bucket}/{path}", ""
    name = storage.key or storage.connection
    bucket = f"the bucket of connection {name}" if name else "KServe's default bucket"
    return "", without_credentials(f"path {storage.path} in {bucket}")


def _by_connection(storage: StorageFacts, connection: Connection | None) -> str:
    """Return the location that a connection leads to, whether or not the platform has applied it."""
    if connection is None:
        return ""
    if connection.type == "uri":
        return connection.uri
    path = storage.connection_path.removeprefix("/")
    return f"{_S3}://{connection.bucket}/{path}" if connection.type == "s3" and connection.bucket and path else ""


def _note_storage(storage: StorageFacts, notes: Notes) -> None:
    """Note what is wrong with what the deployment itself says."""
    if storage.annotated and not is_secret_name(storage.connection):
        notes.warning(
            "connection_name_invalid",
            f"its connection {values.shown(storage.connection)} is not the name of one Secret, and the platform "
            "refuses it",
            f"name one connection of the same namespace in the annotation {CONNECTIONS_ANNOTATION}, without the "
            "namespace",
            key=CONNECTIONS_ANNOTATION,
        )
    if storage.uri and storage.path:
        notes.warning(
            "storage_refused_by_kserve",
            "it has both a storageUri and a storage path, which KServe refuses",
            "remove one of them",
        )
    elif storage.path and not storage.model_mesh and storage.type == _S3 and not storage.bucket:
        notes.warning(
            "storage_refused_by_kserve",
            "its storage is of type s3 without a bucket, which KServe refuses",
            "name the bucket in storage.parameters, or remove the type",
        )
    elif storage.path and storage.bucket and not storage.type and not storage.key:
        notes.warning(
            "storage_refused_by_kserve",
            "its storage names a bucket without a type or a key, which KServe refuses",
            "add type: s3 to storage.parameters",
        )
    elif not storage.uri and not storage.path and (storage.key or storage.type or storage.bucket):
        notes.warning(
            "storage_without_path",
            "its storage has no path, so that KServe fetches no model",
            f"name the path in storage.path, or in the annotation {PATH_ANNOTATION} of a connection",
        )
    if storage.further:
        notes.info(
            "several_storage_locations",
            f"it has {len(storage.further) + 1} storage locations; only the first is shown",
            "write the one that matters most first",
        )


def _note_connection(storage: StorageFacts, connection: Connection, notes: Notes) -> None:
    """Note what is wrong with the connection, and with how the platform has applied it."""
    if connection.state == "missing" and not storage.annotated:
        return  # the key may be an entry of a storage configuration that people write themselves
    if storage.annotated or connection.type:
        notes.add(connection_problems(connection, by_key=storage.by_key and not storage.uri))
    if not storage.annotated or connection.state != "read" or not connection.type:
        return
    if storage.uri:
        _note_outdated(storage, connection, notes)
    elif not storage.path and not storage.key:
        _note_unapplied(storage, connection, notes)


def _note_unapplied(storage: StorageFacts, connection: Connection, notes: Notes) -> None:
    """Note why a connection leads to no location, or to one that the platform has not written into the deployment."""
    if connection.type == "oci":
        message = f"its connection {connection.name} gives access to a registry, but no image is named"
        notes.warning("connection_incomplete", message, f"write the image as {storage.uri_field}, oci://…")
    elif connection.type == "s3" and not storage.connection_path:
        message = f"no path is named in the bucket of its connection {connection.name}"
        notes.warning("connection_incomplete", message, f"name the path in the annotation {PATH_ANNOTATION}")
    elif _by_connection(storage, connection):
        message = f"the platform has not applied its connection {connection.name}, so that no model is fetched"
        notes.warning("connection_not_applied", message, _ADD_AGAIN, key=CONNECTIONS_ANNOTATION)


def _note_outdated(storage: StorageFacts, connection: Connection, notes: Notes) -> None:
    """Note that a connection leads to a new location, which takes effect when the model is deployed again.

    Source: "Using connections", section 3.2. An InferenceService's S3 connection never sets the location.
    """
    if connection.type == "s3" and storage.by_key:
        return
    now, before = read_link(_by_connection(storage, connection)), read_link(storage.uri)
    if now and before and now.url.rstrip("/") != before.url.rstrip("/"):
        notes.info(
            "connection_changed",
            f"its connection {connection.name} leads to {values.shown(now.url)} now, it was deployed with another one",
            "deploy it again to have it use the new location",
        )


def read_storage(
    annotations: Mapping[str, Any],
    *,
    uris: tuple[str, ...],
    pull_secret: str,
    spec: Mapping[str, Any] = MappingProxyType({}),
    model_mesh: bool = False,
    by_key: bool = True,
) -> StorageFacts:
    """Return what a deployment says; `uris` are complete locations, `spec` is an InferenceService's `storage`."""
    key = values.line(spec.get("key"))
    parameters = values.mapping(spec.get("parameters"))
    annotated = values.line(annotations.get(CONNECTIONS_ANNOTATION))
    return StorageFacts(
        uri=uris[0] if uris else "",
        further=uris[1:],
        path=values.line(spec.get("path")),
        key=key,
        type=values.line(parameters.get("type")).lower(),
        bucket=values.line(parameters.get("bucket")),
        claim=values.line(parameters.get("name")),
        model_mesh=model_mesh,
        connection=without_credentials(annotated or key or pull_secret),
        connection_path=values.line(annotations.get(PATH_ANNOTATION)),
        annotated=bool(annotated),
        by_key=by_key,
    )
