import re
from pathlib import Path

import yaml

from scripts.docs_hook import PAGES, ROOT, with_links_of_site

CONFIGURATION = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def pages(nav: object) -> set[str]:
    if isinstance(nav, dict):
        return set().union(*map(pages, nav.values()))
    return set().union(*map(pages, nav)) if isinstance(nav, list) else {str(nav)}


def test_every_document_has_a_place_on_the_site() -> None:
    named = pages(CONFIGURATION["nav"])
    there = {path.name for path in (ROOT / "docs").glob("*.md")} | set(PAGES.values())

    assert there - named == set(), "name it under nav in mkdocs.yml"
    assert {name for name in named if "/" not in name} - there == set()


def test_links_to_other_folders_lead_to_their_pages_or_become_text() -> None:
    install = Path("docs/install.md")

    assert with_links_of_site("[a](../deploy/README.md#b)", source=install, page="install.md") == "[a](deploy.md#b)"
    assert with_links_of_site("[a](mapping.md)", source=install, page="install.md") == "[a](mapping.md)"
    assert with_links_of_site("[a](../common/logs.py)", source=install, page="install.md") == "a"
    assert with_links_of_site("[a](https://x.org/)", source=install, page="install.md") == "[a](https://x.org/)"
    assert with_links_of_site("[a](../docs/install.md)", source=Path("deploy/README.md"), page="deploy.md") == (
        "[a](install.md)"
    )
    assert (
        with_links_of_site("[a](../mapping.md)", source=Path("docs/adr/x.md"), page="adr/x.md") == "[a](../mapping.md)"
    )


def test_the_site_loads_nothing_from_other_hosts() -> None:
    assert CONFIGURATION["theme"]["font"] is False
    assert not {"extra_css", "extra_javascript"} & CONFIGURATION.keys()


def test_the_readme_is_short_and_shows_two_pictures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) < 130
    assert len(re.findall(r"!\[[^\]]+\]\(docs/images/", text)) == 2
