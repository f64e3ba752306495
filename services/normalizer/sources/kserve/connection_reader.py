"""Reads connections: from their Secrets, from the metadata alone, or from a pod that fetched a model with one."""

from collections.abc import Collection, Mapping
from typing import Any

import structlog

from common.kube.client import KubeClient
from common.kube.errors import KubeError
from common.kube.resources import PODS, SECRETS
from services.normalizer.facts import Ref
from services.normalizer.normalize import values
from services.normalizer.normalize.connection import (
    Connection,
    Resolving,
    fetched_bucket,
    read_connection,
    seen_in_pods,
)
from services.normalizer.normalize.storage import StorageFacts, needs_bucket, needs_fields

log = structlog.get_logger("connections")

_PODS_OF_ONE = 3
_DEPLOYMENTS_ASKED = 3


def is_allowed(namespace: str, name: str, allowed: Collection[str]) -> bool:
    """Return whether a connection may be read; `allowed` are namespaces, or `namespace/name`s, all when empty."""
    return not allowed or namespace in allowed or f"{namespace}/{name}" in allowed


class ConnectionReader:
    """Reads the connections of one cluster, each by name; nothing is listed or watched."""

    def __init__(self, client: KubeClient, *, resolving: Resolving) -> None:
        self._client = client
        self._secrets = resolving in ("true", "secrets")
        self._pods = resolving in ("true", "pods")
        self._told: set[str] = set()
        self._buckets: dict[Ref, dict[str, str]] = {}

    async def read(self, key: Ref, users: Mapping[Ref, StorageFacts]) -> Connection:
        """Return what can be read of a connection; `users` are its deployments, the one that changed last at the end.

        Raises:
            RemoteError: nothing can be said now.
        """
        namespace, name = key.ids
        refused: KubeError | None = None
        if self._secrets:
            try:
                return await self._by_secret(namespace, name, whole=any(map(needs_fields, users.values())))
            except KubeError as error:
                if error.status == 404:
                    return Connection(namespace=namespace, name=name, state="missing")
                if error.status != 403:
                    raise
                refused = error
        bucket, refusal = await self._by_pods(key, users) if self._pods else ("", None)
        if bucket or not (refused or refusal):
            return seen_in_pods(bucket, self._buckets.get(key, {}), namespace=namespace, name=name)
        self._tell_forbidden(refused, refusal)
        return Connection(namespace=namespace, name=name, state="forbidden")

    async def _by_secret(self, namespace: str, name: str, *, whole: bool) -> Connection:
        metadata = await self._client.get(SECRETS, name, namespace, metadata_only=True)
        connection = read_connection({**metadata, "kind": "PartialObjectMetadata"}, namespace=namespace, name=name)
        if connection.type == "oci" or not whole:
            return connection
        secret = await self._client.get(SECRETS, name, namespace)
        return read_connection(secret, namespace=namespace, name=name)

    async def _by_pods(self, key: Ref, users: Mapping[Ref, StorageFacts]) -> tuple[str, KubeError | None]:
        """Return the bucket that the newest predictor has fetched its model from, and why no pod can be asked for it.

        The deployments that changed last are asked; what the others have told before is kept.
        """
        asked = [user for user, storage in users.items() if user.kind == "isvc" and needs_bucket(storage)]
        names = {user.ids[1] for user in asked}
        known = {name: bucket for name, bucket in self._buckets.pop(key, {}).items() if name in names}
        newest = "", next(iter(known.values()), "")
        for user in asked[: -_DEPLOYMENTS_ASKED - 1 : -1]:
            try:
                found = await self._client.list_some(
                    PODS,
                    user.ids[0],
                    convert=_bucket_with_age,
                    label_selector=f"serving.kserve.io/inferenceservice={user.ids[1]},component=predictor",
                    field_selector="status.phase=Running",
                    at_most=_PODS_OF_ONE,
                )
            except KubeError as error:
                if error.status == 403:
                    return "", error
                raise
            last = max(found, default=("", ""))
            if last[1]:
                known[user.ids[1]] = last[1]
                newest = max(newest, last)
        if known:
            self._buckets[key] = known
        return newest[1], None

    def _tell_forbidden(self, *refused: KubeError | None) -> None:
        """Log a missing right once, not for each connection; any one of several rights is enough."""
        remedy = "; or, for buckets alone: ".join(error.remedy for error in refused if error is not None)
        if remedy not in self._told:
            self._told.add(remedy)
            log.warning("connections_unreadable", remedy=remedy)


def _bucket_with_age(pod: Mapping[str, Any]) -> tuple[str, str]:
    """Return when a pod was created, and the bucket that its status names; nothing else of it is kept."""
    return values.line_at(pod, "metadata", "creationTimestamp"), fetched_bucket(pod)
