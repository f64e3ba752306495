"""The lock files name everything that pip installs, with its extras.

pip looks for a requirement with an extra, such as `coverage[toml]`, apart from the pin of `coverage`: where only the
latter stands in the lock file, the installation fails from the day on which a newer version is published.
"""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")


def pins(lock: str) -> dict[str, Requirement]:
    """Return what a lock file pins, by the name of the package."""
    lines = re.findall(r"^(\w[^\\\n]*==[^\\\n]*)", lock, re.MULTILINE)
    found = [Requirement(line.strip()) for line in lines]
    return {canonicalize_name(pin.name): pin for pin in found}


def required_by(pin: Requirement) -> Iterator[Requirement]:
    """Return what the installed version of a package requires here, with the extras that the lock file names."""
    for text in metadata.requires(pin.name) or ():
        required = Requirement(text)
        if required.marker is None or any(required.marker.evaluate({"extra": each}) for each in {"", *pin.extras}):
            yield required


@pytest.mark.parametrize("name", LOCKS)
def test_a_package_is_pinned_with_the_extras_that_others_ask_for(name: str) -> None:
    pinned = pins((ROOT / name).read_text(encoding="utf-8"))
    here = [pin for pin in pinned.values() if pin.marker is None or pin.marker.evaluate()]
    assert here

    missing = {
        f"{pin.name} needs {required}"
        for pin in here
        for required in required_by(pin)
        if not required.extras <= getattr(pinned.get(canonicalize_name(required.name)), "extras", set())
    }
    assert missing == set(), "renew the lock file: make lock"
