"""Medians, targets, growth, and the table made of them."""

import json
from pathlib import Path

import pytest

from benchmarks import baseline, document, report, smoke
from benchmarks.figures import Figure, Target, growth, percentile


def figure(*samples: float, name: str = "10 models", **others: object) -> Figure:
    return Figure(group="sync", name=name, unit="s", samples=samples, **others)  # type: ignore[arg-type]


def test_a_figure_is_judged_by_its_median() -> None:
    assert figure(1, 9, 2, target=Target(2)).met is True
    assert figure(1, 9, 2, target=Target(2, below=True)).met is False
    assert figure(1, 9, 2, target=Target(2, at_least=True)).met is True
    assert figure(1, 9, 2).met is None


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.75, 3), (0.99, 4), (1, 4), (0, 1)])
def test_percentiles(share: float, expected: float) -> None:
    assert percentile([3, 1, 4, 2], share) == expected


def test_growth_is_the_exponent_between_neighbours() -> None:
    assert [round(power, 6) for _, _, power in growth([(10, 3), (100, 30), (1000, 3000)])] == [1, 2]
    assert list(growth([(10, 0), (100, 5)])) == []


def test_the_table_names_what_is_not_met_and_the_ratio_to_the_baseline() -> None:
    slow = figure(4, 5, 6, original=10, target=Target(1))
    text = report.table([slow], {slow.id: {"median": 2.5}})
    assert text.splitlines()[2] == "| 10 models | 10 s | ≤ 1 | 5 s | 4 – 6 | 50.0% | 2.00 | NOT MET |"
    assert report.unmet([slow, figure(1)]) == [slow]


def test_growths_are_reported_for_each_series() -> None:
    figures = [figure(size / 10, size=size, series=name) for name in ("served", "kept") for size in (10, 1000)]
    assert report.growths(figures) == "- served: 10 → 1,000: 1.00\n- kept: 10 → 1,000: 1.00"


def test_a_baseline_keeps_what_was_not_measured_again(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baseline.save([figure(1, name="a"), figure(2, name="b")], {}, path)
    baseline.save([figure(3, 4, 5, name="b")], {"python": "3.11"}, path)
    assert {name: kept["median"] for name, kept in baseline.load(path).items()} == {"sync / a": 1, "sync / b": 4}
    assert json.loads(path.read_text())["machine"] == {"python": "3.11"}
    assert baseline.load(tmp_path / "none.json") == {}


def test_counts_that_differ_are_faults() -> None:
    figures = [figure(5, name="a"), figure(1, name="new")]
    assert smoke.compare(figures, {"sync / a": 5, "sync / gone": 1}) == [
        "sync / gone: None, known are 1",
        "sync / new: 1, not known in counts.json",
    ]
    assert smoke.compare([figure(6, name="a")], {"sync / a": 5}) == ["sync / a: 6, known are 5"]


def test_a_report_takes_the_place_of_the_last_one(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    document.write("new", path)
    assert path.read_text() == f"before\n{document.BEGIN}\n\nnew\n\n{document.END}\nafter\n"
    path.write_text("no marks")
    with pytest.raises(ValueError, match="lacks"):
        document.write("new", path)


def test_a_whole_report_ends_with_what_was_missed() -> None:
    text = report.whole([figure(3, target=Target(2)), figure(1, name="b", target=Target(2))], {"python": "3.11"}, {})
    assert text.startswith("- python: 3.11\n")
    assert text.endswith("1 targets met, 1 not:\n\n- sync / 10 models: 3 s")
