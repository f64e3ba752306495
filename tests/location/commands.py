"""Runs the commands that pages show."""

import asyncio
import os

from tests.location.runtimes import TOKEN


async def run(commands: str) -> None:
    """Run commands in a shell; each request must be answered with 200."""
    script = f'set -e\ncurl() {{ command curl --silent --show-error --fail "$@"; }}\n{commands}\n'
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        env={"PATH": os.environ["PATH"], "TOKEN": TOKEN},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0, said.decode()
