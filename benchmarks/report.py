"""The table, as Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from benchmarks.figures import Figure, growth

HEAD = ("", "the original", "to reach", "ours", "min – max", "of the original", "")
MARKS = {True: "met", False: "NOT MET", None: ""}


def whole(figures: Sequence[Figure], about: Mapping[str, str], baseline: Mapping[str, Mapping[str, float]]) -> str:
    """Return everything there is to say of a run: the machine, the table, growth, and what was missed."""
    parts = ["\n".join(f"- {name}: {value}" for name, value in about.items()), table(figures, baseline)]
    if powers := growths(figures):
        parts.append("Time of a sync grows with the number of models to the power of\n\n" + powers)
    missed = unmet(figures)
    met = sum(figure.met is True for figure in figures)
    parts.append(f"{met} targets met, {len(missed)} not" + (":\n" if missed else "."))
    return "\n\n".join(parts) + "".join(f"\n- {figure.id}: {number(figure.value)} {figure.unit}" for figure in missed)


def table(figures: Sequence[Figure], baseline: Mapping[str, Mapping[str, float]]) -> str:
    """Return all figures, one section a group; with a baseline, a column tells each one's ratio to it."""
    lines: list[str] = []
    for group, members in groupby(figures, lambda figure: figure.group):
        rows = [_row(figure, baseline) for figure in members]
        head = [group, *HEAD[1:-1], *(["of the baseline"] if baseline else []), HEAD[-1]]
        lines += ["", *_markdown(head, rows)]
    return "\n".join(lines).strip()


def growths(figures: Iterable[Figure]) -> str:
    """Return with which power of the number of models the time of a sync grows, between neighbouring sizes."""
    lines = []
    times = [figure for figure in figures if figure.size and figure.unit == "s"]
    for series, members in groupby(times, lambda figure: figure.series):
        points = [(float(figure.size), figure.value) for figure in members]
        steps = [f"{small:,.0f} → {large:,.0f}: {power:.2f}" for small, large, power in growth(points)]
        if steps:
            lines.append(f"- {series}: " + ", ".join(steps))
    return "\n".join(lines)


def number(value: float) -> str:
    """Return a number with three digits that count, or whole when it is larger."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def unmet(figures: Iterable[Figure]) -> list[Figure]:
    """Return the figures whose target is not met."""
    return [figure for figure in figures if figure.met is False]


def _row(figure: Figure, baseline: Mapping[str, Mapping[str, float]]) -> list[str]:
    original = "" if figure.original is None else f"{number(figure.original)} {figure.unit}".strip()
    target = figure.target
    reach = "" if target is None else f"{target.sign} {number(target.limit)}"
    spread = "" if len(figure.samples) == 1 else f"{number(min(figure.samples))} – {number(max(figure.samples))}"
    ours = f"{number(figure.value)} {figure.unit}".strip()
    share = f"{figure.value / figure.original:.1%}" if figure.original else ""
    ratio = []
    if baseline:
        former = baseline.get(figure.id, {}).get("median")
        ratio = [f"{figure.value / former:.2f}" if former else ""]
    note = f" ({figure.note})" if figure.note else ""
    return [figure.name + note, original, reach, ours, spread, share, *ratio, MARKS[figure.met]]


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 2), "---"], *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]
