"""The command lines of the containers, as a person tries them."""

import subprocess
import sys

import pytest

from common import __version__

PROGRAMS = {
    "location": "services.location",
    "storage-rest": "services.storage_rest",
    "rhoai-normalizer": "services.normalizer",
    "connector": "services.connector",
}


@pytest.mark.parametrize(("program", "module"), PROGRAMS.items())
@pytest.mark.parametrize(("option", "said"), [("--version", f"version {__version__}"), ("-h", "-h, --help")])
def test_each_says_its_version_and_its_options(program: str, module: str, option: str, said: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, option], capture_output=True, text=True, check=True)
    assert said in done.stdout
    if option == "--version":
        assert done.stdout.startswith(f"{program}, ")
