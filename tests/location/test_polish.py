"""Cards written for other renderers come out as TechDocs shows them; polishing twice changes nothing."""

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.location.cards.polish import polish
from tests.location.rendered_markdown import Html

FOLDER = Path(__file__).parents[1] / "golden" / "cards"
CARDS = sorted(path for path in FOLDER.glob("*.md") if not path.name.endswith(".polished.md"))
BY_CARD = pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)

MARKUP = (
    "- |1. |12. |# |> |```|**|***|---\n|    |\n\n|\\<|&lt;|&amp;|<b>|</b>|<think>|<p>|</p>|<table>|<div>\n|<!-- c -->|"
    '<img src=x>|](http://x)|![|--8<-- "x"|# Title\n|<details>|http://example.com/a'
)
PIECES = st.sampled_from([*"ab \n*_`[]()<>#-+.!|\\~&1\t:'\"{}=^;/é中", *MARKUP.split("|"), "| a | b |\n|---|---|\n"])


@given(st.lists(PIECES, max_size=25).map("".join))
def test_polishing_twice_is_polishing_once(card: str) -> None:
    once = polish(card).text
    assert polish(once).text == once
    Html(once)


@BY_CARD
def test_cards_of_every_style(path: Path) -> None:
    polished = polish(path.read_text()).text
    golden = path.with_suffix(".polished.md")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(polished)
    assert polished == golden.read_text()
    assert polish(polished).text == polished


@BY_CARD
def test_nothing_dangerous_is_left(path: Path) -> None:
    page = Html(polish(path.read_text()).text)
    assert not {"script", "iframe", "style", "svg", "object", "form"} & set(page.elements)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for address in [*page.values("href"), *page.values("src")]:
        assert address.startswith(("https://", "http://", "mailto:", "#")) or "mailto" in address or "&#" in address
    assert page.elements.count("h1") <= 1


def html(name: str) -> Html:
    return Html(polish((FOLDER / f"{name}.md").read_text()).text)


def test_lists_right_after_a_paragraph_are_lists_and_escapes_are_characters() -> None:
    page = html("granite")
    items = [item.strip().split("\n")[0] for item in page.items]
    for item in ("Thinking", "of long texts", "One", "two and a half", "Developers: the team of an example"):
        assert item in items
    assert "between <think> and </think>." in page.text
    assert "apache-2.0" in page.text
    assert "model-index" not in page.text
    assert "<h1" in page.source
    assert page.source.count("<h1") == 1


def test_tables_and_anchors() -> None:
    page = html("llama")
    assert page.elements.count("table") == 1
    assert "GSM8K | CoT" in page.text
    assert "a | b" in page.text
    assert "#evaluation-results" in page.values("href")
    assert not [address for address in page.values("href") if "not-there" in address or "deployment.md" in address]
    assert "the guide" in page.text


def test_html_tables_over_several_blocks_are_one_table() -> None:
    page = html("html-tables")
    assert page.elements.count("table") == 1
    assert {"rowspan", "td", "sub", "sup"} <= {*page.elements, *(name for name, _ in page.attributes)}


def test_unknown_elements_are_shown_as_they_are_written() -> None:
    assert "a <think>...</think> block" in html("qwen").text


def test_relative_addresses_are_completed_where_the_source_is_known() -> None:
    card = "[guide](docs/guide.md) ![logo](../logo.png) <p><img src=\"a.png\"></p>\n\n<p><img src='b.png'></p>"
    page = Html(polish(card, base_url="https://example.com/org/model/README.md").text)
    assert "https://example.com/org/model/docs/guide.md" in page.values("href")
    assert page.values("src") == [
        "https://example.com/org/logo.png",
        "https://example.com/org/model/a.png",
        "https://example.com/org/model/b.png",
    ]
    page = Html(polish(card).text)
    assert page.values("src") == []
    assert "guide" in page.text
    assert "logo" in page.text


def test_code_stays_as_it_is() -> None:
    page = html("code")
    assert "indented code\n  deeper" in page.text
    assert '{"a": "```"}' in page.text


def test_tables_that_are_never_closed_cost_little() -> None:
    card = "<table>\n\nx\n\n" * 600
    started = time.process_time()
    polish(card)
    assert time.process_time() - started < 5


def test_a_large_card_is_polished_whole() -> None:
    section = (FOLDER / "granite.md").read_text().partition("# Granite")[2]
    card = "# Title\n\n" + "".join(f"## Part {n}\n\n{section}\n" for n in range(100))
    assert polish(card).body.count("## Part") == 100
