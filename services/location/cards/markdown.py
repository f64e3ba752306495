"""How pieces of Markdown are written so that CommonMark and Python-Markdown read them alike: text, code, items."""

import re

from markdown_it.token import Token
from markdown_it.tree import SyntaxTreeNode

from services.location.cards import html

_ESCAPABLE = frozenset("\\`*_{}[]()>#+-.!|~^=")
"""Characters that may be escaped with a backslash in Python-Markdown with TechDocs' extensions."""
_BLOCK_START = re.compile(
    r"(?P<number>\d{1,9})(?=[.)](?:\s|\Z))"
    r"|(?=[#>|]|[-+*](?:\s|\Z)|`{3,}[^`]*\Z|~~~|:\s|=+\s*\Z|-+\s*\Z|:?-+:?\s*\||(?:[*_-][ \t]*){3,}\Z)"
)
_ENDS_IN_BACKSLASH = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_TAG_LIKE = re.compile(r"<(?! \w|[\d=])")
_LANGUAGE = re.compile(r"[A-Za-z0-9_+#.-]+")
_DRAWN = frozenset({"dot", "graphviz", "plantuml", "puml", "uml"})
"""Languages of code that TechDocs would draw as a diagram with another program; here they are shown as code."""
_INCLUSION = re.compile(r"^(\s*)(-+8<-+)", re.MULTILINE)
"""A line with which pymdownx.snippets includes a file; a semicolon before it turns it into text."""


def plain_text(written: str) -> str:
    """Return plain text in which nothing is read as a tag."""
    return _TAG_LIKE.sub("&lt;", written)


def special(token: Token) -> str:
    """Return an escaped character or an entity in a form that both parsers read."""
    if token.info == "entity":
        return token.markup
    character = token.content
    if character in _ESCAPABLE:
        return f"\\{character}"
    return {"<": "&lt;", "&": "&amp;"}.get(character, character)


def inline_code(token: Token) -> str:
    """Return code within a line; a space keeps backticks at its ends apart from the marks."""
    content = token.content
    ticks = content.startswith("`") or content.endswith("`")
    space = " " if ticks or (content.startswith(" ") and content.endswith(" ") and content.strip()) else ""
    return f"{token.markup}{space}{content}{space}{token.markup}"


def table_cell(piece: str) -> str:
    """Return a piece of a line for a table cell; code with a vertical bar becomes HTML: parsers differ on it."""
    if "|" not in piece:
        return piece
    if piece.startswith("`"):
        content = piece.strip("`").strip()
        return f"<code>{html.as_text(content).replace('|', '&#124;')}</code>"
    return piece.replace("\\|", "|").replace("|", "\\|")


def code_block(node: SyntaxTreeNode) -> str:
    """Return a block of code, fenced by more backticks than it contains."""
    content = node.content.rstrip("\n")
    runs = (len(run) for run in re.findall("`{3,}", content))
    fence = "`" * max(3, *(run + 1 for run in runs), 3)
    language = _LANGUAGE.match(node.info.strip()) if node.type == "fence" else None
    shown = language[0] if language and language[0].lower() not in _DRAWN else ""
    return f"{fence}{shown}\n{_without_inclusions(content)}\n{fence}"


def _without_inclusions(text: str) -> str:
    return _INCLUSION.sub(r"\1;\2", text)


def paragraph_line(text: str) -> str:
    """Return a line of a paragraph; a backslash at its end is doubled, or it would be a line break."""
    line = _no_block_start(text)
    return f"{line}\\" if _ENDS_IN_BACKSLASH.search(line) else line


def _no_block_start(line: str) -> str:
    """Return a line of a paragraph, escaped so that no parser reads it as the start of another block."""
    match = _BLOCK_START.match(line)
    if match is None:
        return line
    number = match["number"] or ""
    return f"{number}\\{line[len(number) :]}" if line[len(number)] in _ESCAPABLE else f"&#{ord(line[0])};{line[1:]}"


def after_number(text: str) -> str:
    """Return the text for after a number: in the same line if it is a paragraph, else as a separate block."""
    first = text.partition("\n")[0]
    return f"\n\n{text}" if _no_block_start(first) != first or text.startswith("<") else f" {text}"


def list_item(text: str, marker: str) -> str:
    """Return an item of a list, with its further lines indented below its text."""
    indent = " " * (len(marker) + 1)
    first, *rest = text.split("\n")
    return "\n".join([f"{marker} {first}".rstrip(), *(f"{indent}{line}" if line.strip() else "" for line in rest)])


def prefixed(text: str, prefix: str) -> str:
    """Return a text with `prefix` before each line."""
    return "\n".join(f"{prefix}{line}".rstrip() for line in text.split("\n"))
