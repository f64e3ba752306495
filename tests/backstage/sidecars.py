"""The connector's three services as processes with the environment that the pod of the documented set-up gives them."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
LOCATION, STORAGE, NORMALIZER = "location", "storage-rest", "rhoai-normalizer"
NAMESPACE = "rhdh"
TOKEN = "service-account-token"

_MODULES = {LOCATION: "services.location", STORAGE: "services.storage_rest", NORMALIZER: "services.normalizer"}
_STOP_SECONDS = 15


class Sidecars:
    """The three processes, an async context manager that starts them all; each can be killed and started again.

    `cluster_url` and `cluster_ca` say where the API server is; `environment` goes on top of what the pod sets. `port`
    is that of location (in a pod 9090).
    """

    def __init__(
        self,
        *,
        cluster_url: str,
        cluster_ca: str,
        directory: Path,
        environment: Mapping[str, str],
        port: int | None = None,
    ) -> None:
        self._directory = directory
        server = urlsplit(cluster_url)
        self._ports = {LOCATION: port or _free_port(), STORAGE: _free_port(), NORMALIZER: _free_port()}
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "KUBERNETES_SERVICE_HOST": server.hostname or "",
            "KUBERNETES_SERVICE_PORT": str(server.port),
            "token": TOKEN,
            "ca.crt": cluster_ca,
            "namespace": NAMESPACE,
            "NORMALIZER_FORMAT": "JsonArrayFormat",
            "POD_IP": "127.0.0.1",
            "POD_NAMESPACE": NAMESPACE,
            "STORAGE_TYPE": "ConfigMap",
            "BRIDGE_URL": self.url(LOCATION),
            "STORAGE_URL": self.url(STORAGE),
            **environment,
        }
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        try:
            await asyncio.gather(*(self.start(service) for service in _MODULES))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        await asyncio.gather(*(self.stop(service) for service in tuple(self._processes)))

    @property
    def feed(self) -> str:
        """The base URL that Backstage reads: by the host name that is not the Gitea integration's."""
        return f"http://localhost:{self._ports[LOCATION]}"

    def url(self, service: str) -> str:
        """Return where a service listens."""
        return f"http://127.0.0.1:{self._ports[service]}"

    async def start(self, service: str, **environment: str) -> None:
        """Start a service and wait until it answers; what it logs is appended to a file."""
        option = "--metrics-address" if service == NORMALIZER else "--address"
        with self._log(service).open("ab") as log:
            self._processes[service] = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", _MODULES[service], option, f"127.0.0.1:{self._ports[service]}"),
                cwd=ROOT,
                env={**self._environment, **environment},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        await eventually(lambda: self._answers(service), timeout=30, interval=0.1, what=f"{service} answers")

    async def kill(self, service: str) -> None:
        """End a service as the kernel ends one that is out of memory."""
        await self._end(service, signal.SIGKILL)

    async def stop(self, service: str) -> None:
        """End a service as the kubelet does."""
        await self._end(service, signal.SIGTERM)

    async def restart(self, service: str) -> None:
        """Kill a service and start it again."""
        await self.kill(service)
        await self.start(service)

    async def ready(self, *services: str) -> None:
        """Wait until these services, or all, are ready: the sources are read, and location serves them."""
        for service in services or _MODULES:
            await eventually(partial(self._is_ready, service), timeout=60, interval=0.1, what=f"{service} is ready")

    async def documents(self) -> dict[str, dict[str, Any]]:
        """Return what location serves to the second generation, by key."""
        base = f"{self.feed}/api/kserve-kubeflow-connector"
        keys = (await self._json(f"{base}/list"))["uris"]
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return {key: await self._json(f"{base}/models/{key}", headers=headers) for key in keys}

    async def first_documents(self) -> dict[str, dict[str, Any]]:
        """Return what location serves to the first generation, by URI."""
        uris = (await self._json(f"{self.feed}/list"))["uris"]
        return {uri: await self._json(f"{self.feed}{uri}") for uri in uris}

    def logs(self, lines: int = 40) -> str:
        """Return the ends of what the services logged."""
        ends = ((service, self._log(service)) for service in _MODULES)
        return "\n".join(
            f"--- {service}\n" + "\n".join(log.read_text().splitlines()[-lines:])
            for service, log in ends
            if log.exists()
        )

    def _log(self, service: str) -> Path:
        return self._directory / f"{service}.log"

    async def _end(self, service: str, how: signal.Signals) -> None:
        process = self._processes.pop(service)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(how)
        try:
            await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise AssertionError(f"{service} did not end within {_STOP_SECONDS} s\n{self.logs()}") from None

    async def _answers(self, service: str) -> bool:
        if self._processes[service].returncode is not None:
            raise RuntimeError(f"{service} ended with {self._processes[service].returncode}\n{self.logs()}")
        async with self._session.get(f"{self.url(service)}/healthz") as answer:
            return answer.status == 200

    async def _is_ready(self, service: str) -> bool:
        async with self._session.get(f"{self.url(service)}/readyz") as answer:
            assert answer.status == 200, f"{await answer.text()}\n{self.logs()}"
            return True

    async def _json(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        async with self._session.get(url, headers=headers, raise_for_status=True) as answer:
            return await answer.json()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
