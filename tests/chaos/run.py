"""One seed: generate its schedule, carry it out, judge it. `python -m tests.chaos` runs many."""

import asyncio
import shutil
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.chaos.mutants import MUTANTS
from tests.chaos.schedule import ISVCS, SETUPS, STEADY, Action, Setup, generate
from tests.chaos.world import World
from tests.process.conftest import own_rules
from tests.waiting import eventually

TIME = 600.0
"""Seconds until a run counts as hanging."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one seed; without `harm` the invariant held and everything converged.

    `seen`: that of the harm which readers saw in the feed.
    """

    seed: int
    setup: Setup
    harm: tuple[str, ...]
    lists: int
    schedule: tuple[Action, ...]
    directory: Path
    seen: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.harm:
            return f"seed {self.seed} ({self.setup}): held over {self.lists} complete lists"
        steps = "\n".join(f"  {number:2}. {action}" for number, action in enumerate(self.schedule, start=1))
        harm = "\n".join(f"  {each}" for each in self.harm[:5])
        return (
            f"seed {self.seed} ({self.setup}) failed:\n{harm}\nits schedule:\n{steps}\nlogs: {self.directory}\n"
            f"again: python -m tests.chaos --setup {self.setup} --first {self.seed} --seeds 1"
        )


async def run_seed(seed: int, setup: Setup, directory: Path | None = None, *, mutant: str = "") -> Outcome:
    """Run one seed until the first harm; `mutant` names a fault that is put back.

    Its logs are in `directory`; without one they are in a temporary one, which is deleted when the seed held.
    """
    given, directory = directory, directory or Path(tempfile.mkdtemp(prefix=f"chaos-{setup}-{seed}-"))
    outcome = await carry_out(generate(seed, setup=setup), setup, directory, mutant=mutant, seed=seed)
    if given is None and not outcome.harm:
        await asyncio.to_thread(shutil.rmtree, directory)
    return outcome


async def carry_out(
    schedule: tuple[Action, ...],
    setup: Setup,
    directory: Path,
    *,
    mutant: str = "",
    seed: int = -1,
    patience: float = 0.0,
) -> Outcome:
    """Carry out a schedule until the first harm.

    With `patience`, seconds, harm is waited for after the last action, before all faults are taken back.
    """
    harm: list[str] = []
    seen: tuple[str, ...] = ()
    lists = 0
    try:
        async with (
            asyncio.timeout(TIME),
            World(setup=setup, directory=directory, rules=own_rules(), mutant=mutant) as world,
        ):
            try:
                await world.begin((*STEADY, *ISVCS[:5], *ISVCS[-2:]))
                for action in schedule:
                    if not world.harm:
                        await world.do(action)
                if patience:
                    await eventually(lambda: world.harm, timeout=patience, what="a reader sees the fault")
                if not world.harm:
                    await world.end()
            finally:
                seen = tuple(each for judge in world.judges for each in judge.harm)
                harm += world.harm
                lists = sum(judge.lists for judge in world.judges)
    except (AssertionError, OSError, TimeoutError, RuntimeError) as error:
        harm.append("".join(traceback.format_exception_only(error)).strip() or repr(error))
    return Outcome(seed, setup, tuple(harm), lists, schedule, directory, seen)


async def find_mutants(names: Sequence[str], seeds: Sequence[int], *, at_once: int) -> dict[str, Outcome | None]:
    """Put back one fault after the other, `at_once` at a time; return the first seed that found each, if one did.

    Each is looked for with the setups in turn, as `run_seeds` does, but for those that do not run what is at fault.
    """
    gate = asyncio.Semaphore(at_once)
    found: dict[str, Outcome | None] = dict.fromkeys(names)

    async def look(name: str) -> None:
        async with gate:
            for seed in seeds:
                setup = SETUPS[seed % len(SETUPS)]
                if setup not in MUTANTS[name].setups:
                    continue
                outcome = await run_seed(seed, setup, mutant=name)
                if outcome.seen:
                    found[name] = outcome
                    break
            print(verdict(name, found[name]), flush=True)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(look(name))
    return found


def verdict(name: str, outcome: Outcome | None) -> str:
    """Return the line of the table of mutants: which fault, the seed that found it, and by what."""
    where = f"seed {outcome.seed} ({outcome.setup})" if outcome else "NOT FOUND"
    return f"{name:24} {where:22} {outcome.seen[0][:110] if outcome else MUTANTS[name].about}"


async def run_seeds(seeds: Sequence[int], setups: Sequence[Setup], *, at_once: int) -> list[Outcome]:
    """Run seeds, the setups in turn, `at_once` at a time; print each outcome; return those that failed."""
    gate = asyncio.Semaphore(at_once)
    failed: list[Outcome] = []

    async def one(seed: int) -> None:
        async with gate:
            outcome = await run_seed(seed, setups[seed % len(setups)])
        print(outcome, flush=True)
        if outcome.harm:
            failed.append(outcome)

    async with asyncio.TaskGroup() as group:
        for seed in seeds:
            group.create_task(one(seed))
    return failed
