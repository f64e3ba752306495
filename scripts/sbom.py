"""The packages in the images: a CycloneDX list made from requirements.lock, and the table of their licences.

`python -m scripts.sbom FILE` (`make sbom`) writes the list as CycloneDX 1.6 JSON; `python -m scripts.sbom --table`
renews the table in docs/supply-chain.md. Versions and hashes are those of the lock file, licences those that the
installed packages state.
"""

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from common import __version__

ROOT = Path(__file__).parents[1]
LOCK, PAGE = ROOT / "requirements.lock", ROOT / "docs" / "supply-chain.md"
BEGIN, END = "<!-- licences: begin -->\n", "<!-- licences: end -->\n"

_PIN = re.compile(
    r"^(?P<name>[\w.-]+)(?:\[.*?\])?==(?P<version>[^\s;\\]+)(?P<hashes>[^\n]*\n(?: +--hash=[^\n]*\n)*)", re.MULTILINE
)
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
_IDENTIFIERS = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
    "MIT License": "MIT",
    "MIT License, Apache Software License": "MIT OR Apache-2.0",
}
"""SPDX expressions for what packages write in other words."""


class Package(NamedTuple):
    """One pinned package; `licence` is an SPDX expression, `hashes` are SHA-256 of its distributions."""

    name: str
    version: str
    licence: str
    hashes: tuple[str, ...]

    @property
    def url(self) -> PackageURL:
        """The package as a package URL: pkg:pypi/name@version."""
        return PackageURL("pypi", None, self.name, self.version)


def packages(lock: str) -> Iterator[Package]:
    """Return the packages of a lock file.

    Raises:
        importlib.metadata.PackageNotFoundError: one is not installed here, so its licence is unknown.
    """
    for pin in _PIN.finditer(lock):
        yield Package(pin["name"], pin["version"], licence_of(pin["name"]), tuple(_HASH.findall(pin["hashes"])))


def licence_of(name: str) -> str:
    """Return the licence that an installed package states, as an SPDX expression where it is known as one."""
    stated = metadata.metadata(name)
    for expression in stated.get_all("License-Expression", ()):
        return str(expression)
    classifiers = [text for text in stated.get_all("Classifier", ()) if text.startswith("License ::")]
    written = "".join(stated.get_all("License", ())).strip() or ", ".join(
        each.rpartition("::")[2].strip() for each in classifiers
    )
    return _IDENTIFIERS.get(written, written)


def bom(found: list[Package]) -> Bom:
    """Return the packages as a CycloneDX list, with the connector as what they belong to."""
    licences = LicenseFactory()
    result = Bom()
    result.metadata.component = Component(
        name="rhoai-connector",
        version=__version__,
        type=ComponentType.APPLICATION,
        licenses=[licences.make_from_string("Apache-2.0")],
    )
    for each in found:
        result.components.add(
            Component(
                name=each.name,
                version=each.version,
                type=ComponentType.LIBRARY,
                bom_ref=each.url.to_string(),
                purl=each.url,
                licenses=[licences.make_from_string(each.licence)],
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in each.hashes],
            )
        )
    result.register_dependency(result.metadata.component, result.components)
    return result


def page(former: str, found: list[Package]) -> str:
    """Return the document with its table of licences renewed."""
    before, begin, rest = former.partition(BEGIN)
    _, end, after = rest.partition(END)
    rows = [f"| {each.name} | {each.version} | {each.licence} |" for each in found]
    return before + begin + "\n".join(["| package | version | licence |", "|---|---|---|", *rows]) + "\n" + end + after


def main(arguments: list[str]) -> int:
    """Write what is asked for, and return the status to end with."""
    found = list(packages(LOCK.read_text(encoding="utf-8")))
    if arguments == ["--table"]:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
        return 0
    if len(arguments) != 1:
        print("usage: python -m scripts.sbom FILE | --table", file=sys.stderr)  # noqa: T201
        return 2
    target = Path(arguments[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(JsonV1Dot6(bom(found)).output_as_string(indent=2), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
