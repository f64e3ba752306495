"""A measured figure: its samples, what the original needs for the same, and what we want to reach."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A limit for a figure's median: at most, or `below` it, or with `at_least` not less."""

    limit: float
    below: bool = False
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a value keeps to the limit."""
        if self.at_least:
            return value >= self.limit
        return value < self.limit if self.below else value <= self.limit

    @property
    def sign(self) -> str:
        """The limit's sense, to be put before its number."""
        return "≥" if self.at_least else "<" if self.below else "≤"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the table.

    `exact` figures are counts: the same in every run, on every machine. `note` says how it was measured; `size` is
    the number of models where figures of several sizes make a `series`.
    """

    group: str
    name: str
    unit: str
    samples: tuple[float, ...]
    original: float | None = None
    target: Target | None = None
    exact: bool = False
    note: str = ""
    size: int = 0
    series: str = ""

    @property
    def id(self) -> str:
        """The name in baselines."""
        return f"{self.group} / {self.name}"

    @property
    def value(self) -> float:
        """The median."""
        return median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        return None if self.target is None else self.target.met(self.value)

    def as_json(self) -> dict[str, Any]:
        """What a baseline keeps of it."""
        return {
            "unit": self.unit,
            "median": round(self.value, 4),
            "min": round(min(self.samples), 4),
            "max": round(max(self.samples), 4),
            "runs": len(self.samples),
        }


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def growth(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float, float]]:
    """Yield, from each size to the next, both sizes and the exponent that cost grows with: 1 is linear, 0 constant."""
    for (size, cost), (next_size, next_cost) in pairwise(points):
        if min(cost, next_cost) > 0 and size != next_size:
            yield size, next_size, math.log(next_cost / cost) / math.log(next_size / size)
