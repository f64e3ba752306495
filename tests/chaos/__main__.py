"""`python -m tests.chaos --seeds 200`: run random schedules until all held or some failed."""

import argparse
import asyncio
import sys

from tests.chaos.run import run_seeds
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
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    failed = asyncio.run(run_seeds(seeds, options.setup or SETUPS, at_once=options.at_once))
    print(f"{len(seeds) - len(failed)} seeds held, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
