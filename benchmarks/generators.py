"""Load generators, each a process of its own: wrk where it is installed, else our own."""

import asyncio
import json
import shutil
import sys
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True, slots=True)
class Load:
    """What a generator saw: answers per second, errors, and latencies in seconds."""

    rate: float
    errors: int
    p50: float
    p99: float


class Generator(ABC):
    """Asks for one URL over some connections, each as soon as the last answer is there."""

    name: str

    async def run(self, url: str, *, connections: int, seconds: float) -> Load:
        """Generate load for so many seconds.

        Raises:
            RuntimeError: the generator failed.
        """
        command = self.command(url, connections, seconds)
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, err = await process.communicate()
        last = out.decode().strip().rpartition("\n")[2]
        if process.returncode or not last.startswith("{"):
            raise RuntimeError(f"{' '.join(command)} failed: {(err or out).decode()[-500:]}")
        return Load(**json.loads(last))

    @abstractmethod
    def command(self, url: str, connections: int, seconds: float) -> list[str]:
        """Return the command line; the last line that it prints is a `Load` as JSON."""


class Wrk(Generator):
    """https://github.com/wg/wrk, with one thread: a second one would take the other core from the server."""

    name = "wrk"

    def command(self, url: str, connections: int, seconds: float) -> list[str]:
        """See Generator; wrk takes whole seconds."""
        whole = max(1, round(seconds))
        return ["wrk", "-t1", f"-c{connections}", f"-d{whole}s", "-s", str(SCRIPT), url]


class Own(Generator):
    """`benchmarks.load`: slower than wrk, so that its figures are a lower bound."""

    name = "benchmarks.load"

    def command(self, url: str, connections: int, seconds: float) -> list[str]:
        """See Generator."""
        options = ["--connections", str(connections), "--seconds", str(seconds)]
        return [sys.executable, "-m", "benchmarks.load", url, *options]


def choose() -> Generator:
    """Return the best generator there is on this machine."""
    return Wrk() if shutil.which("wrk") else Own()
