"""A fake cluster as a separate process, with the methods of FakeCluster as coroutines."""

import asyncio
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.fakes.kubernetes.cluster import kubeconfig_text
from tests.fakes.kubernetes.counts import Counts, Latency, RequestRecord
from tests.fakes.kubernetes.rbac import Access, Rule
from tests.fakes.kubernetes.status import ApiError

ROOT = Path(__file__).parents[3]
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0


class RemoteFault:
    """A fault in force in the process."""

    def __init__(self, cluster: "ProcessCluster", number: int) -> None:
        self._cluster = cluster
        self._number = number

    async def hits(self) -> int:
        """How many requests it hit so far."""
        return int(await self._cluster.command("fault_hits", number=self._number))


class ProcessCluster:
    """An async context manager that starts and ends the process.

    `tls_dir` makes it serve HTTPS with an authority kept there; `resources` are the plurals of custom types at the
    start (default: InferenceServices and Routes); `load` are files or directories of objects.
    """

    def __init__(
        self,
        *,
        tls_dir: Path | None = None,
        resources: Sequence[str] | None = None,
        load: Sequence[Path] = (),
        port: int = 0,
    ) -> None:
        self._arguments = ["--port", str(port), "--exit-with-stdin"]
        self._arguments += [part for path in load for part in ("--load", str(path))]
        if tls_dir is not None:
            self._arguments += ["--tls-dir", str(tls_dir)]
        if resources is not None:
            self._arguments += ["--resources", *resources]
        self._process: asyncio.subprocess.Process | None = None
        self._session: aiohttp.ClientSession | None = None
        self._control = ""
        self.url = ""
        self.token = ""
        self.ca_pem = ""

    async def __aenter__(self) -> Self:
        process = self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.fakes.kubernetes",
            *self._arguments,
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(START_TIMEOUT):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"the fake cluster ended with code {await process.wait()} before it listened")
        told = json.loads(line)
        self.url, self.token, self._control, self.ca_pem = (told[name] for name in ("url", "token", "control", "ca"))
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._session is not None:
            await self._session.close()
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()

    @property
    def pid(self) -> int:
        """The process's id, for measuring it."""
        assert self._process is not None
        return self._process.pid

    async def command(self, name: str, /, **arguments: Any) -> Any:
        """Send one command to the control API.

        Raises:
            ApiError: as the API server refuses the same.
            ValueError: for unknown commands and impossible arguments.
        """
        assert self._session is not None
        async with self._session.post(f"{self._control}/{name}", json=arguments) as response:
            answer = await response.json()
        if response.status == 200:
            return answer["result"]
        if "error" in answer:
            raise ValueError(answer["error"])
        raise ApiError(answer["code"], answer["message"], answer.get("reason"), answer.get("details", {}))

    def kubeconfig(self, path: Path, *, token: str = "", namespace: str = "default") -> Path:
        """Write a kubeconfig for this server (with the administrator's token unless told) and return its path."""
        path.write_text(kubeconfig_text(self.url, self.ca_pem, token or self.token, namespace))
        return path

    async def grant(self, token: str, user: str, rules: Iterable[Rule]) -> None:
        """See FakeCluster."""
        await self.command("grant", token=token, user=user, rules=[asdict(rule) for rule in rules])

    async def revoke(self, token: str) -> None:
        """See FakeCluster."""
        await self.command("revoke", token=token)

    async def add_namespace(self, name: str) -> None:
        """See FakeCluster."""
        await self.command("add_namespace", name=name)

    async def apply(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """See FakeCluster."""
        return dict(await self.command("apply", obj=obj))

    async def apply_all(self, objs: Iterable[Mapping[str, Any]]) -> None:
        """Apply many objects in one command."""
        await self.command("apply_all", objs=list(objs))

    async def load(self, path: Path) -> int:
        """See FakeCluster."""
        return int(await self.command("load", path=str(path)))

    async def delete(self, kind: str, namespace: str, name: str) -> None:
        """See FakeCluster."""
        await self.command("delete", kind=kind, namespace=namespace, name=name)

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """See FakeCluster."""
        found: dict[str, Any] | None = await self.command("get", kind=kind, namespace=namespace, name=name)
        return found

    async def existing(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """See FakeCluster."""
        found = await self.get(kind, namespace, name)
        assert found is not None, f"there is no {kind} {namespace}/{name}"
        return found

    async def objects(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """See FakeCluster."""
        return list(await self.command("objects", kind=kind, namespace=namespace))

    async def install(self, plural: str) -> None:
        """See FakeCluster; for types this package knows."""
        await self.command("install", plural=plural)

    async def uninstall(self, kind: str) -> None:
        """See FakeCluster."""
        await self.command("uninstall", kind=kind)

    async def counts(self) -> Counts:
        """What was asked so far; `recent` stays empty, see the method."""
        return Counts.from_json(await self.command("counts"))

    async def reset_counts(self) -> None:
        """Count from nothing."""
        await self.command("reset_counts")

    async def recent(self) -> list[RequestRecord]:
        """The last requests."""
        return [RequestRecord(**record) for record in await self.command("recent")]

    async def used(self) -> set[Access]:
        """See FakeCluster."""
        return {Access(**access) for access in await self.command("used")}

    async def denied(self) -> set[Access]:
        """See FakeCluster."""
        return {Access(**access) for access in await self.command("denied")}

    async def revision(self) -> int:
        """See FakeCluster."""
        return int(await self.command("revision"))

    async def set_latency(self, latency: Latency) -> None:
        """See FakeCluster."""
        await self.command("set_latency", **asdict(latency))

    async def fault(self, action: str, **criteria: Any) -> RemoteFault:
        """See FakeCluster."""
        return RemoteFault(self, await self.command("fault", action=action, **criteria))

    async def clear_faults(self) -> None:
        """See FakeCluster."""
        await self.command("clear_faults")

    async def compact(self) -> None:
        """See FakeCluster."""
        await self.command("compact")

    async def watches(self, plural: str = "") -> int:
        """See FakeCluster."""
        return int(await self.command("watches", plural=plural))

    async def disturb_watches(self, order: str, plural: str = "") -> int:
        """See FakeCluster."""
        return int(await self.command("disturb_watches", order=order, plural=plural))

    async def send_bookmarks(self, plural: str = "") -> int:
        """See FakeCluster."""
        return int(await self.command("send_bookmarks", plural=plural))

    async def drop_connections(self) -> None:
        """See FakeCluster."""
        await self.command("drop_connections")

    async def go_down(self) -> None:
        """See FakeCluster."""
        await self.command("go_down")

    async def come_back(self) -> None:
        """See FakeCluster."""
        await self.command("come_back")

    async def restart(self, *, lose_history: bool = False, down_for: float = 0.0) -> None:
        """See FakeCluster."""
        await self.command("restart", lose_history=lose_history, down_for=down_for)
