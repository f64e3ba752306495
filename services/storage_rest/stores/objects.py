"""Converts the cache's ConfigMaps to and from objects of the Kubernetes API, with their labels and annotations."""

import base64
from collections.abc import Callable, Mapping
from typing import Any

from services.storage_rest.stores.shard import Observation, Patch, Value

LABELS: Mapping[str, str] = {
    "app.kubernetes.io/name": "rhoai-connector",
    "app.kubernetes.io/component": "model-cache",
    "app.kubernetes.io/managed-by": "storage-rest",
}
"""Labels of every ConfigMap of the cache: `oc get configmap -l app.kubernetes.io/name=rhoai-connector`."""
SELECTOR = ",".join(f"{name}={LABELS[name]}" for name in ("app.kubernetes.io/name", "app.kubernetes.io/component"))
COMPLETE = "modelcatalogbridge.rhdh.io/complete"
"""Annotation of the first ConfigMap: `true` once the cache was known to be complete."""
KEYS = "modelcatalogbridge.rhdh.io/keys"
"""Annotation of each ConfigMap: the number and a hash of its keys, see `shard.mark_of`."""
SHARDS = "modelcatalogbridge.rhdh.io/shards"
"""Annotation of the first ConfigMap: how many there are."""


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
