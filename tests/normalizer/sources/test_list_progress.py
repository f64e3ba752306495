"""What shows that the pages of a registry's list are not all of it."""

from typing import Any

import pytest

from services.normalizer.sources.faults import BadAnswer
from services.normalizer.sources.kubeflow.paging import _Page, _Progress


def items(*ids: str) -> list[Any]:
    return [{"id": each} for each in ids]


def test_pages_follow_each_other_until_one_names_no_further_one() -> None:
    progress = _Progress()
    assert progress.add(_Page(items("1", "2"), "second", 2))
    assert not progress.add(_Page(items("3"), "", 1))
    assert progress.count == 3


def test_a_page_that_repeats_items_and_names_a_further_one_is_no_end() -> None:
    progress = _Progress()
    assert progress.add(_Page(items("1", "2"), "second", 2))
    with pytest.raises(BadAnswer, match="brings nothing new"):
        progress.add(_Page(items("1", "2"), "third", 2))


def test_fewer_items_than_announced_are_not_all() -> None:
    with pytest.raises(BadAnswer, match="5 items are announced, 2 came"):
        _Progress().add(_Page(items("1", "2"), "", 5))
