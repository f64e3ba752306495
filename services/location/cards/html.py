"""Sanitises the HTML in model cards: removes what is dangerous and closes what is open. No I/O."""

import re
from collections.abc import Callable
from html import escape, unescape

import nh3

Resolve = Callable[[str], str | None]
"""Returns the absolute address of a link or an image, or None if it is unknown."""

INLINE = frozenset({"b", "code", "del", "em", "i", "ins", "kbd", "mark", "small", "strong", "sub", "sup", "u"})
"""Elements within a line that are kept."""
WRAPPERS = frozenset(
    {"article", "body", "center", "div", "figure", "font", "header", "html", "main", "p", "picture", "section", "span"}
)
"""Elements that only arrange their content: within a line they are removed and their content is kept."""
_BLOCKS = frozenset(
    {
        "a",
        "blockquote",
        "br",
        "caption",
        "dd",
        "div",
        "dl",
        "dt",
        "figcaption",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
    }
    | {"img", "li", "ol", "p", "pre", "summary", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"}
)
_ALLOWED = set(INLINE | _BLOCKS)
_DROPPED_WITH_CONTENT = {"script", "style", "iframe", "object", "template", "noscript", "svg", "math"}
_ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
}
_KNOWN = (
    _ALLOWED
    | WRAPPERS
    | _DROPPED_WITH_CONTENT
    | {"audio", "button", "canvas", "col", "colgroup", "details", "embed", "footer", "form", "head", "input", "label"}
    | {"link", "meta", "nav", "source", "title", "video"}
)
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9_:.-]*)")
_HEADING = re.compile(r"<(/?)h([1-6])>")
_BLOCK_START = re.compile(r"<(?:blockquote|dl|div|figcaption|h[1-6]|hr|ol|p|pre|table|ul)\b")
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_EMPTY = re.compile(r"<(div|p|figcaption|h[1-6])>\s*</\1>")
_MARKUP = re.compile(r"<[^>]*>")
_ATTRIBUTE = re.compile(r"""([A-Za-z-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")


def clean_block(source: str, resolve: Resolve, *, shift: int) -> str:
    """Return a block of HTML without anything dangerous and without blank lines; empty if it would show nothing.

    Headings move down by `shift` levels, at least to level 2. Unknown elements are shown as text.
    """

    def address(element: str, attribute: str, value: str) -> str | None:
        return resolve(value) if attribute in ("href", "src") else value

    cleaned = nh3.clean(
        _TAG.sub(_as_text_when_unknown, source),
        tags=_ALLOWED,
        clean_content_tags=_DROPPED_WITH_CONTENT,
        attributes=_ATTRIBUTES,
        attribute_filter=address,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    cleaned = cleaned.replace("<summary>", "<div><strong>").replace("</summary>", "</strong></div>")
    cleaned = _HEADING.sub(lambda match: f"<{match[1]}h{min(max(int(match[2]) + shift, 2), 6)}>", cleaned)
    cleaned = _without_empty(_images_with_source(cleaned))
    if not _MARKUP.sub("", cleaned).strip() and "<img" not in cleaned and "<hr" not in cleaned:
        return ""
    cleaned = _BLANK_LINES.sub("\n", cleaned.strip())
    return cleaned if _BLOCK_START.match(cleaned) else f"<div>{cleaned}</div>"


def tag_of(source: str) -> tuple[str, bool]:
    """Return the name of an element in lower case, and whether this is its end tag; the name of a comment is empty."""
    match = _TAG.match(source)
    return (match[2].lower(), bool(match[1])) if match else ("", False)


def attributes_of(source: str) -> dict[str, str]:
    """Return the attributes of a tag."""
    return {match[1].lower(): unescape(match[2] or match[3] or match[4] or "") for match in _ATTRIBUTE.finditer(source)}


def is_known(name: str) -> bool:
    """Return whether this is the name of an HTML element that a card may contain."""
    return name in _KNOWN


def as_text(source: str) -> str:
    """Return a tag escaped, so that it is shown as text."""
    return escape(source, quote=False)


def _as_text_when_unknown(match: re.Match[str]) -> str:
    return match[0] if is_known(match[2].lower()) else as_text(match[0])


def _without_empty(cleaned: str) -> str:
    former = ""
    while former != cleaned:
        former, cleaned = cleaned, _EMPTY.sub("", cleaned)
    return cleaned


def _images_with_source(cleaned: str) -> str:
    """Return the HTML with images of unknown source replaced by their alternative text."""

    def image(match: re.Match[str]) -> str:
        attributes = attributes_of(match[0])
        return match[0] if attributes.get("src") else as_text(attributes.get("alt", ""))

    return re.sub(r"<img\b[^>]*>", image, cleaned)
