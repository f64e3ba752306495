"""A handful of random schedules, the same ones each time; `make chaos` runs as many as asked for."""

from pathlib import Path

import pytest

from tests.chaos.run import run_seed
from tests.chaos.schedule import SETUPS, Setup, generate

SEEDS = (1, 13)


@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_no_list_is_short_and_all_converges(seed: int, setup: Setup, tmp_path: Path) -> None:
    outcome = await run_seed(seed, setup, tmp_path)
    assert not outcome.harm, str(outcome)
    assert outcome.lists > 0, "the feed never answered: nothing was judged"


@pytest.mark.parametrize("setup", SETUPS)
def test_a_seed_always_gives_the_same_schedule(setup: Setup) -> None:
    assert generate(7, setup=setup) == generate(7, setup=setup)
    assert generate(7, setup=setup) != generate(8, setup=setup)
