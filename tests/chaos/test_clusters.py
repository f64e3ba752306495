"""Random schedules of several clusters, the same ones each time; `make chaos` runs more."""

from pathlib import Path

import pytest

from tests.chaos.clusters import run_seed


@pytest.mark.parametrize("seed", range(5))
def test_nothing_leaves_that_is_still_there(seed: int, tmp_path: Path) -> None:
    harm, schedule = run_seed(seed, tmp_path)
    assert not harm, f"{harm}: {schedule}"
