"""Writes what stands within the lines of a model card: text, links, images, and the tags that are kept. No I/O."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urljoin, urlsplit

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from services.location.cards import html, markdown

BREAK = "\0"
"""Marks a hard line break while a paragraph is written; no card contains this character."""
_DROPPED = "\1"
"""Marks where a tag was dropped; no card contains this character."""
_APART = re.compile(rf"(?<=[*_`~\[\]()<\\!&]){_DROPPED}+(?=[*_`~\[\]()<\\!&#])")
_SCHEMES = ("http", "https", "mailto")


@dataclass(frozen=True, slots=True)
class InlineWriter:
    """Writes the content of paragraphs, headings and cells.

    Links are resolved against `base_url`; `anchors` are those of the headings, by the names that links give them.
    """

    base_url: str
    anchors: Mapping[str, str]

    def text(self, node: SyntaxTreeNode) -> str:
        """Return the text of a paragraph or a heading, which may have several lines."""
        return _joined(self._pieces(_tokens(node)))

    def line(self, node: SyntaxTreeNode) -> str:
        """Return the text of a heading in one line."""
        return _in_one_line(self.text(node))

    def cell(self, node: SyntaxTreeNode) -> str:
        """Return the text of a table cell, in one line."""
        return _in_one_line(_joined(map(markdown.table_cell, self._pieces(_tokens(node)))))

    def resolve(self, address: str) -> str | None:
        """Return the absolute form of an address, or None if it is unknown or not safe to open."""
        try:
            if address.startswith("#"):
                anchor = self.anchors.get(address[1:].lower())
                return f"#{anchor}" if anchor else None
            scheme = urlsplit(address).scheme.lower()
            if not scheme and self.base_url:
                address = urljoin(self.base_url, address)
                scheme = urlsplit(address).scheme.lower()
        except ValueError:
            return None
        if scheme not in _SCHEMES:
            return None
        return quote(address, safe="%/:?#[]@!$&'*+,;=-._~")

    def _pieces(self, tokens: Sequence[Token]) -> list[str]:
        """Return the text of each token; tags are kept only in matching pairs."""
        pieces: list[str] = []
        opened: list[tuple[str, int, str]] = []
        for token in tokens:
            match token.type:
                case "link_open":
                    opened.append(("link", len(pieces), self._target(token)))
                    pieces.append(_DROPPED)
                case "link_close":
                    _, at, target = opened.pop()
                    _close_link(pieces, at, target)
                case "html_inline":
                    self._element(token.content, pieces, opened)
                case _:
                    piece = self._piece(token)
                    after_bracket = piece.startswith("(") and bool(pieces) and pieces[-1].endswith("]")
                    pieces.append(f"\\{piece}" if after_bracket else piece)
        return pieces

    def _piece(self, token: Token) -> str:
        match token.type:
            case "text":
                return markdown.plain_text(token.content).replace("](", "]\\(")
            case "text_special":
                return markdown.special(token)
            case "softbreak":
                return "\n"
            case "hardbreak":
                return f"{BREAK}\n"
            case "code_inline":
                return markdown.inline_code(token)
            case "image":
                return self._image(token)
            case _:
                return token.markup

    def _element(self, source: str, pieces: list[str], opened: list[tuple[str, int, str]]) -> None:
        name, is_end = html.tag_of(source)
        if name == "br":
            pieces.append("<br>")
        elif name == "img":
            attributes = html.attributes_of(source)
            pieces.append(self._shown(attributes.get("src", ""), attributes.get("alt", "")))
        elif name and not html.is_known(name):
            pieces.append(html.as_text(source))
        elif name in html.INLINE and not is_end:
            opened.append((name, len(pieces), ""))
            pieces.append(_DROPPED)
        elif name in html.INLINE and opened and opened[-1][0] == name:
            _, at, _ = opened.pop()
            pieces[at] = f"<{name}>"
            pieces.append(f"</{name}>")
        else:
            pieces.append(_DROPPED)

    def _image(self, token: Token) -> str:
        alt = "".join(child.content for child in token.children or ())
        return self._shown(str(token.attrs.get("src", "")), alt)

    def _shown(self, source: str, alt: str) -> str:
        address = self.resolve(source)
        text = " ".join(markdown.plain_text(alt.replace("[", "").replace("]", "")).split())
        if not address or address.startswith(("mailto:", "#")):
            return text
        return f"![{text}]({address})"

    def _target(self, token: Token) -> str:
        """Return what follows the text of a link: its address and title; empty if the address is unusable."""
        address = self.resolve(str(token.attrs.get("href", "")))
        if not address:
            return ""
        if token.markup == "autolink" and urlsplit(address).scheme in ("http", "https"):
            return "<>"
        title = str(token.attrs.get("title", ""))
        shown = f' "{title}"' if title and not re.search(r'["\\\n<&]', title) else ""
        return f"({address}{shown})"


def _tokens(node: SyntaxTreeNode) -> Sequence[Token]:
    if not node.children:
        return ()
    token = node.children[0].token
    return token.children or () if token else ()


def _joined(pieces: Iterable[str]) -> str:
    """Return a line without the dropped tags; a space keeps characters around them from becoming markup."""
    return _APART.sub(" ", "".join(pieces)).replace(_DROPPED, "")


def _close_link(pieces: list[str], at: int, target: str) -> None:
    text = _joined(pieces[at + 1 :])
    if target == "<>":
        pieces[at:] = [f"<{text}>"]
    elif target and text.strip():
        pieces[at] = "["
        pieces.append(f"]{target}")


def _in_one_line(text: str) -> str:
    return " ".join(text.replace(BREAK, "").split("\n")).strip()
