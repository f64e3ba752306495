"""One seed: generate its schedule, carry it out, judge it. `python -m tests.chaos` runs many."""

import asyncio
import logging
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

import structlog

from common import clocks
from tests.chaos.mutants import MUTANTS, put_back
from tests.chaos.schedule import ISVCS, SETUPS, STEADY, Action, Setup, generate
from tests.chaos.world import World
from tests.process.conftest import own_rules
from tests.simulation.loop import simulate
from tests.waiting import eventually

TIME = 600.0
"""Seconds until a run counts as hanging."""
SPREAD = 100.0
"""What is sent in a simulation is under way for 1 ms to so many."""


@dataclass(kw_only=True)
class Outcome:
    """The result of one seed; without `harm` the invariant held and everything converged.

    `seen`: that of the harm which readers saw in the feed.
    """

    seed: int
    setup: Setup
    schedule: Sequence[Action]
    directory: Path
    processes: bool
    harm: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    lists: int = 0

    def __str__(self) -> str:
        if not self.harm:
            return f"seed {self.seed} ({self.setup}): held over {self.lists} complete lists"
        steps = "\n".join(f"  {number:2}. {action}" for number, action in enumerate(self.schedule, start=1))
        harm = "\n".join(f"  {each}" for each in self.harm[:5])
        how = " --processes" if self.processes else ""
        return (
            f"seed {self.seed} ({self.setup}) failed:\n{harm}\nits schedule:\n{steps}\nlogs: {self.directory}\n"
            f"again: python -m tests.chaos{how} --setup {self.setup} --first {self.seed} --seeds 1"
        )


def run_seed(
    seed: int, setup: Setup, directory: Path | None = None, *, processes: bool = False, mutant: str = ""
) -> Outcome:
    """Run one seed until the first harm (see `carry_out`).

    Its logs are in `directory`; without one they are in a temporary one, which is deleted when the seed held.
    """
    used = directory or Path(tempfile.mkdtemp(prefix=f"chaos-{setup}-{seed}-"))
    outcome = carry_out(generate(seed, setup=setup), setup, used, seed=seed, processes=processes, mutant=mutant)
    if directory is None and not outcome.harm:
        shutil.rmtree(used)
    return outcome


def carry_out(
    schedule: Sequence[Action],
    setup: Setup,
    directory: Path,
    *,
    seed: int = 0,
    processes: bool = False,
    mutant: str = "",
    patience: float = 0.0,
) -> Outcome:
    """Carry out a schedule until the first harm, in a simulation or with `processes`.

    `mutant` names a fault that is put back. With `patience`, seconds, harm is waited for after the last action, before
    all faults are taken back.
    """
    outcome = Outcome(seed=seed, setup=setup, schedule=schedule, directory=directory, processes=processes)
    world = World(setup=setup, directory=directory, rules=own_rules(), processes=processes, mutant=mutant)
    try:
        if processes:
            asyncio.run(_carry_out(outcome, world, patience))
        else:
            with put_back(mutant), logging_to(directory / "log"), mock.patch.dict(os.environ):
                simulate(lambda _: _carry_out(outcome, world, patience), seed=seed, spread=SPREAD)
    except Exception as error:
        outcome.harm.append("".join(traceback.format_exception_only(error)).strip() or repr(error))
    return outcome


async def _carry_out(outcome: Outcome, world: World, patience: float) -> None:
    async with asyncio.timeout(TIME), world:
        try:
            await world.begin((*STEADY, *ISVCS[:5], *ISVCS[-2:]))
            for action in outcome.schedule:
                if not world.harm:
                    await world.do(action)
            if patience:
                await eventually(lambda: world.harm, timeout=patience, what="a reader sees the fault")
            if not world.harm:
                await world.end()
        finally:
            outcome.seen += [each for judge in world.judges for each in judge.harm]
            outcome.harm += world.harm
            outcome.lists = sum(judge.lists for judge in world.judges)


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Let the services of a simulation write into one file, with simulated times."""

    def time(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"time": round(clocks.loop_time(), 4), **event}

    with path.open("w") as file:
        of_libraries = logging.StreamHandler(file)
        logging.root.addHandler(of_libraries)
        structlog.configure(
            processors=[
                structlog.contextvars.merge_contextvars,
                structlog.processors.add_log_level,
                structlog.processors.format_exc_info,
                time,
                structlog.processors.JSONRenderer(),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
            logger_factory=structlog.WriteLoggerFactory(file),
        )
        try:
            yield
        finally:
            structlog.reset_defaults()
            logging.root.removeHandler(of_libraries)


def find_mutants(
    names: Iterable[str], seeds: Sequence[int], *, at_once: int, processes: bool
) -> dict[str, Outcome | None]:
    """Put back one fault after the other, `at_once` at a time; return the first seed that found each, if one did."""
    names = list(names)
    found: dict[str, Outcome | None] = {}
    with ProcessPoolExecutor(at_once) as pool:
        for name, outcome in zip(names, pool.map(partial(_find, seeds, processes), names), strict=True):
            found[name] = outcome
            print(_verdict(name, outcome), flush=True)
    return found


def _find(seeds: Iterable[int], processes: bool, name: str) -> Outcome | None:
    """Return the first seed that finds a fault, with the setups in turn, but for those that do not run the fault."""
    for seed in seeds:
        setup = SETUPS[seed % len(SETUPS)]
        if setup in MUTANTS[name].setups:
            outcome = run_seed(seed, setup, mutant=name, processes=processes)
            if outcome.seen:
                return outcome
    return None


def _verdict(name: str, outcome: Outcome | None) -> str:
    """Return the line of the table of mutants: which fault, the seed that found it, and by what."""
    where = f"seed {outcome.seed} ({outcome.setup})" if outcome else "NOT FOUND"
    return f"{name:24} {where:22} {outcome.seen[0][:110] if outcome else MUTANTS[name].about}"


def run_seeds(seeds: Sequence[int], setups: Sequence[Setup], *, at_once: int, processes: bool) -> list[Outcome]:
    """Run seeds, the setups in turn, `at_once` at a time; print each outcome; return those that failed."""
    turns = [setups[seed % len(setups)] for seed in seeds]
    failed: list[Outcome] = []
    with ProcessPoolExecutor(at_once) as pool:
        for outcome in pool.map(partial(run_seed, processes=processes), seeds, turns):
            print(outcome, flush=True)
            if outcome.harm:
                failed.append(outcome)
    return failed
