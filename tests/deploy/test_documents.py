import re
from pathlib import Path

import pytest

from tests.deploy.kustomize import ROOT

REPOSITORY = ROOT.parent
DOCUMENTS = [
    REPOSITORY / name for name in ("docs/install.md", "deploy/README.md", "CONTRIBUTING.md", "docs/adr/README.md")
]
LINK = re.compile(r"\]\(([^)#:]+)\)|(?<![\w/])(deploy/[\w./-]+\w)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_the_documents_name_is_there(document: Path) -> None:
    named = {
        document.parent / link if link else REPOSITORY / path
        for link, path in LINK.findall(document.read_text(encoding="utf-8"))
    }

    assert named
    assert [path for path in named if not path.exists()] == []


def test_every_chapter_that_is_linked_exists() -> None:
    text = (REPOSITORY / "docs/install.md").read_text(encoding="utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors
