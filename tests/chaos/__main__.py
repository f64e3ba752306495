"""`python -m tests.chaos --seeds 200`: run random schedules until all held or some failed."""

import argparse
import asyncio
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
    parser.add_argument(
        "--mutants", nargs="*", choices=MUTANTS, help="put faults back (default: each) and show which seed finds them"
    )
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    if options.mutants is not None:
        found = asyncio.run(find_mutants(options.mutants or list(MUTANTS), seeds, at_once=options.at_once))
        print(f"{sum(map(bool, found.values()))} of {len(found)} faults found within {len(seeds)} seeds")
        return 0 if all(found.values()) else 1
    failed = asyncio.run(run_seeds(seeds, options.setup or SETUPS, at_once=options.at_once))
    print(f"{len(seeds) - len(failed)} seeds held, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
