"""Divides work on many items between this process and copies of it, which run on the other processors.

The copies are forks: they start within a few milliseconds, with all that is loaded here. An executor of the standard
library takes 0.05 s to import and start, and its parent only waits.
"""

import os
import pickle
import select
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import BinaryIO, Generic, NoReturn, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_PROCESSES = 4  # what follows the work is done by one
_MOST_PARTS = 256  # each has a number of one byte
_SMALLEST_PART = 16
_PIPE = 1024 * 1024  # bytes of results that wait for this process; the most that Linux gives to any user


def processes_for(items: int, *, worth: int) -> int:
    """Return into how many processes work on some items is worth dividing: from `worth` items on, one per processor.

    Only on Linux, as macOS does not support forks that go on without a new program; and only while this process has a
    single thread, as a fork has no others. A container's limit of processor time is not looked at: with less than two
    processors' worth, the processes take turns, and the work takes about as long as in one.
    """
    try:
        if items < worth or sys.platform != "linux" or len(os.listdir("/proc/self/task")) > 1:  # noqa: PTH208
            return 1
    except OSError:
        return 1
    return min(len(os.sched_getaffinity(0)), _MOST_PROCESSES)


class Workers(Generic[Item, Result]):
    """Works on items in several processes, the others of which begin at once; a context manager, which ends them.

    `work` must have the same result in each of them, which has to be picklable. If a process ends early, or cannot be
    started, the others do its part.
    """

    def __init__(self, work: Callable[[Item], Result], items: Sequence[Item], *, processes: int) -> None:
        size = max(_SMALLEST_PART, -(-len(items) // _MOST_PARTS))
        self._work = work
        self._parts = [items[start : start + size] for start in range(0, len(items), size)]
        # The process that reads the number of a part from this pipe works on that part.
        self._numbers, end = os.pipe()
        os.write(end, bytes(range(len(self._parts))))
        os.close(end)
        self._others: dict[BinaryIO, int] = {}
        for _ in range(processes - 1):
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for results in tuple(self._others):
            self._end(results)
        os.close(self._numbers)

    def results(self, done: Callable[[], None]) -> list[Result]:
        """Take part in the work, and return the results in the order of the items; `done` is called for each of them.

        Raises what `work` raises.
        """
        found: dict[int, list[Result]] = {}
        for number in self._taken():
            found[number] = self._results_of(number, done)
            self._receive(found, done, wait=False)
        while self._others:
            self._receive(found, done, wait=True)
        for number in range(len(self._parts)):
            if number not in found:  # the process that had taken it has failed
                found[number] = self._results_of(number, done)
        return [result for _, part in sorted(found.items()) for result in part]

    def _results_of(self, number: int, done: Callable[[], None]) -> list[Result]:
        part = []
        for item in self._parts[number]:
            part.append(self._work(item))
            done()
        return part

    def _taken(self) -> Iterator[int]:
        """Take parts as long as there are any, and yield their numbers."""
        while number := os.read(self._numbers, 1):
            yield number[0]

    def _start(self) -> None:
        """Start a process, if this is possible."""
        import fcntl  # Windows has none

        results, end = os.pipe()
        with suppress(OSError):
            fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE)
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # until it is known which process this is
        try:
            process = os.fork()
            if not process:
                self._serve(results, end, blocked)
            self._others[os.fdopen(results, "rb")] = process
        except OSError:
            os.close(results)
        finally:
            os.close(end)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def _serve(self, results: int, end: int, blocked: Iterable[int]) -> NoReturn:
        """Work in a process of its own until all parts are taken; Ctrl-C or an error ends it without a word."""
        try:
            os.close(results)  # so that writing fails once the reader is gone
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            with os.fdopen(end, "wb") as stream:
                for number in self._taken():
                    part = [self._work(item) for item in self._parts[number]]
                    pickle.dump((number, part), stream, pickle.HIGHEST_PROTOCOL)
                    stream.flush()
        finally:
            os._exit(0)  # neither prints what is buffered nor runs what is left to the end of the first process

    def _receive(self, found: dict[int, list[Result]], done: Callable[[], None], *, wait: bool) -> None:
        """Take over the results that have arrived from other processes; `wait`: at least one, or the end of one."""
        ready, _, _ = select.select(list(self._others), (), (), None if wait else 0)
        for results in ready:
            try:
                number, found_there = pickle.load(results)  # noqa: S301 - what a copy of this process has written
            except (EOFError, pickle.UnpicklingError):  # it has finished, or was killed
                self._end(results)
                continue
            found[number] = found_there
            for _ in found_there:
                done()

    def _end(self, results: BinaryIO) -> None:
        """End a process that is not needed any more."""
        process = self._others.pop(results)
        results.close()
        with suppress(OSError):  # it is gone
            os.kill(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(process, 0)
