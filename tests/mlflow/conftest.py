"""A real MLflow server with basic authentication, started once for all tests; `make test-mlflow` runs them."""

import base64
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.mlflow.contract import Server

PROGRAM = Path(sys.executable).parent.parent / "mlflow" / "bin" / "mlflow"
USER, PASSWORD = "connector", "long-enough-to-be-taken"
STARTS = 90.0
"""Seconds until it answers, on a busy machine."""


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the server; it ends with the tests."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    users = folder / "users.ini"
    users.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/users.db\n"
        f"admin_username = {USER}\nadmin_password = {PASSWORD}\n"
    )
    command = [
        *(str(PROGRAM), "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(port)),
        *("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder)),
        *("--workers", "1"),
    ]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "MLFLOW_AUTH_CONFIG_PATH": str(users),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "DO_NOT_TRACK": "true",
    }
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, process, log)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + STARTS
    while True:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):  # noqa: S310 - on this machine
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > ends:
                raise RuntimeError(f"MLflow does not answer:\n{log.read_text()[-3000:]}") from None
            time.sleep(0.2)


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """A folder as a Secret is mounted, with what the server asks for."""
    (tmp_path / "team.username").write_text(USER + "\n")
    (tmp_path / "team.password").write_text(PASSWORD + "\n")
    return tmp_path


@pytest.fixture
async def server(address: str, credentials: Path) -> AsyncIterator[Server]:
    pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    async with Server(address, credentials, {"Authorization": f"Basic {pair}"}) as server:
        yield server
