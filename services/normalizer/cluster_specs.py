"""Which clusters to follow, and how to reach each: from CLUSTERS_FILE, the command line, or the environment."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from common.kube.credentials import Credentials, CredentialsError
from common.kube.environment import MOUNT, direct_credentials, find_credentials, kubeconfig_paths
from common.trust import read_authority
from services.normalizer.clusters_file import ClusterEntry, ClustersFile, Stamp, stamp
from services.normalizer.facts import LOCAL, SHARED
from services.normalizer.normalize.addresses import DEFAULT_PORTS
from services.normalizer.normalize.result import ClusterView, Defaults
from services.normalizer.registries import discovery_settings
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sources.kubeflow.discovery import DiscoverySettings
from services.normalizer.sources.refs import OF_ENVIRONMENT, OF_KFMR_TOKEN, SettingNames

_NOT_IN_IDS = re.compile(r"[^a-z0-9.-]+")
_SHARED = SettingNames(
    urls="sharedRegistries of CLUSTERS_FILE",
    authority="its caFile, under sharedRegistries in CLUSTERS_FILE",
    renewal="write a valid token into its tokenFile, named under sharedRegistries in CLUSTERS_FILE",
)


class Access(Protocol):
    """Access to an API server."""

    async def credentials(self) -> Credentials | None:
        """Return the credentials, None where no API server is needed because registries are given by URL.

        Raises:
            CredentialsError: they cannot be obtained now.
        """


@dataclass(frozen=True, slots=True)
class GivenAccess:
    """Access with credentials that were found already."""

    found: Credentials | None

    async def credentials(self) -> Credentials | None:
        """Return what was given."""
        return self.found


@dataclass(frozen=True, slots=True)
class EnvironmentAccess:
    """Access to the cluster that the process finds in its environment; `mount` is where a pod's service account is."""

    environ: Mapping[str, str]
    mount: Path = MOUNT

    async def credentials(self) -> Credentials | None:
        """Return what is found now."""
        return await find_credentials(self.environ, mount=self.mount)


@dataclass(frozen=True, slots=True)
class KubeconfigAccess:
    """Access by a context in kubeconfig files, by default the current one."""

    files: tuple[Path, ...]
    context: str | None

    async def credentials(self) -> Credentials | None:
        """Return the credentials in the files."""
        # Imported here because of what it costs, see the docstring of common.kube.
        from common.kube.kubeconfig import load_kubeconfig

        return await load_kubeconfig(self.files, namespace=None, context=self.context)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAccess:
    """Access by the address, token and certificate authority of an API server."""

    name: str
    url: str
    token_file: Path
    ca_file: Path | None = None
    ca_data: str | None = None

    async def credentials(self) -> Credentials | None:
        """Return what was given; the files are read again."""
        authority = read_authority("caFile", self.ca_file) if self.ca_file else None
        if self.ca_data:
            authority = "caData", self.ca_data
        return direct_credentials(server=self.url, token_file=self.token_file, authority=authority, name=self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSpec:
    """One cluster to follow; a running one is restarted when its spec changes.

    `name` is what people call it, empty for the only one. `id` is what its entries are stored under, empty where the
    address of its API server decides. `inside`: the connector runs in it. `searched`: registries are looked for in the
    cluster, in addition to those in `registries`. `tokens` are files with tokens by the URL of a registry; an empty
    URL means all others. `stamps` are the digests of files that access to the cluster depends on.
    """

    name: str = ""
    id: str = ""
    access: Access
    inside: bool = False
    view: ClusterView
    namespaces: tuple[str, ...]
    registries: DiscoverySettings
    searched: bool = True
    tokens: Mapping[str, Path] = field(default_factory=dict)
    authorities: tuple[Path, ...] = ()
    stamps: tuple[Stamp, ...] = ()


def id_of_server(url: str) -> str:
    """Return what the entries of a cluster are stored under: the address of its API server, without invalid characters.

    Its name and its certificates are not used, because they may change while the cluster stays the same.
    """
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    return _NOT_IN_IDS.sub("_", f"{(parts.hostname or '').lower()}:{port}{parts.path.rstrip('/')}".lower()).strip("_")


def own_cluster_spec(settings: NormalizerSettings, credentials: Credentials | None) -> ClusterSpec:
    """Return the cluster that is followed by default, and the registries that the environment names."""
    return ClusterSpec(
        id=LOCAL,
        access=GivenAccess(credentials),
        inside=True,
        view=ClusterView(defaults=settings.defaults),
        namespaces=settings.watch_namespaces,
        registries=discovery_settings(settings),
        searched=credentials is not None,
    )


def specs_of_contexts(
    settings: NormalizerSettings, contexts: Sequence[str], environ: Mapping[str, str]
) -> list[ClusterSpec]:
    """Return the clusters of contexts in the kubeconfig, which share the registries that the environment names.

    Raises:
        CredentialsError: there is no kubeconfig, or it has no such context.
    """
    # Imported here because of what it costs, see the docstring of common.kube.
    from common.kube.kubeconfig import contexts_of

    files = tuple(kubeconfig_paths(environ))
    if not files:
        raise CredentialsError("there is no kubeconfig to find contexts in: neither KUBECONFIG nor ~/.kube/config")
    known = contexts_of(files)
    if unknown := [context for context in contexts if context not in known]:
        raise CredentialsError(f"no context {', '.join(unknown)} in {', '.join(map(str, files))}: {', '.join(known)}")
    clusters: dict[str, ClusterSpec] = {}
    for context in dict.fromkeys(contexts):
        name = _name_of(context)
        if name in clusters:
            name = f"{name[:37]}-{len(clusters) + 1}"
        clusters[name] = ClusterSpec(
            name=name,
            access=KubeconfigAccess(files, context),
            view=ClusterView(name, _defaults(settings, ClusterEntry(name=name), inside=False)),
            namespaces=settings.watch_namespaces,
            registries=replace(
                _searching(settings, settings.model_registry_namespaces),
                names=SettingNames(renewal=f"log in again: they get the token of context {context}"),
            ),
        )
    if not _names_registries(settings):
        return list(clusters.values())
    named = replace(discovery_settings(settings), routes=(), cluster=SHARED)
    return [*clusters.values(), replace(_shared_spec(settings), registries=named, inside=True)]


def specs_of_file(settings: NormalizerSettings, file: ClustersFile, environ: Mapping[str, str]) -> list[ClusterSpec]:
    """Return the clusters of CLUSTERS_FILE, and the registries that the environment names in addition."""
    specs = [_spec_of_entry(settings, entry, environ) for entry in file.clusters]
    if _names_registries(settings) and not any(entry.is_own for entry in file.clusters):
        specs.append(own_cluster_spec(settings, None))
    if file.shared_registries:
        shared = _shared_spec(settings)
        urls = [f"{each.name}={each.url}" if each.name else each.url for each in file.shared_registries]
        specs.append(
            replace(
                shared,
                registries=replace(shared.registries, registry_urls=tuple(urls), names=_SHARED),
                tokens={each.url: each.token_file for each in file.shared_registries if each.token_file},
                authorities=tuple(each.ca_file for each in file.shared_registries if each.ca_file),
                stamps=tuple(stamp(each.ca_file) for each in file.shared_registries if each.ca_file),
            )
        )
    return specs


def _names_registries(settings: NormalizerSettings) -> bool:
    """Return whether the environment names registries or catalogs, which are read without any cluster."""
    return bool(settings.model_registry_urls or settings.mlflow_urls or settings.model_catalog_url)


def _shared_spec(settings: NormalizerSettings) -> ClusterSpec:
    return ClusterSpec(
        name="",
        id=SHARED,
        access=GivenAccess(None),
        view=ClusterView(defaults=settings.defaults),
        namespaces=(),
        registries=DiscoverySettings(cluster=SHARED, insecure=settings.model_registry_insecure),
        searched=False,
    )


def _spec_of_entry(settings: NormalizerSettings, entry: ClusterEntry, environ: Mapping[str, str]) -> ClusterSpec:
    access, files = _access(entry, environ)
    return ClusterSpec(
        name=entry.name,
        id=entry.id or (LOCAL if entry.is_own else ""),
        access=access,
        inside=entry.is_own,
        view=ClusterView(entry.name, _defaults(settings, entry, inside=entry.is_own)),
        namespaces=entry.namespaces or (settings.watch_namespaces if entry.is_own else ()),
        registries=_registries(settings, entry),
        searched=entry.registries == "discovered",
        tokens={"": entry.registry_token_file} if entry.registry_token_file else {},
        stamps=tuple(map(stamp, files)),
    )


def _access(entry: ClusterEntry, environ: Mapping[str, str]) -> tuple[Access, Sequence[Path]]:
    """Return the access to a cluster, and the files that it depends on."""
    if entry.kubeconfig is not None:
        return KubeconfigAccess((entry.kubeconfig,), entry.context), [entry.kubeconfig]
    if entry.url is None or entry.token_file is None:
        return EnvironmentAccess(environ), []
    access = TokenAccess(
        name=entry.name, url=entry.url, token_file=entry.token_file, ca_file=entry.ca_file, ca_data=entry.ca_data
    )
    return access, [entry.ca_file] if entry.ca_file else []


def _registries(settings: NormalizerSettings, entry: ClusterEntry) -> DiscoverySettings:
    trusted = entry.registry_namespaces or settings.model_registry_namespaces
    names = _names(settings, entry)
    if entry.registries == "discovered" and entry.is_own:
        found = discovery_settings(settings)
        return replace(found, trusted_namespaces=(*trusted, *filter(None, [settings.namespace])), names=names)
    found = replace(_searching(settings, trusted), names=names)
    return found if isinstance(entry.registries, str) else replace(found, registry_urls=entry.registries)


def _names(settings: NormalizerSettings, entry: ClusterEntry) -> SettingNames:
    """Return what remedies call the settings of registries of a cluster in the file."""
    of_cluster = f"of cluster {entry.name} in CLUSTERS_FILE"
    if entry.registry_token_file is not None:
        renewal = f"write a valid token into {entry.registry_token_file} (registryTokenFile {of_cluster})"
    elif entry.token_file is not None:
        renewal = f"write a valid token into {entry.token_file}, or name another in registryTokenFile {of_cluster}"
    elif entry.kubeconfig is not None:
        renewal = f"log in again in {entry.kubeconfig}, or name a file with a token in registryTokenFile {of_cluster}"
    else:
        renewal = (OF_KFMR_TOKEN if settings.model_registry_token else OF_ENVIRONMENT).renewal
    named = entry.registries == "discovered" and entry.is_own
    return SettingNames(
        urls=OF_ENVIRONMENT.urls if named else f"registries {of_cluster}",
        namespaces=f"registryNamespaces {of_cluster}",
        renewal=renewal,
    )


def _searching(settings: NormalizerSettings, trusted: tuple[str, ...]) -> DiscoverySettings:
    return DiscoverySettings(insecure=settings.model_registry_insecure, trusted_namespaces=trusted, inside=False)


def _defaults(settings: NormalizerSettings, entry: ClusterEntry, *, inside: bool) -> Defaults:
    general = settings.defaults
    return replace(
        general,
        owner=entry.default_owner or general.owner,
        lifecycle=entry.default_lifecycle or general.lifecycle,
        system=entry.system or "",
        # The dashboard of another cluster does not know what is in this one.
        dashboard_url=entry.dashboard_url or (general.dashboard_url if inside else ""),
    )


def _name_of(context: str) -> str:
    """Return a cluster name for a context; contexts that `oc` writes are `namespace/server/user`."""
    parts = context.split("/")
    name = re.sub(r"[^a-z0-9]+", "-", (parts[1] if len(parts) == 3 else context).lower()).strip("-")
    return name[:40].strip("-") or "cluster"
