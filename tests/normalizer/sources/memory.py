"""A process that polls eight registries at one URL, side by side, and prints what it took of memory, as JSON.

Run as `python -m tests.normalizer.sources.memory URL`; `grown` is in bytes, by the system's account of the process.
"""

import asyncio
import json
import resource
import sys
from contextlib import AsyncExitStack

from common.commandline import finish
from services.normalizer.sources.kubeflow.poller import RegistryPoller
from services.normalizer.sources.refs import SourceRef
from tests.normalizer.sources.support import connector

REGISTRIES = 8


def _most() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def _main(url: str) -> None:
    connections = connector()
    refs = [SourceRef(id=f"r-{n}", kind="registry", url=url, origin="a test") for n in range(REGISTRIES)]
    async with AsyncExitStack() as stack:
        pollers = [RegistryPoller(await stack.enter_async_context(connections.open(ref))) for ref in refs]
        before = _most()
        readings = await asyncio.gather(*(poller.poll() for poller in pollers))
        faults = [reading.fault.kind if reading.fault else "" for reading in readings]
        print(json.dumps({"faults": faults, "grown": _most() - before}))


if __name__ == "__main__":
    finish(_main(sys.argv[1]))
