"""A hook of mkdocs: documents from other folders become pages, and links that leave the site become plain text."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGES = {"deploy/README.md": "deploy.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Documents outside docs/ and the pages that they become."""

_LINK = re.compile(r"(?P<text>\[[^\]]*\])\((?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")


def with_links_of_site(markdown: str, *, source: Path, page: str) -> str:
    """Return a document with links for the site; `source` is its path in the repository, `page` on the site."""

    def replaced(link: re.Match[str]) -> str:
        if "://" in link["path"] or link["path"].startswith("mailto:"):
            return link[0]
        target = (ROOT / source.parent / link["path"]).resolve()
        if not target.is_relative_to(ROOT):
            return link["text"][1:-1]
        path = target.relative_to(ROOT).as_posix()
        on_site = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else "")
        if not on_site:
            return link["text"][1:-1]
        up = "../" * page.count("/")
        return f"{link['text']}({up}{on_site}{link['anchor'] or ''})"

    return _LINK.sub(replaced, markdown)


def on_files(files: Any, *, config: Any) -> Any:
    """Add the documents that are outside docs/."""
    from mkdocs.structure.files import File  # only the environment of mkdocs has it

    for path, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Rewrite the links of a page."""
    uri = page.file.src_uri
    source = next((Path(path) for path, name in PAGES.items() if name == uri), Path("docs") / uri)
    return with_links_of_site(markdown, source=source, page=uri)
