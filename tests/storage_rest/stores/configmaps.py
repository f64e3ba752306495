"""The ConfigMaps of a fake cluster, as the cache reads them."""

import base64

from tests.fakes.kubernetes import FakeCluster

TOKEN = "of-the-service-account"
NAMESPACE = "rhdh"
BASE = "bac-import-model"


def maps(cluster: FakeCluster, base: str = BASE) -> dict[str, dict[str, bytes]]:
    """The ConfigMaps of the cache: name to keys and bytes."""
    return {
        found["metadata"]["name"]: {
            key: base64.b64decode(text) for key, text in (found.get("binaryData") or {}).items()
        }
        for found in cluster.objects("ConfigMap", NAMESPACE)
        if found["metadata"]["name"].startswith(base)
    }
