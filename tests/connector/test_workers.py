"""Work that is divided among processes: the same results as in one, whatever happens to the others."""

import os
import signal
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import pytest

from services.connector.workers import Workers, processes_for

# pytest may have threads of its own, as in its workers; these tests need nothing that a fork could miss.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
HERE = os.getpid()


def doubled(item: int) -> tuple[int, int]:
    return 2 * item, os.getpid()


def results(work: Callable[[int], tuple[int, int]], items: int, processes: int) -> list[tuple[int, int]]:
    """Return the results of work on some numbers; no process is left then."""
    with Workers(work, range(items), processes=processes) as workers:
        found = list(chain.from_iterable(workers.results()))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return found


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize("items", [0, 1, 7, 100, 2500])
def test_the_results_are_in_the_order_of_the_items(items: int, processes: int) -> None:
    found = results(doubled, items, processes)
    assert [result for result, _ in found] == list(range(0, 2 * items, 2))


def test_another_process_takes_part() -> None:
    here, there = os.pipe(), os.pipe()
    met: list[None] = []

    def meeting(item: int) -> tuple[int, int]:
        """Wait, with the first item, until the other process has one too."""
        if not met:
            met.append(None)
            (own, _), (_, other) = (here, there) if os.getpid() == HERE else (there, here)
            os.write(other, b".")
            os.read(own, 1)
        return doubled(item)

    assert len({process for _, process in results(meeting, 100, 2)}) == 2


def test_results_come_while_the_work_goes_on() -> None:
    done: list[int] = []

    def work(item: int) -> int:
        done.append(item)
        return item

    with Workers(work, range(1000), processes=1) as workers:
        first = next(workers.results())
        assert first == done
        assert len(done) < 100


def test_this_process_works_only_while_there_are_no_results(tmp_path: Path) -> None:
    """The other one has done everything when this one begins: what it does with the results comes first."""
    finished = tmp_path / "finished"

    def work(item: int) -> tuple[int, int]:
        if os.getpid() != HERE and item == 999:
            finished.touch()
        return doubled(item)

    with Workers(work, range(1000), processes=2) as workers:
        while not finished.exists():
            time.sleep(0.001)
        assert HERE not in {process for part in workers.results() for _, process in part}


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_what_a_process_did_not_finish_is_done_here(ending: signal.Signals) -> None:
    def killed(item: int) -> tuple[int, int]:
        if os.getpid() != HERE and item % 50 == 49:
            os.kill(os.getpid(), ending)
        return doubled(item)

    assert [result for result, _ in results(killed, 1000, 3)] == list(range(0, 2000, 2))


def test_an_error_of_the_work_is_raised_and_ends_the_others(capfd: pytest.CaptureFixture[str]) -> None:
    def failing(item: int) -> tuple[int, int]:
        if item >= 500:
            raise ValueError(item)
        return doubled(item)

    with pytest.raises(ValueError, match=r"\d+"):
        results(failing, 1000, 3)
    assert capfd.readouterr() == ("", "")


def test_processes_that_are_not_needed_any_more_are_ended() -> None:
    def slow(item: int) -> tuple[int, int]:
        if os.getpid() != HERE:
            signal.pause()
        return doubled(item)

    with Workers(slow, range(1000), processes=3):
        pass
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_where_no_process_can_be_started_everything_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> int:
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refused)
    open_before = len(list(Path("/proc/self/fd").iterdir()))
    assert [process for _, process in results(doubled, 100, 3)] == [HERE] * 100
    assert len(list(Path("/proc/self/fd").iterdir())) == open_before


def test_little_work_and_other_systems_get_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listdir", lambda _path: ["1"])
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: set(range(64)))
    assert [processes_for(items, worth=100) for items in (0, 99, 100)] == [1, 1, 4]
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {7})
    assert processes_for(100, worth=100) == 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {6, 7})
    assert processes_for(100, worth=100) == 2
    monkeypatch.setattr(os, "listdir", lambda _path: ["1", "2"])
    assert processes_for(100, worth=100) == 1
    monkeypatch.setattr("sys.platform", "darwin")
    assert processes_for(100, worth=100) == 1
