"""The documented pod, as three processes side by side on one address of this machine.

Every process gets exactly the environment and arguments of its documented container; only what differs is where
it listens and where the others are, because several pods run on one machine at the same time.
"""

import asyncio
import base64
import contextlib
import json
import secrets
import sys
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp

from tests.deploy.documented import containers, environment
from tests.fakes.kubernetes import ProcessCluster
from tests.process.service import BIN, Service, parse_line
from tests.waiting import PATIENCE, eventually

NAMESPACE = "ai-rhdh"
LOCATION, STORAGE, NORMALIZER = "location", "storage-rest", "rhoai-normalizer"
NAMES = (STORAGE, LOCATION, NORMALIZER)
DOCUMENTED_PORTS = {LOCATION: 9090, STORAGE: 7070, NORMALIZER: 8081}
PORTS = {LOCATION: 19090, STORAGE: 17070, NORMALIZER: 18081}
"""Others than the documented ones: a process that listens on all addresses would keep them from everybody."""
READY = PATIENCE
"""Seconds until a service is ready, on a busy machine."""


@dataclass(frozen=True)
class Answer:
    """An answer of one of the services."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON."""
        return json.loads(self.body)


def own_address() -> str:
    """Return a loopback address that no one else uses (Linux takes all of 127.0.0.0/8 for this machine)."""
    return ".".join(["127", *(str(2 + secrets.randbelow(250)) for _ in range(3))])


def isvc_uri(name: str, namespace: str = "models") -> str:
    """Return the path under which an InferenceService is served."""
    return f"/{namespace}/{name}/model-catalog.json"


def _contents(configmaps: list[dict[str, Any]]) -> Iterator[bytes]:
    """Yield what the values of ConfigMaps contain."""
    for stored in (value for each in configmaps for value in each.get("binaryData", {}).values()):
        yield from _unwrapped(base64.b64decode(stored))


def _unwrapped(stored: bytes) -> Iterator[bytes]:
    """Yield what is stored under a key of the cache, decompressed, and what stands in its fields in base64."""
    yield stored
    with contextlib.suppress(zlib.error):  # a card
        yield zlib.decompress(stored)
    with contextlib.suppress(ValueError):
        fields = json.loads(stored)
        for text in fields.values() if isinstance(fields, dict) else ():
            with contextlib.suppress(ValueError):
                yield base64.b64decode(text if isinstance(text, str) else "", validate=True)


IMPATIENT = (sys.executable, str(Path(__file__).with_name("impatient.py")))
"""Runs what is installed here, without the floor of POLLING_INTERVAL."""


def kubelet(cluster: str, home: Path) -> dict[str, str]:
    """Return the variables that any container gets that runs in the cluster at this URL."""
    server = urlsplit(cluster)
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(home),
        "KUBERNETES_SERVICE_HOST": server.hostname or "",
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }


def containers_at(
    address: str,
    kubelet: Mapping[str, str],
    *,
    secret: Mapping[str, str],
    documented_addresses: bool = False,
    overrides: Mapping[str, str],
) -> dict[str, dict[str, Any]]:
    """Return `url`, `arguments` and `environment` of each container of a pod at an address, by name."""
    ports = DOCUMENTED_PORTS if documented_addresses else PORTS
    urls = {name: f"http://{address}:{port}" for name, port in ports.items()}
    moved = {"BRIDGE_URL": urls[LOCATION], "STORAGE_URL": urls[STORAGE], "NORMALIZER_URL": urls[NORMALIZER]}
    given: dict[str, dict[str, Any]] = {}
    for name in NAMES:
        documented = environment(name, secret=secret, pod_ip=address, namespace=NAMESPACE)
        option = "--metrics-address" if name == NORMALIZER else "--address"
        given[name] = {
            "url": urls[name],
            "arguments": containers()[name].args if documented_addresses else [f"{option}={address}:{ports[name]}"],
            "environment": {**kubelet, **documented, **({} if documented_addresses else moved), **overrides},
        }
    return given


class Pod:
    """Used with `async with`; whatever still runs at the end is stopped, and everything written is looked through.

    `overrides` are further variables, for all containers.
    """

    def __init__(
        self,
        *,
        cluster: ProcessCluster,
        token: str,
        directory: Path,
        overrides: Mapping[str, str] | None = None,
        documented_addresses: bool = False,
        wrapper: Sequence[str] = (),
        programs: Path = BIN,
    ) -> None:
        self.token = token
        self.address = "127.0.0.1" if documented_addresses else own_address()
        self._cluster = cluster
        self._secrets = {token}
        self._tolerated: list[str] = []
        self.services = {
            name: Service(
                name,
                **given,
                directory=directory,
                wrapper=(*wrapper, *(IMPATIENT if name == NORMALIZER and programs == BIN else ())),
                programs=programs,
            )
            for name, given in containers_at(
                self.address,
                kubelet(cluster.url, directory),
                secret={"token": token, "ca.crt": cluster.ca_pem, "namespace": NAMESPACE},
                documented_addresses=documented_addresses,
                overrides=overrides or {},
            ).items()
        }

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=60), connector=aiohttp.TCPConnector(limit=32)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._end()
        finally:
            await self._session.close()
            for service in self.services.values():
                await service.kill()
        if error is None:
            self._look_through_logs()

    # --- the processes

    def __getitem__(self, name: str) -> Service:
        return self.services[name]

    def set(self, name: str, **variables: str) -> None:
        """Give one container other variables, from its next start on."""
        self[name].environment.update(variables)

    async def start(self, *names: str, ready: bool = True) -> None:
        """Start these services at once, or all of them, and wait until they are ready."""
        await asyncio.gather(*(self[name].start() for name in names or NAMES))
        if ready:
            await self.ready(*names)

    async def ready(self, *names: str, timeout: float = READY) -> None:
        """Wait until these services, or all, say that they are ready."""
        for name in names or NAMES:
            await eventually(partial(self._is_ready, name), timeout=timeout, what=f"{name} ready", interval=0.05)

    async def alive(self, *names: str) -> None:
        """Wait until these services answer, ready or not."""
        for name in names:
            await eventually(partial(self._is_alive, name), what=f"{name} alive")

    async def restart(self, *names: str) -> None:
        """Stop and start each of these services, one after the other, and wait until all are ready."""
        await self.restart_unready(*names)
        await self.ready()

    async def restart_unready(self, *names: str) -> None:
        """Stop and start each of these services, one after the other, and wait until they answer."""
        for name in names:
            await self[name].stop()
            await self[name].start()
        await self.alive(*names)

    async def kill(self, *names: str) -> None:
        """Kill these services, or all."""
        for name in names or NAMES:
            await self[name].kill()

    async def _is_alive(self, name: str) -> bool:
        code = self[name].code
        if code is not None:
            raise RuntimeError(f"{name} ended with code {code}:\n{self[name].text[-3000:]}")
        return (await self.get(name, "/healthz")).status == 200

    async def _is_ready(self, name: str) -> bool:
        await self._is_alive(name)
        answer = await self.get(name, "/readyz")
        assert answer.status == 200, answer.body.decode()
        return True

    # --- what they answer

    async def get(self, name: str, path: str, **options: Any) -> Answer:
        """Ask a service, from this machine and without a token.

        Raises:
            OSError: it does not answer.
        """
        return await self.ask("GET", name, path, **options)

    async def ask(self, method: str, name: str, path: str, **options: Any) -> Answer:
        """Send a service any request; options are those of aiohttp."""
        try:
            async with self._session.request(method, self[name].url + path, **options) as response:
                answer = Answer(response.status, dict(response.headers), await response.read())
        except aiohttp.ClientError as error:
            raise OSError(f"{name} does not answer: {error}") from error
        self._assert_no_secret(f"{method} {path} of {name}", answer.body + repr(answer.headers).encode())
        return answer

    async def write(self, method: str, name: str, path: str, **options: Any) -> Answer:
        """Send a request with the token that the sidecars share."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return await self.ask(method, name, path, headers=headers, **options)

    async def uris(self) -> list[str]:
        """Return what /list names."""
        answer = await self.get(LOCATION, "/list")
        assert answer.status == 200, answer.body.decode()
        uris: list[str] = answer.json()["uris"]
        return uris

    async def document(self, uri: str) -> dict[str, Any]:
        """Return a document."""
        answer = await self.get(LOCATION, uri)
        assert answer.status == 200, f"{uri}: {answer.status} {answer.body.decode()}"
        assert answer.headers["Content-Type"].startswith("application/json")
        document: dict[str, Any] = answer.json()
        return document

    async def feed(self) -> dict[str, dict[str, Any]]:
        """Return everything that is served: the documents by URI."""
        uris = await self.uris()
        return dict(zip(uris, await asyncio.gather(*map(self.document, uris)), strict=True))

    async def serving(self, *uris: str, timeout: float = READY) -> None:
        """Wait until /list names exactly these URIs, and each is served."""

        async def exactly() -> bool:
            feed = await self.feed()
            assert sorted(feed) == sorted(uris), f"served are {sorted(feed)}"
            return True

        await eventually(exactly, timeout=timeout, what=f"{len(uris)} served")

    async def shows(self, uri: str, check: Any, *, timeout: float = READY) -> dict[str, Any]:
        """Wait until the document satisfies `check`, and return it."""

        async def shown() -> dict[str, Any]:
            document = await self.document(uri)
            assert check(document), document
            return document

        return await eventually(shown, timeout=timeout, what=uri)

    async def metric(self, name: str, sample: str) -> float:
        """Return the value of a sample, named with its labels as it stands on /metrics; 0 when there is none."""
        text = (await self.get(name, "/metrics")).body.decode()
        found = [line for line in text.splitlines() if line.startswith(sample + " ")]
        return float(found[0].rpartition(" ")[2]) if found else 0.0

    async def failing(self, name: str) -> dict[str, str]:
        """Return the conditions that keep a service from being ready, with their reasons."""
        answer = await self.get(name, "/readyz")
        conditions = {c["name"]: c["reason"] for c in answer.json()["conditions"] if not c["ok"]}
        assert answer.status == (503 if conditions else 200)
        assert all(conditions.values()), f"conditions without a reason: {conditions}"
        return conditions

    async def configmaps(self) -> list[dict[str, Any]]:
        """Return the ConfigMaps of the pod's namespace, as they are in the API server."""
        found = await self._cluster.objects("ConfigMap", NAMESPACE)
        self._assert_no_secret("the ConfigMaps", json.dumps(found).encode())
        for content in _contents(found):
            self._assert_no_secret("the cache", content)
        return found

    async def has_stored(self, text: str) -> bool:
        """Return whether the cache in the API server has a text. Readers may be told of it before."""
        return any(text.encode() in content for content in _contents(await self.configmaps()))

    # --- what may and may not be in all that they write

    def keep_secret(self, *values: str) -> None:
        """Nothing that is written may contain these values."""
        self._secrets.update(values)

    def tolerate(self, *texts: str) -> None:
        """Lines of the logs that contain one of these texts may be errors."""
        self._tolerated += texts

    async def _end(self) -> None:
        running = [service for service in self.services.values() if service.wanted]
        for service in running:
            assert service.code is None, f"{service.name} ended by itself with code {service.code}: see {service.log}"
            for path in ("/metrics", "/readyz", "/healthz"):
                await self.get(service.name, path)
        await self.configmaps()
        await asyncio.gather(*(service.stop() for service in running))

    def _look_through_logs(self) -> None:
        for service in self.services.values():
            self._assert_no_secret(f"the log of {service.name}", service.text.encode())
            faults = list(self._faults(service.text.splitlines()))
            assert not faults, f"{service.name} complains:\n" + "\n".join(faults)
            assert not service.written_files(), f"{service.name} wrote into its working directory"

    def _faults(self, lines: Iterable[str]) -> Iterable[str]:
        for line in lines:
            fields = parse_line(line)
            bad = fields is None or fields.get("level") in ("error", "critical") or "exception" in fields
            if bad and not any(text in line for text in self._tolerated):
                yield line

    def _assert_no_secret(self, where: str, content: bytes) -> None:
        for secret in self._secrets:
            assert secret.encode() not in content, f"{where} contains a secret"
