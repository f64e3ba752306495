"""Intervals do not depend on the system's clock."""

import asyncio

import pytest

from common.clocks import loop_time, steady_clock
from tests.simulation.loop import simulated


@simulated
async def test_a_steady_clock_starts_with_the_wall_clock_and_ignores_its_steps() -> None:
    wall = [1_000_000.0]
    clock = steady_clock(lambda: wall[0])
    began = loop_time()

    wall[0] += 7200
    await asyncio.sleep(60)

    assert loop_time() == pytest.approx(began + 60)
    assert clock() == pytest.approx(1_000_060)
