"""One seed: generate its schedule, carry it out, judge it. `python -m tests.chaos` runs many."""

import asyncio
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.schedule import ISVCS, STEADY, Action, Setup, generate
from tests.chaos.world import World
from tests.process.conftest import own_rules

TIME = 600.0
"""Seconds until a run counts as hanging."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one seed; without `harm` the invariant held and everything converged."""

    seed: int
    setup: Setup
    harm: tuple[str, ...]
    lists: int
    schedule: tuple[Action, ...]
    directory: Path

    def __str__(self) -> str:
        if not self.harm:
            return f"seed {self.seed} ({self.setup}): held over {self.lists} complete lists"
        steps = "\n".join(f"  {number:2}. {action}" for number, action in enumerate(self.schedule, start=1))
        harm = "\n".join(f"  {each}" for each in self.harm[:5])
        return (
            f"seed {self.seed} ({self.setup}) failed:\n{harm}\nits schedule:\n{steps}\nlogs: {self.directory}\n"
            f"again: python -m tests.chaos --setup {self.setup} --first {self.seed} --seeds 1"
        )


async def run_seed(seed: int, setup: Setup, directory: Path | None = None) -> Outcome:
    """Run one seed; its logs are left in `directory`, or in a temporary one."""
    directory = directory or Path(tempfile.mkdtemp(prefix=f"chaos-{setup}-{seed}-"))
    schedule = generate(seed, setup=setup)
    harm: list[str] = []
    lists = 0
    try:
        async with asyncio.timeout(TIME), World(setup=setup, directory=directory, rules=own_rules()) as world:
            try:
                await world.begin((*STEADY, *ISVCS[:5]))
                for action in schedule:
                    await world.do(action)
                await world.end()
            finally:
                harm += world.harm
                lists = sum(judge.lists for judge in world.judges)
    except (AssertionError, OSError, TimeoutError, RuntimeError) as error:
        harm.append("".join(traceback.format_exception_only(error)).strip() or repr(error))
    return Outcome(seed, setup, tuple(harm), lists, schedule, directory)


async def run_seeds(seeds: Sequence[int], setups: Sequence[Setup], *, at_once: int) -> list[Outcome]:
    """Run seeds, the setups in turn, `at_once` at a time; print each outcome; return those that failed."""
    gate = asyncio.Semaphore(at_once)
    failed: list[Outcome] = []

    async def one(number: int, seed: int) -> None:
        async with gate:
            outcome = await run_seed(seed, setups[number % len(setups)])
        print(outcome, flush=True)
        if outcome.harm:
            failed.append(outcome)

    async with asyncio.TaskGroup() as group:
        for number, seed in enumerate(seeds):
            group.create_task(one(number, seed))
    return failed
