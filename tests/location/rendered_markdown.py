"""Markdown rendered as TechDocs renders it: Python-Markdown with the extensions of mkdocs-techdocs-core 1.7."""

from html.parser import HTMLParser
from typing import Any

import markdown

_EXTENSIONS = [
    "toc",
    "admonition",
    "pymdownx.details",
    "pymdownx.tabbed",
    "pymdownx.caret",
    "pymdownx.critic",
    "pymdownx.inlinehilite",
    "pymdownx.magiclink",
    "pymdownx.mark",
    "pymdownx.smartsymbols",
    "pymdownx.snippets",
    "pymdownx.highlight",
    "pymdownx.extra",
    "pymdownx.tasklist",
    "pymdownx.tilde",
    "mdx_truly_sane_lists",
]
_CONFIGURATION: dict[str, dict[str, Any]] = {
    "toc": {"permalink": True},
    "pymdownx.tabbed": {"alternate_style": True},
    "pymdownx.highlight": {"linenums": True, "pygments_lang_class": True},
    "pymdownx.extra": {"pymdownx.betterem": {"smart_enable": "all"}},
    "pymdownx.tasklist": {"custom_checkbox": True},
    "pymdownx.snippets": {"restrict_base_path": True},
}


class Html(HTMLParser):
    """What a rendered page shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = markdown.markdown(text, extensions=_EXTENSIONS, extension_configs=_CONFIGURATION)
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.items: list[str] = []
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "li":
            self.items.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.items:
            self.items[-1] += data

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, of whatever element."""
        return [value for name, value in self.attributes if name == attribute]
