"""The front matter of model cards."""

import pytest

from services.location.cards.front_matter import facts_table


def test_what_is_not_unicode_in_a_field_is_replaced() -> None:
    facts_table('license: "x\\ud800"').encode()
    assert "| License | x\ufffd |" in facts_table('license: "x\\ud800"')


@pytest.mark.parametrize("matter", ['license: "\\UFFFFFFFF"', "license: [", "- a", "{" * 5000, "license: \0"])
def test_what_is_no_front_matter_has_no_facts(matter: str) -> None:
    assert facts_table(matter) == ""
