"""The documented container specs as they stand: arguments, environment, ports, rights."""

import fcntl
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.fakes.kubernetes import ProcessCluster, documented_rules
from tests.fakes.kubernetes.certificates import Certificates
from tests.objects import isvc
from tests.process.conftest import TOKEN, USER, MakePod
from tests.process.pod import LOCATION, NAMES, NAMESPACE, NORMALIZER, STORAGE, Pod, isvc_uri
from tests.process.reader import Reader
from tests.waiting import eventually

AS_PID_1 = (
    sys.executable,
    "-c",
    "import os, signal, sys\n"
    "for number in (signal.SIGTERM, signal.SIGINT): signal.signal(number, signal.SIG_IGN)\n"
    "os.execv(sys.argv[1], sys.argv[1:])",
)
"""Signals without a handler are ignored, as they are for the first process of a container. (Not by a shell: it would
drop the variable `ca.crt`, whose name it cannot have.)"""

METRICS = (
    'controller_runtime_reconcile_total{controller="inferenceservice",result="success"}',
    'controller_runtime_reconcile_errors_total{controller="inferenceservice"}',
    'controller_runtime_reconcile_time_seconds_bucket{controller="inferenceservice",le="',
    'controller_runtime_active_workers{controller="inferenceservice"}',
    "workqueue_depth{",
    "workqueue_adds_total{",
    "workqueue_queue_duration_seconds_bucket{",
    "workqueue_work_duration_seconds_bucket{",
    "workqueue_retries_total{",
    'rest_client_requests_total{code="200",host="127.0.0.1:',
    "process_cpu_seconds_total ",
    "process_resident_memory_bytes ",
)
"""What existing dashboards and alerts read on port 8081."""


@pytest.fixture
def ports_for_us() -> Iterator[None]:
    """Hold the documented ports, which only one pod of this machine can have at a time."""
    with (Path(tempfile.gettempdir()) / "rhoai-connector-documented-ports.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def documented_pod(make_pod: MakePod, cluster: ProcessCluster, ports_for_us: None) -> AsyncIterator[Pod]:
    await cluster.grant(TOKEN, USER, documented_rules(NAMESPACE))
    async with make_pod(documented_addresses=True, wrapper=AS_PID_1) as pod:
        yield pod


@pytest.mark.xdist_group("documented-ports")
async def test_the_pod_as_it_is_documented(documented_pod: Pod, cluster: ProcessCluster) -> None:
    pod = documented_pod
    assert {service.url for service in pod.services.values()} == {
        "http://127.0.0.1:9090",
        "http://127.0.0.1:7070",
        "http://127.0.0.1:8081",
    }
    assert not {"STORAGE_URL"} & {name for service in pod.services.values() for name in service.environment}
    await cluster.apply(isvc("iris"))
    async with Reader("http://localhost:9090") as reader:
        await pod.start()
        await pod.serving(isvc_uri("iris"))
        await pod.restart(*NAMES)
        await cluster.apply(isvc("wine"))
        await pod.serving(isvc_uri("iris"), isvc_uri("wine"))
        await reader.round()
    metrics = (await pod.get(NORMALIZER, "/metrics")).body.decode()
    assert [name for name in METRICS if f"\n{name}" not in metrics] == []
    for name in NAMES:
        assert await pod[name].stop() < 3, f"{name} takes its time to end"
    assert not await cluster.denied()


async def test_everything_written_keeps_to_the_rules(
    make_pod: MakePod, cluster: ProcessCluster, tmp_path: Path
) -> None:
    """The checks that end every test do notice what they are for."""
    async with make_pod() as pod:
        log = pod[LOCATION].log
        for line, complaint in (
            (f'{{"event": "hello {TOKEN}", "level": "info"}}', "contains a secret"),
            ('{"event": "no", "level": "error"}', "complains"),
            ("Traceback (most recent call last):", "complains"),
        ):
            log.write_text(line + "\n")
            with pytest.raises(AssertionError, match=complaint):
                pod._look_through_logs()
        log.unlink()


async def ended(pod: Pod, name: str) -> tuple[int, str]:
    """Start a service that cannot run; return its exit code and what it said."""
    await pod[name].start()
    code = await pod[name].wait()
    text = pod[name].text
    pod.tolerate(*text.splitlines())
    return code, text


@pytest.mark.parametrize("name", [STORAGE, NORMALIZER])
@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({"ca.crt": "none"}, "ca.crt is not a certificate authority in PEM form"),
        ({"KUBERNETES_SERVICE_HOST": ""}, "KUBERNETES_SERVICE_HOST, the address of the API server, is not set"),
        ({"token": ""}, "no credentials for a cluster"),
    ],
    ids=["CA", "host", "token"],
)
async def test_what_cannot_work_is_said_and_ends_the_service(pod: Pod, name: str, complaint: str) -> None:
    code, text = await ended(pod, name)

    assert code in (1, 2)
    assert complaint in text
    assert len(text.splitlines()) == 1, text


async def test_another_authority_is_an_error_and_nothing_is_read(
    pod: Pod, cluster: ProcessCluster, tmp_path: Path
) -> None:
    foreign = Certificates.kept_in(tmp_path / "another").ca
    for name in (STORAGE, NORMALIZER):
        pod.set(name, **{"ca.crt": foreign})
    await pod.start(ready=False)
    await pod.alive(*NAMES)

    async def both_say_so() -> bool:
        reports = [str(await pod.failing(name)) for name in (STORAGE, NORMALIZER)]
        return all("certificate" in report and "ca.crt" in report for report in reports)

    await eventually(both_say_so, what="both say that the certificate cannot be verified, and what to look at")
    assert (await cluster.counts()).requests.total() == 0
    assert (await pod.get(LOCATION, "/list")).status == 503


async def test_an_address_in_use(pod: Pod) -> None:
    await pod.start(LOCATION, ready=False)
    await pod.alive(LOCATION)
    host, _, port = pod[LOCATION].url.removeprefix("http://").partition(":")
    pod[STORAGE].arguments = [f"--address={host}:{port}"]

    code, text = await ended(pod, STORAGE)
    assert code == 1
    assert f"{host}:{port} is in use" in text
