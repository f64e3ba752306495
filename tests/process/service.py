"""One container of the pod as a process: started, ended, killed; what it writes is kept in a file."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent
STOP_TIMEOUT = 30.0
"""Seconds for a graceful end, as the kubelet gives."""


class Service:
    """A service that may be started again and again; its log is what all of its processes wrote."""

    def __init__(
        self,
        name: str,
        *,
        url: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        wrapper: Sequence[str] = (),
        programs: Path = BIN,
    ) -> None:
        """`name` is a console entry point in `programs`; `wrapper` is put before its command line and must exec it."""
        self.name = name
        self._programs = programs
        self.url = url
        self.environment = dict(environment)
        self.log = directory / f"{name}.log"
        self.arguments = list(arguments)
        self._wrapper = list(wrapper)
        self._directory = directory / name
        self._process: asyncio.subprocess.Process | None = None

    @property
    def wanted(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._process is not None

    @property
    def code(self) -> int | None:
        """The exit code of a process that ended by itself; None while it runs."""
        return None if self._process is None else self._process.returncode

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process; it may need a moment until it listens."""
        assert self._process is None, f"{self.name} was started already"
        self._directory.mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._wrapper,
                str(self._programs / self.name),
                *self.arguments,
                env=self.environment,
                cwd=self._directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    async def wait(self, timeout: float = STOP_TIMEOUT) -> int:
        """Wait for the process to end by itself and return its exit code."""
        assert self._process is not None
        async with asyncio.timeout(timeout):
            code = await self._process.wait()
        self._process = None
        return code

    async def stop(self) -> float:
        """End the process as the kubelet does, and return the seconds it took.

        Raises:
            AssertionError: it did not end in time, or with another code than 0.
        """
        assert self._process is not None
        assert self._process.returncode is None, f"{self.name} ended by itself with code {self.code}: see {self.log}"
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = await self.wait()
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"{self.name} was still there {STOP_TIMEOUT:g} s after SIGTERM") from None
        assert code == 0, f"{self.name} ended with code {code} upon SIGTERM"
        return time.monotonic() - began

    async def kill(self) -> None:
        """End the process at once, without a word (kill -9)."""
        if self._process is not None:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop the process's clock: its connections stay open and nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def text(self) -> str:
        """Everything it wrote so far."""
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def events(self, event: str = "") -> list[dict[str, Any]]:
        """Return its log lines with this event, or all; lines that are no JSON are not among them."""
        lines = (parsed for line in self.text.splitlines() if (parsed := parse_line(line)) is not None)
        return [line for line in lines if event in ("", line["event"])]

    def written_files(self) -> list[Path]:
        """Return the files in its working directory, which may be read-only in a pod."""
        return list(self._directory.rglob("*"))


def parse_line(line: str) -> dict[str, Any] | None:
    """Return a log line's fields; None for what is no structured log line."""
    try:
        fields = json.loads(line)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) and "event" in fields else None
