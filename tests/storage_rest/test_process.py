"""storage-rest as a process: its command line, its settings, and its death."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from common.health import Health
from common.metrics import Metrics
from common.settings import SettingsError
from common.wire import Batch, encode_batch, parse_keys
from services.storage_rest.factory import storage_service
from services.storage_rest.settings import StorageSettings
from tests import processes
from tests.fakes.kubernetes import FakeCluster, documented_rules
from tests.storage_rest.running import TOKEN, upsert
from tests.storage_rest.stores.configmaps import maps
from tests.waiting import PATIENCE, eventually


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@asynccontextmanager
async def process(*arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`storage-rest` with nothing but this environment."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.storage_rest",
        *arguments,
        env=processes.environment(PYTHONPATH=str(Path(__file__).parents[2]), **environment),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@asynccontextmanager
async def serving(
    port: int, **environment: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, aiohttp.ClientSession]]:
    """The process, ready, and a session to speak to it."""
    async with process("--address", f"127.0.0.1:{port}", **environment) as child, aiohttp.ClientSession() as http:

        async def ready() -> bool:
            async with http.get(f"http://127.0.0.1:{port}/readyz") as answer:
                return answer.status == 200

        await eventually(ready, what="ready")
        yield child, http


def in_pod(cluster: FakeCluster) -> dict[str, str]:
    """The environment of the documented container, the Secret's keys among it."""
    return {
        "NORMALIZER_FORMAT": "JsonArrayFormat",
        "STORAGE_TYPE": "ConfigMap",
        "BRIDGE_URL": "http://localhost:1",
        "POD_IP": "127.0.0.1",
        "POD_NAMESPACE": "rhdh",
        "token": f"{TOKEN}\r\n",
        "namespace": "rhdh",
        "ca.crt": cluster.ca_pem,
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": str(cluster.port),
    }


@pytest.fixture
async def cluster() -> AsyncIterator[FakeCluster]:
    async with FakeCluster(tls=True) as cluster:
        cluster.grant(TOKEN, "rhdh-rhoai-connector", documented_rules("rhdh"))
        yield cluster


async def send(http: aiohttp.ClientSession, port: int, batch: Batch) -> int:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with http.post(f"http://127.0.0.1:{port}/batch", data=encode_batch(batch), headers=headers) as answer:
        return answer.status


@pytest.mark.process
async def test_what_is_acknowledged_survives_a_kill(cluster: FakeCluster) -> None:
    port = free_port()
    acknowledged: list[str] = []
    async with serving(port, SHARD_BUDGET="8192", **in_pod(cluster)) as (child, http):

        async def send_some(first: int) -> None:
            for n in range(first, 200, 4):
                if await send(http, port, Batch(upserts=(upsert(f"model_{n}"),))) == 200:
                    acknowledged.append(f"model_{n}")

        senders = [asyncio.create_task(send_some(first)) for first in range(4)]
        await eventually(lambda: len(acknowledged) > 40, what="under way")
        child.send_signal(signal.SIGKILL)
        await asyncio.gather(*senders, return_exceptions=True)
    assert len(acknowledged) < 200
    async with (
        serving(port, SHARD_BUDGET="8192", **in_pod(cluster)) as (_, http),
        http.get(f"http://127.0.0.1:{port}/list") as answer,
    ):
        assert set(parse_keys(await answer.read())) >= set(acknowledged)
    assert not cluster.denied


@pytest.mark.process
async def test_a_stop_finishes_what_is_under_way(cluster: FakeCluster) -> None:
    port = free_port()
    async with serving(port, **in_pod(cluster)) as (child, http):
        assert await send(http, port, Batch(upserts=(upsert("serving_first"),))) == 200
        written = cluster.counts.of("patch", "configmaps")
        cluster.set_latency(lambda verb, _: 0.5 if verb == "patch" else 0.0)
        sending = asyncio.create_task(send(http, port, Batch(upserts=(upsert(),))))
        await eventually(lambda: cluster.counts.of("patch", "configmaps") > written, what="being written")
        child.send_signal(signal.SIGTERM)
        assert await sending == 200
        assert await asyncio.wait_for(child.wait(), PATIENCE) == 0
    assert "serving_iris" in maps(cluster)["bac-import-model"]


@pytest.mark.process
async def test_a_cache_in_a_file(tmp_path: Path) -> None:
    port = free_port()
    environment = {"STORAGE_TYPE": "File", "STATE_DIR": str(tmp_path), "token": TOKEN}
    async with serving(port, **environment) as (child, http):
        assert await send(http, port, Batch(upserts=(upsert(),))) == 200
        child.send_signal(signal.SIGKILL)
        await child.wait()
    async with serving(port, **environment) as (_, http), http.get(f"http://127.0.0.1:{port}/list") as answer:
        assert parse_keys(await answer.read()) == ("serving_iris",)


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "environment", "words", "status"),
    [
        (
            [],
            {"STORAGE_TYPE": "Github"},
            "STORAGE_TYPE is 'Github': expected 'ConfigMap', 'File' or 'Memory'",
            2,
        ),
        (["--address", "nowhere"], {}, "is not an address", 2),
        ([], {"HOME": "/nonexistent"}, "no credentials for a cluster", 1),
        (["--address", "192.0.2.1:7070"], {"STORAGE_TYPE": "Memory"}, "cannot listen on 192.0.2.1:7070", 1),
    ],
)
async def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], environment: dict[str, str], words: str, status: int
) -> None:
    async with process(*arguments, **environment) as child:
        output, _ = await asyncio.wait_for(child.communicate(), PATIENCE)
        assert words in output.decode()
        assert "Traceback" not in output.decode()
        assert child.returncode == status


class TestSettings:
    def test_defaults(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("STORAGE_TYPE", "BRIDGE_URL", "POD_IP", "SHARD_BUDGET", "REMOVAL_GUARD"):
            monkeypatch.delenv(name, raising=False)
        settings = StorageSettings.load()
        assert (settings.storage_type, settings.shard_budget, settings.removal_guard) == ("ConfigMap", 122_880, "on")
        assert settings.bridge == "http://localhost:9090"

    def test_the_documented_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in {
            "STORAGE_TYPE": "ConfigMap\r\n",
            "BRIDGE_URL": "http://localhost:9090\n",
            "POD_NAMESPACE": "rhdh\n",
        }.items():
            monkeypatch.setenv(name, value)
        settings = StorageSettings.load()
        assert (settings.storage_type, settings.bridge, settings.namespace) == (
            "ConfigMap",
            "http://localhost:9090",
            "rhdh",
        )

    @pytest.mark.parametrize("written", ["file", "FILE", " File "])
    def test_any_case(self, monkeypatch: pytest.MonkeyPatch, written: str) -> None:
        monkeypatch.setenv("STORAGE_TYPE", written)
        assert StorageSettings.load().storage_type == "File"

    def test_errors_name_the_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DOCUMENT_LIMIT", "0")
        with pytest.raises(SettingsError, match="DOCUMENT_LIMIT"):
            StorageSettings.load()


async def test_inside_another_process(tmp_path: Path) -> None:
    settings = StorageSettings.load(storage_type="File", state_dir=tmp_path)
    health = Health()
    async with storage_service(settings, metrics=Metrics("connector", "1"), health=health, push=False) as service:
        applied = await service.apply(Batch(upserts=(upsert(),), complete=True))
        assert not applied.refused
        listing = await service.listing()
        assert listing is not None
        assert listing.entries == {"serving_iris": upsert().stored}
        assert await service.listing(listing.revision) is None
        assert health.ready
        following = asyncio.create_task(service.changes(listing.revision, 10))
        await service.apply(Batch(removals={"serving_iris": "gone"}))
        changes = await following
        assert changes is not None
        assert changes.removals == {"serving_iris": "gone"}
