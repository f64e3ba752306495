"""docs/security.md promises a test for each of its rows."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)))
ROWS = [line for line in PAGE.partition("## Tested attacks")[2].splitlines() if line.startswith("| ")]


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_named_test_exists(path: str, name: str) -> None:
    assert re.search(rf"\bdef {name}\(", (ROOT / path).read_text())


def test_every_row_names_a_test() -> None:
    rows = [row for row in ROWS if not row.startswith("| tried ")]
    assert len(rows) > 30
    assert [row for row in rows if "::test_" not in row and not row.endswith("| the same |")] == []
