"""location as a process: as the pod starts it, and what it lets out."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.location.samples import push_body, served_document, upsert
from tests.location.storages import FakeStorage, serving
from tests.waiting import PATIENCE, eventually

pytestmark = pytest.mark.process
TOKEN = "eyJhbGciOiJSUzI1NiJ9.the-secret.of-the-pod"
BASE = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}


class Process:
    """A running location, what it wrote so far, and where it listens."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.written = ""
        self.url = ""

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.written += line.decode()
            if '"started"' in self.written and not self.url:
                self.url = "http://" + self.written.partition('"addresses": ["')[2].partition('"')[0]

    def wrote(self, text: str) -> bool:
        return text in self.written


@asynccontextmanager
async def started(arguments: list[str], environ: dict[str, str]) -> AsyncIterator[Process]:
    process = Process(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.location", *arguments, env=BASE | environ, stderr=asyncio.subprocess.PIPE
        )
    )
    reading = asyncio.create_task(process.read())
    try:
        await eventually(lambda: process.url or process.process.returncode is not None)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.process.kill()
        await process.process.wait()
        await reading


async def test_as_in_the_pod_it_serves_and_lets_the_token_out_nowhere() -> None:
    storage = FakeStorage()
    storage.entries = {"a_1": upsert("a_1", served_document())}
    async with serving(storage) as port:
        environ = {
            "token": f"{TOKEN}\r\n",
            "ca.crt": "-----BEGIN CERTIFICATE-----\r\n",
            "namespace": "rhdh",
            "POD_IP": "127.0.0.1",
            "POD_NAMESPACE": "rhdh",
            "NORMALIZER_FORMAT": "JsonArrayFormat",
            "STORAGE_URL": f"http://127.0.0.1:{port}",
            "LOG_LEVEL": "DEBUG",
        }
        async with started(["--address", "127.0.0.1:0"], environ) as location, aiohttp.ClientSession() as client:
            answers = []

            async def ready() -> bool:
                async with client.get(f"{location.url}/readyz") as answer:
                    return answer.status == 200

            await eventually(ready, what="ready")
            for method, path, headers in (
                ("GET", "/list", {}),
                ("GET", "/a/1/model-catalog.json", {"Authorization": f"Bearer {TOKEN}"}),
                ("POST", "/upsert?key=b_1", {"Authorization": f"Bearer {TOKEN}"}),
                ("POST", "/upsert?key=b", {"Authorization": f"Bearer {TOKEN}"}),
                ("POST", "/upsert?key=b_1", {"Authorization": f"Bearer {TOKEN}x"}),
                ("DELETE", "/remove?key=b_1", {}),
                ("GET", "/nothing", {"Authorization": f"Bearer {TOKEN}"}),
                ("GET", "/metrics", {}),
                ("GET", "/readyz", {}),
            ):
                body = push_body(served_document("b")) if method == "POST" else None
                async with client.request(method, location.url + path, headers=headers, json=body) as answer:
                    answers.append((answer.status, str(answer.headers) + await answer.text()))
            await broken_request(location.url, f"Authorization: Bearer {TOKEN}\x01")
            assert [status for status, _ in answers] == [200, 200, 201, 400, 403, 401, 404, 200, 200]
            assert storage.tokens == {f"Bearer {TOKEN}"}
            location.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(location.process.wait(), PATIENCE) == 0
        assert "malformed_request" in location.written
        for text in (location.written, *(text for _, text in answers)):
            assert "the-secret" not in text


async def broken_request(url: str, header: str) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /list HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode())
    assert b"400 Bad Request" in await reader.read()
    writer.close()


async def test_it_waits_for_storage_and_says_so() -> None:
    environ = {"STORAGE_URL": "http://127.0.0.1:1", "LOG_FORMAT": "json"}
    async with started(["--address", "127.0.0.1:0"], environ) as location, aiohttp.ClientSession() as client:

        async def told() -> bool:
            async with client.get(f"{location.url}/readyz") as answer:
                return answer.status == 503 and "storage-rest to answer at http://127.0.0.1:1" in await answer.text()

        await eventually(told)
        await eventually(lambda: "storage_unreadable" in location.written)


async def test_with_keys_of_backstage_configured_the_second_generation_asks_for_its_token() -> None:
    async with serving(FakeStorage()) as port:
        places = ["http://127.0.0.1:1/catalog/jwks.json", "http://127.0.0.1:1/techdocs/jwks.json"]
        environ = {"STORAGE_URL": f"http://127.0.0.1:{port}", "BACKSTAGE_JWKS_URL": ", ".join(places)}
        async with started(["--address", "127.0.0.1:0"], environ) as location, aiohttp.ClientSession() as client:
            key = ec.generate_private_key(ec.SECP256R1())
            token = jwt.encode({}, key, algorithm="ES256", headers={"kid": "k", "typ": "vnd.backstage.plugin"})
            url = f"{location.url}/api/kserve-kubeflow-connector/list"
            async with client.get(url) as answer:
                assert answer.status == 401
            async with client.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == 503  # it is not known yet whether it is one of Backstage's
            for place in places:
                await eventually(partial(location.wrote, f'"url": "{place}"'), what=place)
            assert location.written.count("backstage_keys_unreadable") == 2


@pytest.mark.parametrize(
    ("arguments", "environ", "expected"),
    [
        (["--address", "nowhere"], {}, "is not an address"),
        ([], {"BACKSTAGE_JWKS_URL": "https://backstage/jwks.json,backstage:7007"}, "BACKSTAGE_JWKS_URL"),
    ],
)
async def test_a_wrong_setting_is_named(arguments: list[str], environ: dict[str, str], expected: str) -> None:
    async with started(arguments, environ) as location:
        assert await asyncio.wait_for(location.process.wait(), PATIENCE) == 2
        await eventually(lambda: expected in location.written)
        assert "Traceback" not in location.written


async def test_an_address_in_use_is_named() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    async with server:
        address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with started(["--address", address], {}) as location:
            assert await asyncio.wait_for(location.process.wait(), PATIENCE) == 1
            await eventually(lambda: f"{address} is in use" in location.written)
            assert "Traceback" not in location.written


def loaded_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_it_loads_neither_the_kubernetes_client_nor_yaml_nor_cryptography() -> None:
    for module in ("services.location.app", "services.location.__main__"):
        loaded = loaded_by(module)
        assert module in loaded
        assert not loaded & {"kubernetes_asyncio", "yaml", "common.kube", "jwt", "cryptography", "jinja2"}
