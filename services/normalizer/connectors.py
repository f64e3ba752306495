"""How connections to registries and to servers outside clusters are opened: with which authorities and tokens."""

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from common.kube.credentials import Credentials
from common.kube.environment import pod_authorities
from common.metrics import Metrics
from common.secrets import FileToken, StaticToken, TokenSource
from common.trust import Authority, authorities_of, read_authority, trust_also
from services.normalizer.cluster_specs import ClusterSpec
from services.normalizer.facts import LOCAL
from services.normalizer.settings import NormalizerSettings
from services.normalizer.sources.http import Connector, SourceMetrics


def registry_trust(settings: NormalizerSettings, authorities: Iterable[Authority]) -> ssl.SSLContext:
    """Return the context that verifies registries: the system's authorities, these, and MODEL_REGISTRY_CA_FILE's.

    Raises:
        TrustError: one of these holds no certificate.
    """
    file = settings.model_registry_ca_file
    return trust_also([*authorities, *([read_authority("MODEL_REGISTRY_CA_FILE", Path(file))] if file else [])])


def own_connector(
    settings: NormalizerSettings,
    *,
    token: TokenSource | None,
    metrics: Metrics,
    environ: Mapping[str, str] = os.environ,
) -> Connector:
    """Return what opens connections to the own cluster's registries, with KFMR_TOKEN or the service account's `token`,
    and to servers outside clusters, with their own credentials.

    Raises:
        TrustError: an authority holds no certificate.
    """
    own = settings.model_registry_token
    return Connector(
        token=StaticToken(own.get_secret_value()) if own else token,
        ssl=registry_trust(settings, pod_authorities(environ)),
        metrics=metrics.shared(SourceMetrics),
        credentials=settings.server_credentials,
    )


def registry_connector(
    spec: ClusterSpec,
    id_: str,
    credentials: Credentials | None,
    *,
    settings: NormalizerSettings,
    metrics: Metrics,
    environ: Mapping[str, str] = os.environ,
) -> Connector:
    """Return what opens connections to the registries of a cluster: they get its own token, and no other cluster's.

    Raises:
        TrustError: a certificate authority for registries cannot be used.
    """
    token = credentials.token if credentials is not None else None
    if spec.inside:
        own = settings.shared_token if credentials is None and id_ == LOCAL else token
        connector = own_connector(settings, token=own, metrics=metrics, environ=environ)
    else:
        authorities = [read_authority("caFile", path) for path in spec.authorities]
        if credentials is not None:  # which may have signed the certificates of its Routes too
            authorities += authorities_of(credentials.ssl, f"the authority of {credentials.server}")
        connector = Connector(
            token=token, ssl=registry_trust(settings, authorities), metrics=metrics.shared(SourceMetrics)
        )
    return replace(
        connector,
        token=FileToken(spec.tokens[""]) if "" in spec.tokens else connector.token,
        tokens={url: FileToken(path) for url, path in spec.tokens.items() if url},
    )
