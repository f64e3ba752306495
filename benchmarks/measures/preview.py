"""How long `connector preview` takes, as ratios to work that no preview can do without, on the same machine.

Of one manifest it is compared with loading the libraries that it needs, of 2,000 with PyYAML's C parser reading them.
Processor time, so that a busy machine changes little. The modules are compiled before, as they are when installed.
"""

import asyncio
import os
import resource
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

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
# Half of what they were when a preview loaded all services and read every document of every file.
_START_FACTOR = 1.25
_MANY_FACTOR = 1.57


async def measure(runs: int) -> AsyncIterator[Figure]:
    """Yield the two ratios."""
    with tempfile.TemporaryDirectory() as name:
        many, one, compiled = Path(name, "many"), Path(name, "one"), Path(name, "compiled")
        for folder, number in ((many, MANIFESTS), (one, 1)):
            folder.mkdir()
            for index in range(number):
                (folder / f"m{index}.yaml").write_text(yaml.safe_dump(objects.isvc(f"m{index}")), encoding="utf-8")
        for name_of, folder, yardstick, factor in (
            ("one manifest, to loading its libraries", one, ("-c", _LIBRARIES), _START_FACTOR),
            (f"{MANIFESTS:,} manifests, to parsing them", many, ("-c", _PARSER, str(many)), _MANY_FACTOR),
        ):
            command = ("-m", "services.connector", "preview", str(folder))
            await _seconds(compiled, *command)  # compiles the modules
            samples = []
            for _ in range(2 * runs):
                preview = await _seconds(compiled, *command)
                samples.append(preview / await _seconds(compiled, *yardstick))
            yield Figure(group="preview", name=name_of, unit="×", samples=tuple(samples), target=Target(factor))


async def _seconds(compiled: Path, *arguments: str) -> float:
    """Return the processor time of a Python process, in seconds; it has the compiled modules in a folder."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {"PYTHONPYCACHEPREFIX": str(compiled), "PYTHONDONTWRITEBYTECODE": ""}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.DEVNULL, env=environment
    )
    if await process.wait():
        raise RuntimeError(f"python {' '.join(arguments)} ended with status {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
