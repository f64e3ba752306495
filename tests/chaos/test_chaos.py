"""Some random schedules, the same ones each time, and faults put back; `make chaos` runs more of them."""

import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.mutants import MUTANTS
from tests.chaos.run import carry_out, run_seed
from tests.chaos.schedule import SERVICES, SETUPS, STEADY, Action, Setup, generate
from tests.processes import environment

SEEDS: Final = "10"

SHOWN_IN: Final = 60.0
"""Seconds until a reader has seen a fault, on a busy machine."""
_SETTLED = 1.5
"""Seconds after which an entry counts as served."""


def _lists(how: str) -> Action:
    return Action("lists", {"how": how, "times": None}, _SETTLED)


def _leave(*services: str) -> Action:
    return Action("leave", {"services": services})


_PAUSE: Final = Action("heal", {}, _SETTLED)
_LOSE_A_SHARD: Final = Action("cache", {"how": "delete", "times": 1}, _SETTLED)
_COME_BACK: Final = Action("come_back", {}, _SETTLED)

SHOWN: Final[Mapping[str, tuple[Setup, tuple[Action, ...]]]] = {
    "no-hold": ("run", (_PAUSE, _lists("half"))),
    "missing-is-gone": ("run", (_PAUSE, _lists("empty"))),
    "absent-kind-is-gone": ("run", (_PAUSE, _lists("absent"))),
    "no-grace": ("run", (_PAUSE, Action("flicker", {"name": STEADY[0]}, _SETTLED))),
    "removed-from-the-cache": ("run", (_PAUSE, _LOSE_A_SHARD)),
    "stored-minus-wanted": ("run", (_PAUSE, _lists("unavailable"), _leave(*SERVICES), _COME_BACK)),
    "damage-is-not-seen": ("run", (_PAUSE, _lists("unavailable"), _leave(*SERVICES), _LOSE_A_SHARD, _COME_BACK)),
    "incomplete-is-served": ("run", (_PAUSE, _lists("unavailable"), _leave(*SERVICES), _LOSE_A_SHARD, _COME_BACK)),
    "snapshot-is-whole": (
        "pod",
        (_PAUSE, _lists("unavailable"), _leave("storage-rest", "rhoai-normalizer"), _LOSE_A_SHARD, _COME_BACK),
    ),
    "storage-away-empties": ("pod", (_PAUSE, _leave("storage-rest"))),
    "keyset-is-the-truth": ("original", (_PAUSE, _lists("half"))),
    "keyset-confirms-damage": (
        "original",
        (_PAUSE, Action("lists", {"how": "half", "times": 20}), _leave("storage-rest"), _LOSE_A_SHARD, _COME_BACK),
    ),
}
"""What shows each fault to a reader: the quickest way to it, where random schedules find it sooner or later."""


@pytest.mark.parametrize("setup", SETUPS)
def test_no_list_is_short_and_all_converges(setup: Setup) -> None:
    command = [sys.executable, "-m", "tests.chaos", "--setup", setup, "--seeds", SEEDS, "--at-once", "1"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{SEEDS} seeds held" in done.stdout


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_fault_that_is_put_back_is_found(mutant: str, tmp_path: Path) -> None:
    setup, schedule = SHOWN[mutant]
    outcome = carry_out(schedule, setup, tmp_path, mutant=mutant, patience=SHOWN_IN)
    assert outcome.seen, f"no one sees that {MUTANTS[mutant].about}: {outcome}"


@pytest.mark.parametrize("setup", ["pod", "run", "original"])
def test_what_shows_the_faults_does_no_harm_without_them(setup: Setup, tmp_path: Path) -> None:
    schedules = [(*schedule, _PAUSE, _COME_BACK) for of, schedule in SHOWN.values() if of == setup]
    outcome = carry_out(tuple(itertools.chain(*schedules)), setup, tmp_path)
    assert not outcome.harm, str(outcome)


@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.parametrize("setup", ["run", "replicas"])
def test_it_is_the_same_with_processes(setup: Setup, tmp_path: Path) -> None:
    outcome = run_seed(1, setup, tmp_path, processes=True)
    assert not outcome.harm, str(outcome)
    assert outcome.lists > 0, "the feed never answered: nothing was judged"


@pytest.mark.process
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", ["stored-minus-wanted", "storage-away-empties"])
def test_a_fault_that_is_put_back_is_found_with_processes(mutant: str, tmp_path: Path) -> None:
    setup, schedule = SHOWN[mutant]
    outcome = carry_out(schedule, setup, tmp_path, mutant=mutant, patience=SHOWN_IN, processes=True)
    assert outcome.seen, f"no one sees that {MUTANTS[mutant].about}: {outcome}"


def test_a_seed_always_gives_the_same_run(tmp_path: Path) -> None:
    logs: list[str] = []
    for seed in (7, 7, 8):
        directory = tmp_path / str(len(logs))
        directory.mkdir()
        run_seed(seed, "pod", directory)
        logs.append((directory / "log").read_text().replace(str(directory), ""))
    assert logs[0].count("\n") > 50
    assert logs[0] == logs[1] != logs[2]


@pytest.mark.parametrize("setup", SETUPS)
def test_a_seed_always_gives_the_same_schedule(setup: Setup) -> None:
    assert generate(7, setup=setup) == generate(7, setup=setup)
    assert generate(7, setup=setup) != generate(8, setup=setup)
