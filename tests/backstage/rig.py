"""A real Backstage backend that reads a feed, started and questioned by the tests."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import socket
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp

from tests.backstage.readers import Reader, configuration, hurry, round_begins, shipped
from tests.waiting import eventually

BACKEND = Path(__file__).with_name("backend")
"""The Node package on the newest release of Backstage; `npm ci` makes it ready."""
OLDER_BACKEND = Path(sys.prefix) / "backstage-older"
"""The same on an older release, with the packages that `older/package-lock.json` names."""

Entity = dict[str, Any]
T = TypeVar("T")

_LONGEST_LOG_LINE = 64 * 1024 * 1024
_STOP_SECONDS = 10


@dataclass(frozen=True)
class Refusal:
    """What the catalog did not take: the entity's reference, and the words of its validators."""

    entity: str
    words: str

    def __str__(self) -> str:
        return f"{self.entity}\n      {self.words}"


@dataclass(frozen=True)
class Card:
    """A model card as the TechDocs backend reads it: laid out in a directory that mkdocs builds."""

    reference: str
    directory: Path
    page: str
    etag: str
    """What TechDocs remembers, to ask next time whether it is still the same."""


class Backstage:
    """One backend process with an empty catalog in memory; an async context manager.

    `feed` is the base URL of the connector's location service. Every round of the reader takes well under a second, and
    the catalog processes each entity every one to two seconds. `package` is the Node package that is run.
    """

    PROCESSING_SECONDS = 1
    """The catalog processes each entity again after this time, and up to as much more."""

    def __init__(
        self, *, reader: Reader, feed: str, directory: Path, port: int | None = None, package: Path = BACKEND
    ) -> None:
        self.reader = reader
        self.feed = feed
        self.token = secrets.token_urlsafe(24)
        self.port = port or _free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log: deque[str] = deque(maxlen=400)
        self._package = package
        self._directory = directory
        self._stack = contextlib.AsyncExitStack()
        self._rounds = 0
        self._round_begins = round_begins(reader, feed)

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._process = await self._start(self._write_configuration())
            stack.push_async_callback(self._stop)
            self._session = await stack.enter_async_context(
                aiohttp.ClientSession(
                    self.base_url,
                    headers={"Authorization": f"Bearer {self.token}"},
                    # Node closes a connection that was idle for 5 s; a POST that meets that moment is not sent again.
                    connector=aiohttp.TCPConnector(force_close=True),
                )
            )
            await eventually(self._is_ready, timeout=60, interval=0.1, what="Backstage is ready")
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def configuration(self) -> Mapping[str, Any]:
        """Return the app-config that the backend has in addition to the shipped one, as a customer's has."""
        return configuration(feed=self.feed, port=self.port, token=self.token)

    def environment(self) -> Mapping[str, str]:
        """Return the variables of the process, on top of those of this one."""
        return {"NODE_ENV": "production", "LOG_LEVEL": "debug", "READER": self.reader.value}

    async def entities(self, *, kind: str | None = None, name: str | None = None) -> list[Entity]:
        """Return the catalog's entities in the order of their references, without those the catalog makes itself."""
        conditions = {"kind": kind, "metadata.name": name}
        chosen = ",".join(f"{key}={value}" for key, value in conditions.items() if value is not None)
        found = await self._json("/api/catalog/entities", params={"filter": chosen} if chosen else {})
        return sorted((entity for entity in found if entity["kind"] != "Location"), key=reference)

    async def references(self) -> set[str]:
        """Return `kind:namespace/name`, in lower case, of every entity that is not about to be deleted as an orphan."""
        return {reference(entity) for entity in await self.entities() if not is_orphan(entity)}

    async def entity(self, ref: str) -> Entity:
        """Return the entity `kind:namespace/name`; the AssertionError for an absent one tells what was refused."""
        kind, namespace, name = re.split("[:/]", ref)
        found = [e for e in await self.entities(kind=kind, name=name) if reference(e) == f"{kind}:{namespace}/{name}"]
        assert found, f"no {ref} in the catalog\n{await self.explain(ref)}"
        return found[0]

    async def card(self, ref: str) -> Card:
        """Return the model card of an entity, read through the backend's URL readers.

        Raises:
            aiohttp.ClientResponseError: 404 when the entity, its annotation or the card does not exist.
        """
        found = await self._json(_card_path(ref))
        return Card(found["reference"], Path(found["directory"]), found["page"], found.get("etag", ""))

    async def has_new_card(self, ref: str, etag: str) -> bool:
        """Return whether the card of an entity is another than that of `etag`; TechDocs builds it again then."""
        async with self._session.get(_card_path(ref), params={"etag": etag}) as response:
            assert response.status in (200, 304), await response.text()
            return response.status == 200

    async def refusals(self) -> list[Refusal]:
        """Return everything that the catalog's processing has ever refused since it started."""
        return [Refusal(**verdict) for verdict in await self._json("/api/verdicts")]

    async def explain(self, ref: str | None = None) -> str:
        """Return what a person needs to see: the refused entities with the validators' words, and the log's end."""
        refused = [f"    {refusal}" for refusal in await self.refusals()]
        held = [json.dumps(entity, indent=1) for entity in await self.entities() if reference(entity) == ref]
        return "\n".join(
            [f"  catalog holds {held[0]}" if held else "", "  refused:", *refused, "  log:", *list(self.log)[-20:]]
        )

    async def wait_for(
        self, check: Callable[[], Awaitable[T]], *, what: str, timeout: float = 20, ref: str | None = None
    ) -> T:
        """Return the first truthy answer of `check`; the error carries `explain`."""
        try:
            return await eventually(check, timeout=timeout, interval=0.1, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{await self.explain(ref)}") from None

    async def wait_for_references(self, expected: set[str], *, timeout: float = 30) -> None:
        """Wait until the catalog holds exactly the entities `expected`."""

        async def same() -> bool:
            held = await self.references()
            assert held == expected, f"missing {sorted(expected - held)}, not expected {sorted(held - expected)}"
            return True

        await self.wait_for(same, what="the catalog holds what the feed says", timeout=timeout)

    async def read_again(self, rounds: int = 1) -> None:
        """Wait until the reader has begun and finished `rounds` rounds after this call, good or bad."""
        until = self._rounds + rounds + 1  # that the next one begins says that the last one is over

        async def read() -> bool:
            return self._rounds >= until

        await self.wait_for(read, what=f"{rounds} more rounds of the reader", timeout=20 + 3 * rounds)

    async def settled(self, quiet: float = 3) -> list[Entity]:
        """Return the entities once nothing has changed for `quiet` seconds: processing and relations are done."""
        last: list[Entity] = []
        since = time.monotonic()

        async def same() -> bool:
            nonlocal last, since
            now = await self.entities()
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > quiet

        await self.wait_for(same, what="the catalog settles", timeout=60)
        return last

    def _write_configuration(self) -> list[str]:
        """Write the app-config files; returns the options that name them, in the order in which the pod has them."""
        texts = {
            "app-config.rhoai-connector.yaml": shipped(self.reader, self.feed),
            "app-config.json": json.dumps(self.configuration(), indent=2),
            "app-config.hurry.json": json.dumps(hurry(self.reader, self.PROCESSING_SECONDS), indent=2),
        }
        options = []
        for name, text in texts.items():
            file = self._directory / f"{self.reader.value}.{name}"
            file.write_text(text)
            options += ["--config", str(file)]
        return options

    async def _start(self, options: list[str]) -> asyncio.subprocess.Process:
        assert (self._package / "node_modules").is_dir(), (
            f"{self._package} is not installed: make test-backstage does it"
        )
        process = await asyncio.create_subprocess_exec(
            "node",
            "--no-node-snapshot",
            "index.js",
            *options,
            cwd=self._package,
            env={**os.environ, **self.environment()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=_LONGEST_LOG_LINE,
        )
        self._listener = asyncio.create_task(self._listen(process))
        return process

    async def _stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._listener

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._hear(line.decode(errors="replace").rstrip())

    def _hear(self, line: str) -> None:
        try:
            entry = json.loads(line)
            level, message = entry["level"], entry["message"]
            message = message if isinstance(message, str) else json.dumps(message)  # an error, as an object
        except (ValueError, KeyError, TypeError):
            level, message = "debug" if line.startswith("Fetching model catalog key") else "", line
        if message.startswith(self._round_begins):
            self._rounds += 1
        elif level not in {"debug", "info"} and "is set to a localhost URL" not in message:
            self.log.append(f"    {level} {message}"[:2000])

    async def _is_ready(self) -> bool:
        # A backend that cannot listen says so and then hangs.
        if self._process.returncode is not None or any("Uncaught exception" in line for line in self.log):
            raise RuntimeError("\n".join(["the backend does not start", *self.log]))
        async with self._session.get("/.backstage/health/v1/readiness") as response:
            return response.status == 200

    async def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Return what a plugin of the backend answers; the AssertionError of a refusal has its words."""
        async with self._session.post(path, json=body) as response:
            assert response.ok, f"{response.status} {await response.text()}"
            return await response.json()

    async def _json(self, path: str, params: Mapping[str, str] | None = None) -> Any:
        async with self._session.get(path, params=params, raise_for_status=True) as response:
            return await response.json()


def _card_path(ref: str) -> str:
    return "/api/cards/" + "/".join(quote(part, safe="") for part in re.split("[:/]", ref))


def reference(entity: Entity) -> str:
    """Return `kind:namespace/name` of an entity, in lower case as the catalog compares them."""
    metadata = entity["metadata"]
    return f"{entity['kind']}:{metadata.get('namespace', 'default')}/{metadata['name']}".lower()


def is_orphan(entity: Entity) -> bool:
    """Return whether the catalog has marked the entity as an orphan, which it deletes after a while."""
    return bool(entity["metadata"].get("annotations", {}).get("backstage.io/orphan") == "true")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
