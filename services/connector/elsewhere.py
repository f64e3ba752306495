"""Reads for the preview what is not in files: a cluster, a bundle of the doctor, model registries."""

import json
import tarfile
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from common import __version__
from common.http.errors import RemoteError
from common.kube.environment import find_credentials
from common.kube.resources import (
    CLUSTER_SERVING_RUNTIMES,
    INFERENCE_SERVICES,
    LLM_INFERENCE_SERVICES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    SERVING_RUNTIMES,
    Resource,
)
from common.metrics import Metrics
from services.connector.doctor.asking import ApiServerClient
from services.connector.doctor.collecting import CLUSTERS, MANIFESTS_FOLDER
from services.normalizer.connectors import own_connector
from services.normalizer.facts import LOCAL, SHARED, Ref
from services.normalizer.normalize.connection import is_allowed
from services.normalizer.normalize.storage import secret_name
from services.normalizer.settings import NormalizerSettings
from services.normalizer.source import Fact
from services.normalizer.sources.http import Connector
from services.normalizer.sources.kubeflow.discovery import DiscoverySettings, discover
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.manifest_contents import read_manifests
from services.normalizer.sources.manifest_files import FileContents, read_bytes
from services.normalizer.sources.refs import SettingNames, SourceRef

CLUSTER = "cluster"
_OF_OPTION = SettingNames(urls="--registry", renewal="set the environment variable token to a valid token")
_OF_CLUSTER = "ClusterServingRuntime"
_TIMEOUT = 30.0
_LARGEST = 64 * 1024 * 1024


class BundleError(Exception):
    """A file is not a bundle of the doctor; the text says why."""


async def read_cluster(environ: Mapping[str, str], settings: NormalizerSettings) -> dict[Path, FileContents]:
    """Return the deployments in a cluster, in the watched namespaces or in all; nothing is changed there.

    Objects that may not be read, or are not read according to the settings, are left out, as in the normalizer.

    Raises:
        CredentialsError: there are no credentials for a cluster.
        RemoteError: its InferenceServices cannot be listed.
    """
    async with ApiServerClient(await find_credentials(environ), timeout=_TIMEOUT) as api:
        places = settings.watch_namespaces or (None,)
        found, refused = await _listed(api, INFERENCE_SERVICES, "InferenceService", places)
        if refused is not None:
            raise refused
        for kind, resources in _companions(settings).items():
            for resource in resources:
                further, refused = await _listed(api, resource, kind, (None,) if kind == _OF_CLUSTER else places)
                found |= further
                if refused is None:
                    break
        if settings.reads_secrets:
            found |= await _connections(api, found, settings.connections_allowed)
    return found


def _companions(settings: NormalizerSettings) -> dict[str, tuple[Resource, ...]]:
    """Return the kinds that are read in addition to InferenceServices, with the versions that a cluster may have."""
    kinds: dict[str, tuple[Resource, ...]] = {
        "LLMInferenceService": LLM_INFERENCE_SERVICES,
        "Service": (SERVICES,),
        "ServiceAccount": (SERVICE_ACCOUNTS,),
    }
    if settings.read_runtimes:
        kinds |= {"ServingRuntime": (SERVING_RUNTIMES,), _OF_CLUSTER: (CLUSTER_SERVING_RUNTIMES,)}
    return kinds


async def _listed(
    api: ApiServerClient, resource: Resource, kind: str, places: Sequence[str | None]
) -> tuple[dict[Path, FileContents], RemoteError | None]:
    """Return the objects in the namespaces that can be read, and an error if one cannot."""
    found: dict[Path, FileContents] = {}
    refused = None
    for namespace in places:
        answer = await api.objects(resource, namespace)
        if isinstance(answer, RemoteError):
            refused = answer
            continue
        for obj in answer:
            path = f"{CLUSTER}/{kind}/{obj['metadata'].get('namespace')}/{obj['metadata'].get('name')}"
            found[Path(path)] = _contents(resource, kind, obj, path)
    return found, refused


async def _connections(
    api: ApiServerClient, files: Mapping[Path, FileContents], allowed: Collection[str]
) -> dict[Path, FileContents]:
    """Return the Secrets that deployments name, each read by its name, if the settings allow it."""
    deployments = (each.facts for each in read_manifests(files).deployments.values())
    named = {(each.namespace, secret_name(each.storage)) for each in deployments}
    found: dict[Path, FileContents] = {}
    for namespace, name in sorted(named):
        if name and is_allowed(namespace, name, allowed):
            answer = await api.object(SECRETS, namespace, name)
            if not isinstance(answer, RemoteError):
                path = f"{CLUSTER}/Secret/{namespace}/{name}"
                found[Path(path)] = _contents(SECRETS, "Secret", answer, path)
    return found


def _contents(resource: Resource, kind: str, obj: Mapping[str, Any], path: str) -> FileContents:
    version = f"{resource.group}/{resource.version}".lstrip("/")
    return read_bytes(json.dumps({"apiVersion": version, "kind": kind, **obj}).encode(), path)


async def read_registries(
    urls: Sequence[str], settings: NormalizerSettings, *, shared: bool = False
) -> list[Mapping[Ref, Fact]]:
    """Return the content of the model registries at these URLs; `shared`: they describe models of several clusters.

    Raises:
        RemoteError: one of them cannot be read completely.
        TrustError: a certificate authority for registries is invalid.
    """
    connector = own_connector(settings, token=settings.shared_token, metrics=Metrics("preview", __version__))
    cluster = SHARED if shared else LOCAL
    wanted = DiscoverySettings(
        registry_urls=tuple(urls), insecure=settings.model_registry_insecure, cluster=cluster, names=_OF_OPTION
    )
    return [await _read_registry(connector, ref) for ref in discover((), (), wanted).refs]


async def _read_registry(connector: Connector, ref: SourceRef) -> Mapping[Ref, Fact]:
    async with connector.open(ref) as remote:
        look = await RegistryPoller(remote).poll()
    if not look.complete:
        raise RemoteError(f"{ref.label} cannot be read completely: {look.fault or 'see the problems'}")
    return look.facts(ref.registry)


def read_bundle(file: Path) -> dict[str, dict[Path, FileContents]]:
    """Return the manifests in a bundle by the names of their clusters; the only cluster has an empty name.

    Raises:
        BundleError: the file is not a bundle.
    """
    found: dict[str, dict[Path, FileContents]] = {}
    try:
        with tarfile.open(file) as archive:
            for member in archive:
                parts = PurePosixPath(member.name).parts
                if not member.isfile() or MANIFESTS_FOLDER not in parts[:-1] or member.size > _LARGEST:
                    continue
                content = archive.extractfile(member)
                if content is not None:
                    of_one = found.setdefault(_cluster_of(parts), {})
                    of_one[Path(member.name)] = read_bytes(content.read(), member.name)
    except tarfile.ReadError as error:  # its text names every format that was tried
        raise BundleError(f"{file} cannot be read as a bundle of connector doctor: it is no tar archive") from error
    except (OSError, tarfile.TarError, EOFError) as error:
        raise BundleError(f"{file} cannot be read as a bundle of connector doctor: {error}") from error
    if not found:
        raise BundleError(f"{file} has no folder {MANIFESTS_FOLDER}: it is not a bundle of connector doctor")
    return found


def _cluster_of(parts: Sequence[str]) -> str:
    """Return the name of the cluster whose manifest has this path in a bundle; empty if there is only one."""
    before = parts[: parts.index(MANIFESTS_FOLDER)]
    return before[-1] if before[-2:-1] == (CLUSTERS,) else ""
