"""Runs connector doctor in the environment of the pod."""

import asyncio
import json
from typing import Any

from tests.process.pod import LOCATION, NORMALIZER, STORAGE, Pod
from tests.process.service import BIN


async def doctor(pod: Pod, *arguments: str) -> tuple[int, dict[str, list[tuple[str, str]]]]:
    """Run it in the normalizer's container; returns its exit status, and verdicts and messages by step."""
    urls = [f"--{name}={pod[service].url}" for name, service in OPTIONS.items()]
    process = await asyncio.create_subprocess_exec(
        *(str(BIN / "connector"), "doctor", *arguments, "--format", "json", *urls),
        env=pod[NORMALIZER].environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    assert not errors or "--bundle" in arguments, errors.decode()
    assert process.returncode is not None
    report: dict[str, Any] = json.loads(out)
    found = {step["name"]: [(f["verdict"], f["message"]) for f in step["findings"]] for step in report["steps"]}
    return process.returncode, found


OPTIONS = {"location": LOCATION, "storage": STORAGE, "normalizer": NORMALIZER}
