"""`python -m tests.backstage.demo`: a Backstage with the examples in it, to look at, until Ctrl-C.

The connector reads `examples/` and serves http://localhost:9090 as on a laptop; the catalog's REST API is open to
anyone who has the token that is printed.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from tests.backstage.readers import FEED_IN_A_POD, Reader
from tests.backstage.rig import Backstage, reference
from tests.backstage.sidecars import ROOT
from tests.waiting import eventually

PORT = 7007
"""Where a Backstage backend is used to be."""
_SECONDS = 60


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.backstage.demo", description=__doc__)
    readers = [reader.value for reader in Reader]
    parser.add_argument("--reader", choices=readers, default=Reader.SECOND_GENERATION.value, help="who reads the feed")
    parser.add_argument("--manifests", type=Path, default=ROOT / "examples", help="what the connector reads")
    parser.add_argument("--port", type=int, default=PORT, help="of Backstage")
    return parser.parse_args()


async def show(options: argparse.Namespace) -> None:
    """Run both and print where they are, until told to end."""
    reader = Reader(options.reader)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        backstage = Backstage(reader=reader, feed=FEED_IN_A_POD, directory=directory, port=options.port)
        async with connector(options.manifests, directory), backstage:
            await eventually(backstage.entities, timeout=_SECONDS, interval=0.2, what="models in Backstage")
            entities = await backstage.settled()
            print("\n".join(sorted(map(reference, entities))))
            print(f"\n{len(entities)} entities, read by {reader.value} from {FEED_IN_A_POD}\n")
            print(instructions(backstage, example=reference(entities[0])), flush=True)
            await end.wait()


@contextlib.asynccontextmanager
async def connector(manifests: Path, state: Path) -> AsyncIterator[None]:
    """Run the connector on manifests while the context lasts."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.connector", "run", "--manifests", str(manifests), "--state", str(state)),
        cwd=ROOT,
        start_new_session=True,  # Ctrl-C is for this process, which ends the other in order
    )
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def instructions(backstage: Backstage, *, example: str) -> str:
    """Return commands that show the catalog."""
    kind, _, path = example.partition(":")
    return "\n".join(
        [
            f"export TOKEN={backstage.token}",
            f'curl -sH "Authorization: Bearer $TOKEN" {backstage.base_url}/api/catalog/entities',
            f'curl -sH "Authorization: Bearer $TOKEN" {backstage.base_url}/api/catalog/entities/by-name/{kind}/{path}',
            f"curl -s {FEED_IN_A_POD}/list",
            f'curl -sH "Authorization: Bearer $TOKEN" {backstage.base_url}/api/verdicts   # what the catalog refused',
            "Change a file in examples/ and ask again.",
            "Ctrl-C ends both.",
        ]
    )


if __name__ == "__main__":
    asyncio.run(show(arguments()))
