"""How long `connector preview` takes, as ratios to work that no preview can do without, on the same machine.

Of one manifest it is compared with loading the libraries that it needs, of 2,000 with PyYAML's C parser reading them.
Elapsed time is what people feel; it means something only while the machine has nothing else to do, as 2,000 manifests
are read on all processors. Processor time changes little on a busy machine. The modules are compiled before, as they
are when installed.
"""

import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import yaml

from benchmarks.figures import Figure, Target
from tests import objects

MANIFESTS = 2_000
_LIBRARIES = "import asyncio, click, pydantic, pydantic_settings, yaml"
_PARSER = (
    "import sys, yaml, pathlib\n"
    "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
    "    list(yaml.load_all(path.read_bytes(), Loader=yaml.CSafeLoader))\n"
)


class _Taken(NamedTuple):
    """What a process took, in seconds; or, as a ratio, how many times as much as another one."""

    elapsed: float
    processor: float


# Half of what they were when a preview loaded all services and read every document of every file, in one process.
_START_TARGET = _Taken(1.25, 1.25)
# The same for the elapsed time; for the processor time a tenth more than in one process, which is what dividing costs.
_MANY_TARGET = _Taken(1.57, 2.67)


async def measure(runs: int) -> AsyncIterator[Figure]:
    """Yield the ratios of elapsed and of processor time."""
    with tempfile.TemporaryDirectory() as name:
        many, one, compiled = Path(name, "many"), Path(name, "one"), Path(name, "compiled")
        for folder, number in ((many, MANIFESTS), (one, 1)):
            folder.mkdir()
            for index in range(number):
                (folder / f"m{index}.yaml").write_text(yaml.safe_dump(objects.isvc(f"m{index}")), encoding="utf-8")
        for name_of, folder, yardstick, target in (
            ("one manifest, to loading its libraries", one, ("-c", _LIBRARIES), _START_TARGET),
            (f"{MANIFESTS:,} manifests, to parsing them", many, ("-c", _PARSER, str(many)), _MANY_TARGET),
        ):
            command = ("-m", "services.connector", "preview", str(folder))
            await _taken(compiled, *command)  # compiles the modules
            samples = []
            for _ in range(2 * runs):
                preview, work = await _taken(compiled, *command), await _taken(compiled, *yardstick)
                samples.append(_Taken(*(ours / least for ours, least in zip(preview, work, strict=True))))
            for kind, ratios, limit in zip(
                ("elapsed", "processor time"), zip(*samples, strict=True), target, strict=True
            ):
                yield Figure(group="preview", name=f"{name_of}, {kind}", unit="×", samples=ratios, target=Target(limit))


async def _taken(compiled: Path, *arguments: str) -> _Taken:
    """Return what a Python process took, with its children; it has the compiled modules in a folder."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL, env=environment
    )
    if await process.wait():
        raise RuntimeError(f"python {' '.join(arguments)} ended with status {process.returncode}")
    elapsed = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return _Taken(elapsed, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
