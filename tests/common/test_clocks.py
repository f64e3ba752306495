"""Intervals do not depend on the system's clock."""

import asyncio

import pytest

from common.clocks import loop_time, steady_clock, using_wall_clock, wall_time
from tests.simulation.loop import simulated


@simulated
async def test_a_steady_clock_starts_with_the_wall_clock_and_ignores_its_steps() -> None:
    wall = [1_000_000.0]
    with using_wall_clock(lambda: wall[0]):
        clock = steady_clock()
        began = loop_time()

        wall[0] += 7200
        await asyncio.sleep(60)

        assert wall_time() == 1_007_200
        assert loop_time() == pytest.approx(began + 60)
        assert clock() == pytest.approx(1_000_060)
