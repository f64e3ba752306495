"""The way from the environment to a store in ConfigMaps."""

import os
from contextlib import AsyncExitStack

from common.health import Health
from common.kube.client import KubeClient
from common.kube.credentials import CredentialsError
from common.kube.environment import find_credentials
from common.kube.metrics import KubeMetrics
from services.storage_rest.settings import StorageSettings
from services.storage_rest.stores.configmap import ConfigMapStore
from services.storage_rest.telemetry import Telemetry


async def open_store(
    settings: StorageSettings, stack: AsyncExitStack, *, kube_metrics: KubeMetrics, health: Health, telemetry: Telemetry
) -> ConfigMapStore:
    """Return a store on the cluster that the environment leads to; `stack` closes its client.

    Raises:
        CredentialsError: there is no way to a cluster, or no namespace is named.
    """
    credentials = await find_credentials(os.environ)
    namespace = settings.namespace or credentials.namespace
    if not namespace:
        raise CredentialsError("the namespace of the cache is not known: set POD_NAMESPACE")
    client = await stack.enter_async_context(KubeClient(credentials=credentials, metrics=kube_metrics))
    return ConfigMapStore(
        client=client,
        namespace=namespace,
        kube_metrics=kube_metrics,
        telemetry=telemetry,
        health=health,
        budget=settings.shard_budget,
        yaml=settings.writes_yaml,
    )
