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
from typing import Any, Generic, NoReturn, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_PROCESSES = 4  # what follows the work is done by one
_MOST_PARTS = 64  # each has a number of one byte; with more, sending the results takes longer
_SMALLEST_PART = 16
_PIPE = 1024 * 1024  # bytes of results that wait for this process; the most that Linux gives to any user
_CHUNK = 64 * 1024
_LENGTH = 8  # bytes before each message, with its length


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
        self._others: list[_Process] = []
        for _ in range(processes - 1):
            self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for other in self._others:
            other.end()
        os.close(self._numbers)

    def results(self) -> Iterator[list[Result]]:
        """Yield the results in the order of the items, some at a time, as soon as these and all before are there.

        Only while there are none, this process takes part in the work: what is done with the results in between, it
        alone can do. Raises what `work` raises.
        """
        found: dict[int, list[Result]] = {}
        number = 0
        while number < len(self._parts):
            self._receive(found, wait=False)
            if number in found:
                yield found.pop(number)
                number += 1
            elif taken := self._take():
                found[taken[0]] = self._results_of(taken[0])
            elif self._others:
                self._receive(found, wait=True)
            else:  # the process that had taken it has failed
                found[number] = self._results_of(number)

    def _take(self) -> bytes:
        """Take a part, and return its number; nothing if all are taken."""
        return os.read(self._numbers, 1)

    def _results_of(self, number: int) -> list[Result]:
        return [self._work(item) for item in self._parts[number]]

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
            self._others.append(_Process(process, results))
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
                while taken := self._take():
                    message = pickle.dumps((taken[0], self._results_of(taken[0])), pickle.HIGHEST_PROTOCOL)
                    stream.write(len(message).to_bytes(_LENGTH) + message)
                    stream.flush()
        finally:
            os._exit(0)  # neither prints what is buffered nor runs what is left to the end of the first process

    def _receive(self, found: dict[int, list[Result]], *, wait: bool) -> None:
        """Take over the results that have arrived from other processes; `wait`: until there are, or until one ends."""
        ready, _, _ = select.select(self._others, (), (), None if wait else 0)
        for other in ready:
            arrived = other.receive()
            if arrived is None:  # it has finished, or was killed
                other.end()
                self._others.remove(other)
            else:
                found.update(arrived)


class _Process:
    """Another process, and the end of the pipe to which it writes the results of parts."""

    def __init__(self, process: int, results: int) -> None:
        self._process = process
        self._results = results
        self._received = bytearray()

    def fileno(self) -> int:
        """Return what `select` waits for."""
        return self._results

    def receive(self) -> list[tuple[int, list[Any]]] | None:
        """Return the results that have arrived, with the numbers of their parts; None if there will be no more."""
        if not (chunk := os.read(self._results, _CHUNK)):
            return None
        self._received += chunk
        found = []
        while len(self._received) >= (end := _LENGTH + int.from_bytes(self._received[:_LENGTH])):
            found.append(pickle.loads(self._received[_LENGTH:end]))  # noqa: S301 - what a copy of this process has written
            del self._received[:end]
        return found

    def end(self) -> None:
        """End the process, if it has not ended by itself."""
        os.close(self._results)
        with suppress(OSError):  # it is gone
            os.kill(self._process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self._process, 0)
