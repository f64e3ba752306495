"""`python -m tests.portal.demo`: a portal to look at in a browser, with models that answer, until Ctrl-C.

Everything runs on this machine: made-up sources, the connector's three services, model servers that say the same to
everybody, and a Backstage that reads the feed in the way that is chosen.
"""

import argparse
import asyncio
import signal
import tempfile
from pathlib import Path

from tests.backstage.readers import Reader
from tests.fakes.model_server import TOKEN
from tests.portal.portal import Portal
from tests.portal.scene import GRANITE, LLAMA, Scene

PORT = 7007
"""Where a Backstage is used to be."""


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.portal.demo", description=__doc__)
    readers = [reader.value for reader in Reader]
    parser.add_argument("--reader", choices=readers, default=Reader.SECOND_AND_PLAIN.value, help="who reads the feed")
    parser.add_argument("--port", type=int, default=PORT, help="of the portal")
    parser.add_argument("--odd", action="store_true", help="with models whose names and texts are hostile")
    return parser.parse_args()


async def show(options: argparse.Namespace) -> None:
    """Run everything and print where it is, until told to end."""
    reader = Reader(options.reader)
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    print("Starting; this takes half a minute.", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        async with (
            Scene.read_by(reader, directory, odd=options.odd) as scene,
            Portal(reader=reader, scene=scene, directory=directory, port=options.port) as portal,
        ):
            entities = await portal.settled()
            print(instructions(portal, len(entities)), flush=True)
            await end.wait()


def instructions(portal: Portal, entities: int) -> str:
    """Return where to look, and at what."""
    return f"""
{entities} entities are in the portal, read by {portal.reader.value}. Open

    {portal.base_url}

and enter as a guest. Find "{GRANITE.title}" and call it: its page says how, and on the page of its API
"Try it out" asks it from the browser. "{LLAMA.title}" wants a token: {TOKEN}

The connector's feed is at {portal.feed}/list. Ctrl-C ends everything."""


if __name__ == "__main__":
    asyncio.run(show(arguments()))
