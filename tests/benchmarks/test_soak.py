"""What counts as flat."""

from benchmarks.soak import Holding, _growth


def rests(*last: float) -> list[dict[str, Holding]]:
    calm = Holding(mib=50, descriptors=20, threads=5, tasks=7)
    mib, descriptors, tasks = last
    return [{"location": calm}] * 9 + [{"location": Holding(mib, round(descriptors), 5, round(tasks))}]


def test_what_stays_as_it_was_is_flat() -> None:
    assert _growth(rests(52, 22, 8)) == []


def test_growth_is_named() -> None:
    assert _growth(rests(60, 20, 7)) == ["location grew from 50.0 to 60.0 MiB"]
    assert _growth(rests(50, 30, 7)) == ["location has 30 descriptors at the end, 20 at first"]
    assert _growth(rests(50, 20, 12)) == ["location has 12 tasks at the end, 7 at first"]
