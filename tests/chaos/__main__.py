"""`python -m tests.chaos --seeds 200`: run random schedules, and judge each of them."""

import argparse
import os
import sys

from tests.chaos.mutants import MUTANTS
from tests.chaos.run import find_mutants, run_seeds
from tests.chaos.schedule import SETUPS


def main() -> int:
    """Return 0 when every seed held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=20, help="how many seeds (default: 20)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument(
        "--setup", choices=SETUPS, action="append", help="only these; repeatable (default: all in turn)"
    )
    parser.add_argument("--at-once", type=int, default=2, help="runs at a time (default: 2)")
    parser.add_argument("--processes", action="store_true", help="run the services as processes, not in a simulation")
    parser.add_argument(
        "--mutants", nargs="*", choices=MUTANTS, help="put faults back (default: each) and show which seed finds them"
    )
    options = parser.parse_args()
    if "PYTHONHASHSEED" not in os.environ:  # the order of a set depends on it, and what is sent first on that
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})  # noqa: S606
    seeds = range(options.first, options.first + options.seeds)
    how = {"at_once": options.at_once, "processes": options.processes}
    if options.mutants is not None:
        found = find_mutants(options.mutants or MUTANTS, seeds, **how)
        print(f"{sum(map(bool, found.values()))} of {len(found)} faults found within {len(seeds)} seeds")
        return 0 if all(found.values()) else 1
    failed = run_seeds(seeds, options.setup or SETUPS, **how)
    print(f"{len(seeds) - len(failed)} seeds held, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
