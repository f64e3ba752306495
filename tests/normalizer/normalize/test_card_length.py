"""Cards that are too long are cut where a part of them ends, and say so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.normalizer.normalize.cards import CARD_LIMIT, is_too_large, shorten

LEFT_OUT = "left out here"


def test_a_card_that_fits_is_kept_as_it_is() -> None:
    card = "# Card\n" + "é" * ((CARD_LIMIT - 7) // 2)
    assert shorten(card) == card
    assert not is_too_large(card)


def test_a_card_that_is_cut_is_one_that_is_reported() -> None:
    card = "# Card\n" + "words\n" * (CARD_LIMIT // 6)
    assert shorten(card) != card
    assert is_too_large(card)


def test_a_longer_one_ends_before_a_heading_and_says_so() -> None:
    part = "## Part\n\n" + "words " * 100 + "\n\n```\n# no heading\n```\n\n"
    cut = shorten("# Card\n\n" + part * 20, most_bytes=5000)
    assert len(cut.encode()) <= 5000
    kept, _, note = cut.rpartition("\n\n*")
    assert LEFT_OUT in note
    assert kept.endswith("```")
    assert kept.count("```") % 2 == 0
    assert kept.count("## Part") == cut.count("words ") // 100


@pytest.mark.parametrize("card", ["one line " * 2000, "```\n" + "code\n" * 2000 + "```\n", "words\n\n" * 3000])
def test_without_a_heading_it_ends_before_a_blank_line_or_wherever_it_must(card: str) -> None:
    cut = shorten(card, most_bytes=4000)
    assert len(cut.encode()) <= 4000
    assert LEFT_OUT in cut
    assert cut.count("```") % 2 == 0


def test_links_that_are_defined_in_the_part_left_out_still_lead_somewhere() -> None:
    card = "# Card\n\nSee [the paper][1].\n\n" + "## Part\n\nwords\n\n" * 1000 + "[1]: https://example.com/paper\n"
    cut = shorten(card, most_bytes=4000)
    assert cut.endswith("[1]: https://example.com/paper\n")


@given(st.text(st.sampled_from("a#\n é`[]:~ *"), max_size=600), st.integers(200, 400))
def test_whatever_the_card_is_it_fits(card: str, most_bytes: int) -> None:
    assert len(shorten(card, most_bytes=most_bytes).encode()) <= most_bytes
