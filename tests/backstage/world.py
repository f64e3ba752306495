"""Everything around and behind the feed: a cluster, two registries, a model catalog, and the three services."""

import contextlib
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.backstage.sidecars import NAMESPACE, TOKEN, Sidecars
from tests.fakes.kubernetes import FakeCluster, documented_rules
from tests.fakes.registry import FakeCatalog, FakeRegistry
from tests.objects import Object, service

SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:rhdh-rhoai-connector"


class World:
    """An async context manager: the fakes are up at once; `connect` starts the services on what they hold by then.

    The registries and the catalog are read over HTTPS by those who show the token of the connector's service account,
    which has the documented rights and no others. Their Services name their addresses outside, as those of the operator
    of OpenShift AI do; the host of a Route could not have a port.
    """

    def __init__(self, directory: Path, *, port: int | None = None) -> None:
        self.cluster = FakeCluster(tls=True)
        self.registry = FakeRegistry(tls=True, tokens=[TOKEN])
        self.second_registry = FakeRegistry(tls=True, tokens=[TOKEN])
        self.catalog = FakeCatalog(tls=True, tokens=[TOKEN])
        self._directory = directory
        self._port = port
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        servers = {"public": self.registry, "team": self.second_registry, "model-catalog": self.catalog}
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(self.cluster)
            self.cluster.grant(TOKEN, SERVICE_ACCOUNT, documented_rules(NAMESPACE))
            for name, server in servers.items():
                await stack.enter_async_context(server)
                self.cluster.apply(_service(name, urlsplit(server.url).netloc))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def connect(self, **environment: str) -> Sidecars:
        """Start the services, with `environment` on top of the pod's, and wait until the feed is complete."""
        authorities = self._directory / "registries.pem"
        authorities.write_text("".join(s.ca_pem for s in (self.registry, self.second_registry, self.catalog)))
        sidecars = Sidecars(
            cluster_url=self.cluster.url,
            cluster_ca=self.cluster.ca_pem,
            directory=self._directory,
            environment={
                "MODEL_REGISTRY_CA_FILE": str(authorities),
                "POLLING_INTERVAL": "1s",
                "MODEL_CARD_REFRESH": "2s",
                "NOT_READY_GRACE": "1s",
                "REMOVAL_HOLD": "0",  # what this tier removes leaves at once; holds are tested with the processes
                **environment,
                "STORAGE_TYPE": "File",
                "STATE_DIR": str(self._directory / "state"),
            },
            port=self._port,
        )
        await self._stack.enter_async_context(sidecars)
        await sidecars.ready()
        return sidecars


def _service(name: str, address: str) -> Object:
    """Return the Service of a registry or of the catalog, which others reach at `address`."""
    component = "model-catalog" if name == "model-catalog" else "model-registry"
    obj = service(name, ports={"https-api": 8443}, labels={"component": component})
    obj["metadata"]["annotations"] = {"routing.opendatahub.io/external-address-rest": address}
    return obj
