"""What rendering costs location: memory, and reads of each feed. `python -m benchmarks.rendering [CHECKOUT …]`.

Each checkout's location follows the same stand-in for storage, with the same realistic entries: display names, owners,
addresses, licences, links, and a card for every fifth. To compare reads at equal size, `--padded` lets the stored
documents be as large as those that are rendered here.
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from aiohttp import web

from common import wire
from common.details import DetailLink, Details
from common.http.addresses import Address
from common.http.server import listening
from services.location import first_generation
from services.location.delivery import make_entry
from services.location.rendering import RenderOptions

HERE = Path(__file__).parents[1]
READERS = 16
ABOUT = (
    "A language model for the work of a team, tuned to follow instructions and to answer in the words of its users. "
)
CARD = "# A model\n\n" + "Some *words* about it, with a [link](https://example.com).\n* an item\n* another\n\n" * 250


def entries(number: int, *, padded: bool) -> Iterable[wire.Upsert]:
    """Yield realistic entries; with `padded` the stored documents are as large as the rendered ones."""
    for n in range(number):
        upsert = entry(n)
        if padded:
            missing = len(first_generation.render_document(make_entry(upsert), RenderOptions())) - len(upsert.body)
            document = json.loads(upsert.body)
            document["models"][0]["description"] += "x" * missing
            upsert = wire.Upsert(
                key=upsert.key,
                body=json.dumps(document, separators=(",", ":")).encode(),
                reconciler="kubeflow",
                uri=upsert.uri,
                card_key=upsert.card_key,
            )
        yield upsert


def entry(n: int) -> wire.Upsert:
    """One realistic entry."""
    name, team = f"assistant-{n:05}", f"team-{n % 40}"
    url = f"https://{name}-{team}.apps.example.com"
    common: dict[str, Any] = {"owner": team, "lifecycle": "production", "description": ABOUT, "tags": ["vllm", team]}
    card = {"TechDocs": f"http://localhost:9090/modelcard?key=card-{n}"} if n % 5 == 0 else {}
    annotations = {"rhdh.modelcatalog.io/model-name": name, **card}
    model = {**common, "name": name, "annotations": annotations, "license": "https://spdx.org/licenses/MIT.html"}
    api = {"url": url, "type": "openapi", "spec": "TBD", "tags": ["vllm", team]}
    server = {**common, "name": name, "API": api, "authentication": n % 2 == 0}
    told = Details(
        title=f"Assistant {n} of {team}",
        owner=f"group:default/{team}",
        names=(name,),
        server_type="openai-v1",
        tasks=("text-generation",),
        kind="InferenceService",
        namespace=team,
        deployment=name,
        version="1.0",
        provider="Example",
        license="MIT",
        links=(DetailLink(f"https://dashboard.example.com/deployments/{team}", "Deployment", "dashboard"),),
    )
    return wire.Upsert(
        key=f"{name}_1",
        body=json.dumps({"models": [model], "modelServer": server}, separators=(",", ":")).encode(),
        reconciler="kubeflow",
        uri=f"/{name}/1/model-catalog.json",
        card_key=f"card-{n}" if card else "",
        details=told.encode(),
    )


class Storage:
    """Stands for storage-rest: one snapshot, and no change ever."""

    def __init__(self, upserts: Iterable[wire.Upsert]) -> None:
        self.upserts = list(upserts)
        cards = {each.card_key: f"{CARD}{each.key}\n" for each in self.upserts if each.card_key}
        whole = wire.Changes(revision="a-1", complete=True, upserts=tuple(self.upserts), cards=cards)
        self._snapshot = b"".join(wire.snapshot_lines(whole))

    async def snapshot(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._snapshot, content_type="application/x-ndjson")

    async def changes(self, _request: web.Request) -> web.Response:
        await asyncio.sleep(50)
        return web.Response(body=wire.encode_changes(wire.Changes(revision="a-1", complete=True)))


async def measure(checkout: Path, number: int, *, padded: bool) -> dict[str, str]:
    """Return the figures of one checkout's location, by what they are."""
    storage = Storage(entries(number, padded=padded))
    app = web.Application()
    app.router.add_get("/snapshot", storage.snapshot)
    app.router.add_get("/changes", storage.changes)
    async with listening(app, [Address("127.0.0.1", 0)], grace=1) as (address,):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        environment = {**os.environ, "STORAGE_URL": f"http://127.0.0.1:{address.port}", "LOG_LEVEL": "ERROR"}
        command = [sys.executable, "-m", "services.location", "--address", f"127.0.0.1:{port}"]
        process = subprocess.Popen(command, cwd=checkout, env={**environment, "PYTHONPATH": str(checkout)})  # noqa: ASYNC220
        try:
            return await figures(f"http://127.0.0.1:{port}", psutil.Process(process.pid), storage.upserts)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


async def figures(url: str, process: psutil.Process, upserts: list[wire.Upsert]) -> dict[str, str]:
    """Return the figures of the location at `url`."""
    found: dict[str, str] = {}

    def note(what: str) -> None:
        found[f"memory, {what}"] = f"{process.memory_info().rss / 2**20:.1f} MiB"

    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=READERS)) as client:
        began = time.monotonic()
        await until_ready(client)
        found["ready after"] = f"{time.monotonic() - began:.2f} s"
        await asyncio.sleep(2)
        note("loaded")
        feeds = {
            "first generation": [each.uri for each in upserts],
            "second generation": [f"/api/kserve-kubeflow-connector/models/{each.key}" for each in upserts],
            "plain": [each.uri.replace("model-catalog.json", "catalog-info.yaml") for each in upserts],
            "cards": [f"/modelcard?key={each.card_key}" for each in upserts if each.card_key][:200],
        }
        for name, paths in feeds.items():
            for times in ("first", "again"):
                busy, began = process.cpu_times(), time.monotonic()
                size = await read(client, paths)
                seconds, spent = time.monotonic() - began, process.cpu_times()
                used = (spent.user + spent.system - busy.user - busy.system) / len(paths)
                found[f"{name}, {size / len(paths) / 1000:.1f} kB, {times}"] = (
                    f"{len(paths) / seconds:.0f} requests/s, {used * 1e6:.0f} µs of the processor each"
                )
            note(f"{name} read")
    return found


async def until_ready(client: aiohttp.ClientSession) -> None:
    """Wait until location serves."""
    while True:
        try:
            async with client.get("/readyz") as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)


async def read(client: aiohttp.ClientSession, paths: list[str]) -> int:
    """Read all paths with some readers at once; return the bytes that came."""
    waiting = iter(paths)
    total = 0

    async def reader() -> None:
        nonlocal total
        for path in waiting:
            async with client.get(path, headers={"Accept-Encoding": "identity"}) as answer:
                assert answer.status == 200, (path, answer.status)
                total += len(await answer.read())

    await asyncio.gather(*(reader() for _ in range(READERS)))
    return total


def main() -> None:
    """Measure this checkout and those named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendering")
    parser.add_argument("checkouts", nargs="*", type=Path)
    parser.add_argument("--models", type=int, default=10_000)
    parser.add_argument("--padded", action="store_true", help="stored documents as large as rendered ones, elsewhere")
    options = parser.parse_args()
    for checkout in (*options.checkouts, HERE):
        padded = options.padded and checkout != HERE
        print(checkout, "padded" if padded else "")
        for what, figure in asyncio.run(measure(checkout.resolve(), options.models, padded=padded)).items():
            print(f"  {what}: {figure}")


if __name__ == "__main__":
    main()
