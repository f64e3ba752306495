import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOREIGN = {"node_modules", ".venv", "build", "dist", ".hypothesis", ".pytest_cache", "cards"}
"""Not documents of ours; model cards among the golden cases are people's, with all that they get wrong."""
DOCUMENTS = sorted(path for path in ROOT.rglob("*.md") if not FOREIGN.intersection(path.relative_to(ROOT).parts))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:`|^|&& |^ *run [a-z]+ )make ([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def anchors(document: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", CODE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(document: Path) -> list[str]:
    faults = []
    for link in LINK.findall(CODE.sub("", document.read_text(encoding="utf-8"))):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            faults.append(link)
    return faults


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path) -> None:
    assert broken(document) == []


def test_a_broken_link_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One title: with `code`\n")
    document = tmp_path / "document.md"
    document.write_text(
        "[a](there.md#one-title-with-code) [b](there.md#another) [c](gone.md) [d](https://example.com/x)"
    )

    assert broken(document) == ["there.md#another", "gone.md"]


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
    named = {(name, target) for name, text in texts.items() for target in COMMAND.findall(text)}

    assert {("README.md", "run"), ("README.md", "test")} <= named
    assert {(name, target) for name, target in named if target not in targets} == set()
