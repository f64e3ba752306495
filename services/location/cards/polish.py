"""Rewrites model cards as Markdown that TechDocs (Python-Markdown with its extensions) renders correctly. No I/O.

Cards are written for CommonMark and GitHub. In Python-Markdown a list needs a blank line before it, `\\<` is not an
escape, front matter is text, and relative images cannot be found. So a card is parsed as CommonMark and written again
in the forms that both understand. Plain text is not changed.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.tree import SyntaxTreeNode

from services.location.cards import html, markdown
from services.location.cards.front_matter import facts_table, split
from services.location.cards.inline import BREAK, InlineWriter

_NO_WORD = re.compile(r"[^\w\s-]")
_BLANK = f" \t{BREAK}"
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_DEEPEST = 6
_MOST_PARTS = 100
"""Blocks into which blank lines may split an HTML table."""
_LARGEST_NUMBER = 9
"""Largest item number with one digit: TechDocs expects the text of an item at a fixed indentation."""


class _Parser(MarkdownIt):
    def validateLink(self, url: str) -> bool:  # noqa: N802 - the parser's own name
        """Accept every address: an unknown or dangerous one becomes text when the card is written."""
        return True


@dataclass(frozen=True, slots=True)
class Polished:
    """A card ready for TechDocs: its title (may be empty) and the Markdown below it."""

    title: str
    body: str

    @property
    def text(self) -> str:
        """The card as one Markdown document."""
        return "\n\n".join(filter(None, (self.title and f"# {self.title}", self.body))) + "\n"


def polish(card: str, *, base_url: str = "") -> Polished:
    """Return a card as TechDocs can show it; polishing the result again changes nothing.

    Relative links and images are resolved against `base_url`, the address of the card; without it they become text.
    """
    text = _CONTROLS.sub("", card.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n"))
    matter, source = split(text)
    parser = _Parser("commonmark", {"html": True}).enable(["table", "strikethrough"]).disable("text_join")
    root = SyntaxTreeNode(parser.parse(source))
    blocks = list(root.children)
    title = ""
    first = next((node for node in blocks if node.type != "html_block"), None)
    if first is not None and first.type == "heading" and first.tag == "h1":
        blocks.remove(first)
    else:
        first = None
    headings = [node for node in root.walk() if node.type == "heading"]
    others = [node for node in headings if node is not first]
    shift = 1 if any(node.tag == "h1" for node in others) else 0
    writer = _Writer(source.split("\n"), InlineWriter(base_url, _anchors(headings)), shift)
    if first is not None:
        title = writer.heading(first)
    body = writer.blocks(blocks)
    table = facts_table(matter)
    return Polished(title, "\n\n".join(filter(None, (table, body))))


def _slug(text: str) -> str:
    """Return the anchor that Python-Markdown gives a heading (its extension toc)."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", _NO_WORD.sub("", ascii_text).strip().lower())


def _anchors(headings: Iterable[SyntaxTreeNode]) -> dict[str, str]:
    """Return Python-Markdown's anchors of headings, by their own name and by GitHub's name for them."""
    anchors: dict[str, str] = {}
    for heading in headings:
        text = _plain(heading.children[0].children) if heading.children else ""
        anchor = _slug(text)
        if anchor:
            anchors.setdefault(anchor, anchor)
            anchors.setdefault(_NO_WORD.sub("", text).strip().lower().replace(" ", "-"), anchor)
    return anchors


def _plain(nodes: Sequence[SyntaxTreeNode]) -> str:
    return "".join(_plain(node.children) if node.children else node.content for node in nodes)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes the blocks of a parsed card; `source` are its lines."""

    source: list[str]
    inline: InlineWriter
    shift: int

    def blocks(self, nodes: Sequence[SyntaxTreeNode]) -> str:
        """Return blocks separated by blank lines."""
        return "\n\n".join(text for text in self._each(nodes) if text)

    def heading(self, node: SyntaxTreeNode) -> str:
        """Return the text of a heading, in one line."""
        text = self.inline.line(node)
        return f"{text[:-1]}\\#" if text.endswith("#") and not text.endswith("\\#") else text

    def _each(self, nodes: Sequence[SyntaxTreeNode]) -> Iterator[str]:
        rest = list(nodes)
        while rest:
            node = rest.pop(0)
            if node.type != "html_block":
                yield self._block(node)
                continue
            source, used = self._whole_table(node, rest)
            del rest[:used]
            yield html.clean_block(source, self.inline.resolve, shift=self.shift)

    def _block(self, node: SyntaxTreeNode) -> str:
        match node.type:
            case "heading":
                return self._heading(node)
            case "paragraph":
                return self._paragraph(node)
            case "fence" | "code_block":
                return markdown.code_block(node)
            case "blockquote":
                return markdown.prefixed(self.blocks(node.children), "> ")
            case "bullet_list" | "ordered_list":
                return self._list(node)
            case "table":
                return self._table(node)
            case "hr":
                return "***"
            case _:
                return ""

    def _heading(self, node: SyntaxTreeNode) -> str:
        level = min(max(int(node.tag[1:]) + self.shift, 2), _DEEPEST)
        text = self.heading(node)
        return f"{'#' * level} {text}" if text else ""

    def _paragraph(self, node: SyntaxTreeNode) -> str:
        shown = [line for line in self.inline.text(node).split("\n") if line.strip(_BLANK)]
        lines = [markdown.paragraph_line(line.strip(_BLANK)) + ("  " if line.endswith(BREAK) else "") for line in shown]
        return "\n".join(lines).rstrip(" ")

    def _list(self, node: SyntaxTreeNode) -> str:
        ordered = node.type == "ordered_list"
        start = int(node.attrs.get("start", 1)) if ordered else 0
        tight = not any(
            child.type == "paragraph" and not child.hidden for item in node.children for child in item.children
        )
        texts = [text for item in node.children if (text := self._item(item, tight=tight))]
        if ordered and start > _LARGEST_NUMBER:
            return "\n\n".join(f"{start + n}\\.{markdown.after_number(text)}" for n, text in enumerate(texts))
        items = []
        for n, text in enumerate(texts):
            marker = f"{start + n if start + n <= _LARGEST_NUMBER else 1}." if ordered else "-"
            items.append(markdown.list_item(text, marker))
        return ("\n" if tight else "\n\n").join(items)

    def _item(self, item: SyntaxTreeNode, *, tight: bool) -> str:
        texts = [text for text in self._each(item.children) if text]
        children = [child.type for child in item.children]
        compact = tight and all(kind in ("paragraph", "bullet_list", "ordered_list") for kind in children)
        return ("\n" if compact else "\n\n").join(texts)

    def _table(self, node: SyntaxTreeNode) -> str:
        rows = [row for part in node.children for row in part.children]
        alignments = [str(cell.attrs.get("style", "")).rpartition(":")[2] for cell in rows[0].children]
        marks = {"left": ":---", "right": "---:", "center": ":---:"}
        lines = [[self.inline.cell(cell) for cell in row.children] for row in rows]
        lines.insert(1, [marks.get(alignment, "---") for alignment in alignments])
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _whole_table(self, node: SyntaxTreeNode, rest: Sequence[SyntaxTreeNode]) -> tuple[str, int]:
        """Return a block of HTML joined with the following blocks that belong to its table, and how many they are."""
        missing = _open_tables(node.content)
        if missing <= 0 or node.map is None:
            return node.content, 0
        start, end = node.map
        for used, other in enumerate(rest[:_MOST_PARTS], start=1):
            if other.map is None:
                break
            missing += _open_tables("\n".join(self.source[end : other.map[1]]))
            end = max(end, other.map[1])
            if missing <= 0:
                return "\n".join(self.source[start:end]), used
        return node.content, 0


def _open_tables(source: str) -> int:
    lowered = source.lower()
    return lowered.count("<table") - lowered.count("</table")
