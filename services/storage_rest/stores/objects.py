"""ConfigMaps of the cache as objects of the Kubernetes API: what is read of one, and what is written."""

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from common import PRODUCT, STORAGE

LIMIT = 1_048_576
"""Most bytes of all values in one ConfigMap (Kubernetes API, ConfigMap, `data`)."""
LABELS: Mapping[str, str] = {
    "app.kubernetes.io/name": PRODUCT,
    "app.kubernetes.io/component": "model-cache",
    "app.kubernetes.io/managed-by": STORAGE,
}
"""Labels of every ConfigMap of the cache: `oc get configmap -l app.kubernetes.io/name=rhoai-connector`."""
SELECTOR = ",".join(f"{name}={LABELS[name]}" for name in ("app.kubernetes.io/name", "app.kubernetes.io/component"))
COMPLETE = "modelcatalogbridge.rhdh.io/complete"
"""Annotation of the first ConfigMap: `true` once the cache was known to be complete."""
KEYS = "modelcatalogbridge.rhdh.io/keys"
"""Annotation of each ConfigMap: the number and a hash of its keys, see `mark_of`."""
SHARDS = "modelcatalogbridge.rhdh.io/shards"
"""Annotation of the first ConfigMap: how many there are."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value of `binaryData`: its bytes, and a digest that is equal for bytes with equal content.

    `usable` is False if it cannot be decoded; then it does not count for the mark.
    """

    data: bytes = field(repr=False)
    digest: str
    usable: bool = True

    @property
    def size(self) -> int:
        """Bytes that count towards the limit."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class HeldValue:
    """The value that the API server has under a key, without its bytes."""

    size: int
    digest: str
    usable: bool = True
    fingerprint: int = 0
    """A hash of its bytes."""

    @classmethod
    def of(cls, value: Value) -> Self:
        """Return what is kept of a value."""
        return cls(value.size, value.digest, value.usable, hash(value.data))


Change = Value | None
"""The new value of a key; None: the key is removed."""


def mark_of(keys: Iterable[str]) -> str:
    """Return the mark of a ConfigMap with these keys: their number, and 16 hexadecimal digits of a hash."""
    names = sorted(keys)
    return f"{len(names)}-{hashlib.blake2b(chr(0).join(names).encode(), digest_size=8).hexdigest()}"


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A ConfigMap as it was read from the API server; `other` is the number of bytes that are not in `values`.

    `described`: it has our labels. `mark` and `shards` (the number of ConfigMaps, on the first one) are empty and 0 if
    they were never written. `complete`: the cache was complete before. `values` is cleared after processing, because
    the reflector keeps observations and the contents are kept in the cache.
    """

    name: str
    version: int
    values: dict[str, Value]
    other: int = 0
    described: bool = False
    mark: str = ""
    shards: int = 0
    complete: bool = False

    @property
    def fits(self) -> bool:
        """Whether its keys match its mark."""
        return self.mark == mark_of(key for key, value in self.values.items() if value.usable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One write of a ConfigMap.

    `version` is the version that it must still have, 0 if it does not exist yet. `describe`: add its labels. `mark`,
    `shards` and `complete` are the new annotations, empty if they do not change.
    """

    shard: str
    version: int
    changes: Mapping[str, Change]
    describe: bool = False
    mark: str = ""
    shards: int = 0
    complete: bool = False

    @property
    def create(self) -> bool:
        """Whether it creates the ConfigMap."""
        return not self.version

    @property
    def puts(self) -> dict[str, Value]:
        """The values that are set."""
        return {key: value for key, value in self.changes.items() if value is not None}

    @property
    def size(self) -> int:
        """Bytes of the values that are set."""
        return sum(value.size for value in self.puts.values())


def observation(obj: Mapping[str, Any], read: Callable[[str, bytes], Value]) -> Observation:
    """Return a ConfigMap as an observation; `read` converts a key and its bytes to a value."""
    metadata = obj["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    values = {key: base64.b64decode(text) for key, text in (obj.get("binaryData") or {}).items()}
    return Observation(
        name=metadata["name"],
        version=int(metadata["resourceVersion"]),
        values={key: read(key, raw) for key, raw in values.items()},
        other=sum(len(text.encode()) for text in (obj.get("data") or {}).values()),
        described=LABELS.items() <= labels.items(),
        mark=annotations.get(KEYS, ""),
        shards=_number(annotations.get(SHARDS, "")),
        complete=annotations.get(COMPLETE) == "true",
    )


def creation(patch: Patch) -> dict[str, Any]:
    """Return the ConfigMap that a patch creates."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": patch.shard, **_metadata(patch)},
        "binaryData": {key: _encoded(value) for key, value in patch.puts.items()},
    }


def merge_patch(patch: Patch) -> dict[str, Any]:
    """Return the merge patch with changed keys, labels and annotations; it applies only to the version seen last."""
    body: dict[str, Any] = {"metadata": {"resourceVersion": str(patch.version), **_metadata(patch)}}
    if patch.changes:
        body["binaryData"] = {key: _encoded(value) if value else None for key, value in patch.changes.items()}
    return body


def _metadata(patch: Patch) -> dict[str, Any]:
    metadata: dict[str, Any] = {}
    if patch.describe:
        metadata["labels"] = dict(LABELS)
    annotations = {KEYS: patch.mark, SHARDS: str(patch.shards or ""), COMPLETE: "true" if patch.complete else ""}
    if any(annotations.values()):
        metadata["annotations"] = {name: text for name, text in annotations.items() if text}
    return metadata


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def _encoded(value: Value) -> str:
    return base64.b64encode(value.data).decode()
