"""Manifests for the preview that are not in files: those of a live cluster, and those in a bundle of the doctor."""

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from common.http.client import RemoteError
from common.kube.environment import find_credentials
from common.kube.resources import INFERENCE_SERVICES, SERVICE_ACCOUNTS, SERVICES, Resource
from services.connector.doctor.asking import Api
from services.connector.doctor.collecting import MANIFESTS
from services.normalizer.sources.manifest_files import FileContents, read_bytes

CLUSTER = "cluster"
_KINDS: Mapping[Resource, str] = {
    INFERENCE_SERVICES: "InferenceService",
    SERVICES: "Service",
    SERVICE_ACCOUNTS: "ServiceAccount",
}
_TIMEOUT = 30.0
_LARGEST = 64 * 1024 * 1024


class BundleError(Exception):
    """A file that is no bundle of the doctor's; the text says why."""


async def read_cluster(environ: Mapping[str, str], namespaces: tuple[str, ...]) -> dict[Path, FileContents]:
    """Return what the cluster has that is shown, in these namespaces or in all; nothing is changed there.

    Services and ServiceAccounts that may not be read are left out, as they are by the normalizer.

    Raises:
        CredentialsError: there is no way to a cluster.
        RemoteError: its InferenceServices cannot be listed.
    """
    credentials = await find_credentials(environ)
    found: dict[Path, FileContents] = {}
    async with Api(credentials, timeout=_TIMEOUT) as api:
        for resource, kind in _KINDS.items():
            for namespace in namespaces or (None,):
                answer = await api.objects(resource, namespace)
                if isinstance(answer, RemoteError):
                    if resource is INFERENCE_SERVICES:
                        raise answer
                    continue
                for obj in answer:
                    path = f"{CLUSTER}/{kind}/{obj['metadata'].get('namespace')}/{obj['metadata'].get('name')}"
                    found[Path(path)] = _contents(resource, kind, obj, path)
    return found


def _contents(resource: Resource, kind: str, obj: dict[str, Any], path: str) -> FileContents:
    version = f"{resource.group}/{resource.version}".lstrip("/")
    return read_bytes(json.dumps({"apiVersion": version, "kind": kind, **obj}).encode(), path)


def read_bundle(file: Path) -> dict[Path, FileContents]:
    """Return the manifests in a bundle.

    Raises:
        BundleError: it cannot be read as one.
    """
    found: dict[Path, FileContents] = {}
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                if not member.isfile() or MANIFESTS not in parts[:-1] or member.size > _LARGEST:
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    found[Path(member.name)] = read_bytes(content.read(), member.name)
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BundleError(f"{file} cannot be read as a bundle of connector doctor: {error}") from error
    if not found:
        raise BundleError(f"{file} has no folder {MANIFESTS}: it is not a bundle of connector doctor")
    return found
