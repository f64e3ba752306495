"""`connector run` as a process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.processes import environment

ROOT = Path(__file__).parents[2]


class Running:
    """A running connector: its feed's address, what it has printed, and what it has logged."""

    def __init__(self, process: asyncio.subprocess.Process, http: aiohttp.ClientSession) -> None:
        self.process = process
        self._http = http
        self.lines: list[str] = []
        self.log: list[str] = []
        self.url = ""

    async def read(self) -> None:
        """Collect what it prints until it ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode().rstrip())
            if not self.url and "/list" in self.lines[-1]:
                self.url = self.lines[-1].split("/list")[0]

    async def read_log(self) -> None:
        """Collect what it logs until it ends."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip())

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        logged = [json.loads(line) for line in self.log if line.startswith("{")]
        return [each for each in logged if each["event"] == name]

    async def get(self, path: str) -> tuple[int, str]:
        """Return status and text of an answer of the feed."""
        async with self._http.get(f"{self.url}{path}") as answer:
            return answer.status, await answer.text()

    async def uris(self) -> list[str]:
        """Return what the feed lists; nothing until its address is known and it is complete."""
        if not self.url:
            return []
        async with self._http.get(f"{self.url}/list") as answer:
            if answer.status != 200:
                return []
            return list((await answer.json())["uris"])

    async def document(self, uri: str) -> dict[str, Any]:
        """Return one document."""
        async with self._http.get(f"{self.url}{uri}") as answer:
            assert answer.status == 200, uri
            return dict(await answer.json())


@asynccontextmanager
async def connector(
    *arguments: str, env: Mapping[str, str] | None = None, program: Sequence[str] = ("-m", "services.connector")
) -> AsyncIterator[Running]:
    """Run `connector run` on a port of the system's choice for the time of the block; it must end well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(*program, "run", "--address", "127.0.0.1:0", *arguments),
        cwd=ROOT,
        env=environment(**(env or {})),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with aiohttp.ClientSession() as http:
        running = Running(process, http)
        reading = asyncio.create_task(running.read())
        errors = asyncio.create_task(running.read_log())
        try:
            yield running
        finally:
            with suppress(ProcessLookupError):
                process.terminate()
            await asyncio.gather(reading, errors)
            code = await process.wait()
            assert code == 0, (code, running.lines[-20:], running.log[-20:])
