"""docs/compatibility.md names a test for each thing that registries and catalogs have been seen to do."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "compatibility.md").read_text()
TABLE = PAGE.partition("## What registries and catalogs have been seen to do")[2]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", TABLE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_named_test_exists(path: str, name: str) -> None:
    assert re.search(rf"\bdef {name}\(", (ROOT / path).read_text())


def test_every_row_names_a_test() -> None:
    rows = [line for line in TABLE.splitlines() if line.startswith("| ") and not line.startswith("| registry or ")]
    assert len(rows) >= 18
    assert [row for row in rows if "::test_" not in row] == []
