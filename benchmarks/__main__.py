"""`python -m benchmarks`: measure, and print the table."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from benchmarks import baseline, document, installed, machine, report, smoke
from benchmarks.figures import Figure
from benchmarks.measures import clusters, events, kinds, latency, memory, preview, reads, start, sync
from benchmarks.world import Setup
from tests.fakes.kubernetes import MEASURED
from tests.process.service import BIN

SIZES = (10, 100, 400, 1_000, 10_000)
CARDS = (100,)
SLOW = (10, 100, 400, 1_000)

Measure = Callable[[argparse.Namespace], AsyncIterator[Figure]]


async def _sync(options: argparse.Namespace) -> AsyncIterator[Figure]:
    async for figure in sync.measure(options.sizes, options.runs, setup=options.setup):
        yield figure
    async for figure in sync.measure(CARDS, options.runs, setup=options.setup, cards=True):
        yield figure
    if options.setup.store == "ConfigMap":
        slow = [size for size in options.sizes if size in SLOW]
        async for figure in sync.measure(slow, options.runs, setup=options.setup, latency=MEASURED):
            yield figure


MEASURES: Mapping[str, Measure] = {
    "sync": _sync,
    "latency": lambda options: latency.measure(options.runs, setup=options.setup),
    "memory": lambda options: memory.measure(options.runs, setup=options.setup),
    "clusters": lambda options: clusters.measure(options.runs, setup=options.setup),
    "start": lambda options: start.measure(options.runs, setup=options.setup),
    "reads": lambda options: reads.measure(options.runs, setup=options.setup),
    "preview": lambda options: preview.measure(options.runs),
    "kinds": lambda options: kinds.measure(options.runs, setup=options.setup),
    "events": lambda options: events.measure(options.runs, setup=options.setup),
}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure the connector")
    parser.add_argument("--only", help=f"rows to measure, separated by commas: {', '.join(MEASURES)}")
    parser.add_argument("--sizes", help="models of the syncs, separated by commas; default: 10 to 10,000")
    parser.add_argument("--runs", type=int, default=3, help="repetitions of each measurement; default: %(default)s")
    parser.add_argument("--store", choices=["ConfigMap", "File", "Memory"], default="ConfigMap", help="of storage-rest")
    parser.add_argument("--here", action="store_true", help="measure the services of this environment as they are")
    parser.add_argument(
        "--programs", type=Path, help="measure the services of another environment: its directory of programs"
    )
    parser.add_argument(
        "--save", action="store_true", help=f"keep the figures in {baseline.FILE.name} and {document.FILE.name}"
    )
    parser.add_argument("--smoke", action="store_true", help="a small sync; fails when its counts are other than known")
    options = parser.parse_args()
    options.only = options.only.split(",") if options.only else list(MEASURES)
    if unknown := set(options.only) - MEASURES.keys():
        parser.error(f"no rows {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if not options.smoke:
        options.setup = Setup(store=options.store, programs=_programs(options))
    options.sizes = [int(size) for size in options.sizes.split(",")] if options.sizes else list(SIZES)
    return options


def _programs(options: argparse.Namespace) -> Path:
    if options.programs is not None:
        return Path(options.programs)
    return BIN if options.here else installed.programs()


async def measure(options: argparse.Namespace) -> list[Figure]:
    """Measure everything asked for, telling each figure as it comes."""
    figures: list[Figure] = []
    for name in options.only:
        async for figure in MEASURES[name](options):
            print(f"{figure.id}: {report.number(figure.value)} {figure.unit}", file=sys.stderr, flush=True)
            figures.append(figure)
    return figures


def main() -> int:
    """Measure and print; return the exit code."""
    options = arguments()
    if options.smoke:
        return asyncio.run(smoke.main())
    about = machine.describe()
    figures = sorted_by_group(asyncio.run(measure(options)))
    text = report.whole(figures, about, baseline.load())
    print(text)
    if options.save:
        baseline.save(figures, about)
        document.write(text)
    return 0


def sorted_by_group(figures: list[Figure]) -> list[Figure]:
    """Return the figures with those of each group together, groups in the order of their first figure."""
    groups = list(dict.fromkeys(figure.group for figure in figures))
    return sorted(figures, key=lambda figure: groups.index(figure.group))


if __name__ == "__main__":
    sys.exit(main())
