"""What the doctor is told to check, and how a step runs: within its time, and without breaking others."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import structlog

from common import LOCATION, LOCATION_PORT, NORMALIZER, NORMALIZER_PORT, STORAGE, STORAGE_PORT
from common.clocks import wall_time
from common.kube.environment import MOUNT
from services.connector.doctor.report import Finding, Step

log = structlog.get_logger("doctor")


LOCATION_URL: Final = f"http://localhost:{LOCATION_PORT}"
STORAGE_URL: Final = f"http://localhost:{STORAGE_PORT}"
NORMALIZER_URL: Final = f"http://localhost:{NORMALIZER_PORT}"
"""Where the services answer in their pod."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorOptions:
    """What to look at.

    `urls` are where the services answer, by name; `timeout` (seconds) is each step's; `contexts` are those of the
    kubeconfig that are followed instead of the environment's cluster.
    """

    environ: Mapping[str, str]
    urls: Mapping[str, str] = field(
        default_factory=lambda: {
            LOCATION: LOCATION_URL,
            STORAGE: STORAGE_URL,
            NORMALIZER: NORMALIZER_URL,
        }
    )
    timeout: float = 15.0
    contexts: tuple[str, ...] = ()
    mount: Path = MOUNT
    clock: Callable[[], float] = wall_time

    def filled(self, finding: Finding) -> Finding:
        """Return a finding with the names of our namespace and pod in its commands, where they are known."""
        environ, remedy = self.environ, finding.remedy
        if namespace := environ.get("POD_NAMESPACE") or environ.get("NAMESPACE") or environ.get("namespace"):
            remedy = remedy.replace("-n NAMESPACE", f"-n {namespace.strip()}")
        if environ.get("KUBERNETES_SERVICE_HOST") and (pod := environ.get("HOSTNAME")):
            remedy = remedy.replace(" POD ", f" {pod} ")
        return finding if remedy == finding.remedy else replace(finding, remedy=remedy)


async def run_step(
    name: str, title: str, work: Callable[[], Awaitable[list[Finding]]], *, options: DoctorOptions, cluster: str = ""
) -> Step:
    """Run one step; a time-out or an error becomes a finding."""
    timeout = options.timeout
    began = time.perf_counter()
    try:
        async with asyncio.timeout(timeout):
            findings = await work()
    except TimeoutError:
        remedy = f"check the network, or allow more time: connector doctor --timeout {timeout * 4:g}"
        findings = [Finding("fault", f"this step did not finish within {timeout:g} seconds", remedy)]
    except Exception as error:
        log.exception("doctor_step_failed", step=name, cluster=cluster)
        findings = [
            Finding("fault", f"the doctor itself failed: {error!r}", "please report it, with the traceback in the log")
        ]
    seconds = round(time.perf_counter() - began, 3)
    return Step(name=name, title=title, findings=tuple(map(options.filled, findings)), seconds=seconds, cluster=cluster)
