import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import sbom

PERMITTED = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0"}
"""Licences under which a package may be in the images."""


def test_every_pinned_package_is_listed_with_its_hashes(tmp_path: Path) -> None:
    target = tmp_path / "new" / "sbom.json"
    assert sbom.main([str(target)]) == 0
    listed = {part["purl"]: part for part in json.loads(target.read_text())["components"]}

    lock = sbom.LOCK.read_text(encoding="utf-8")
    pins = re.findall(r"^([\w.-]+)(?:\[.*?\])?==([^\s;\\]+)", lock, re.MULTILINE)
    assert listed.keys() == {f"pkg:pypi/{name}@{version}" for name, version in pins}
    assert sum(len(part["hashes"]) for part in listed.values()) == lock.count("--hash=sha256:")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(target.read_text()) is None


def test_every_licence_may_be_used() -> None:
    stated = {package.name: package.licence for package in sbom.packages(sbom.LOCK.read_text(encoding="utf-8"))}

    assert {
        name: licence for name, licence in stated.items() if not set(re.split(r" AND | OR ", licence)) <= PERMITTED
    } == {}


def test_the_table_of_licences_is_that_of_the_lock_file() -> None:
    written = sbom.PAGE.read_text(encoding="utf-8")

    assert written == sbom.page(written, list(sbom.packages(sbom.LOCK.read_text(encoding="utf-8")))), (
        "renew it: .venv/bin/python -m scripts.sbom --table"
    )


def test_wrong_arguments_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert sbom.main([]) == 2
    assert "usage" in capsys.readouterr().err
