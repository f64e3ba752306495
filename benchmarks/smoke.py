"""The smallest benchmark: do the counts, which depend on no machine, stand where they stood?"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import report
from benchmarks.figures import Figure
from benchmarks.measures import sync

COUNTS = Path(__file__).with_name("counts.json")
SIZES = (10, 120)
"""One page of the registry, and two."""


async def main() -> int:
    """Measure, print, and return 1 when a count is more than known."""
    figures = await measure()
    print(report.table(figures, {}))
    faults = compare(figures, json.loads(COUNTS.read_text(encoding="utf-8")))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


async def measure() -> list[Figure]:
    """Return the exact figures of a small sync, once."""
    return [figure async for figure in sync.measure(SIZES, 1) if figure.exact]


def compare(figures: list[Figure], known: Mapping[str, float]) -> list[str]:
    """Return what differs from the known counts: more is a fault, and less is to be written down."""
    found = {figure.id: figure.value for figure in figures}
    faults = [
        f"{name}: {found.get(name)}, known are {count}" for name, count in known.items() if found.get(name) != count
    ]
    return faults + [f"{name}: {found[name]}, not known in {COUNTS.name}" for name in found.keys() - known.keys()]
