"""The real kubectl, where it is installed, against a fake cluster."""

import asyncio
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.deploy.kustomize import ROOT, Object

SCRIPT = ROOT / "sidecars.py"
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed")


@dataclass
class Kubectl:
    """kubectl, and the script with it, for one cluster."""

    directory: Path
    kubeconfig: Path

    async def __call__(self, *arguments: str) -> str:
        cache = f"--cache-dir={self.directory}/cache"
        return await self._run("kubectl", f"--kubeconfig={self.kubeconfig}", cache, *arguments)

    async def apply(self, obj: Object, *options: str) -> str:
        """Apply an object as its owner does."""
        body = {key: value for key, value in obj.items() if key != "status"}
        body["metadata"] = {key: value for key, value in obj["metadata"].items() if key != "resourceVersion"}
        manifest = self.directory / "owned.json"
        manifest.write_text(json.dumps(body))
        return await self("apply", "-f", str(manifest), *options)

    async def script(self, *arguments: str) -> str:
        """Run deploy/sidecars.py; returns all that it says."""
        return await self._run(sys.executable, str(SCRIPT), *arguments)

    async def _run(self, *command: str) -> str:
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), "KUBECONFIG": str(self.kubeconfig)}
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=environment
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise AssertionError(output.decode())
        return output.decode()
